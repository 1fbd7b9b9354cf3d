// The same seed through the model of few steps and through its diffusion baseline, whose steps stream in. Two clocks.

import {draw, Gone} from './api.js';
import {chooseModel, defaultSteps, labelField, notice, requestLabels, seedField, sidebar, stepsField, titleOf} from './controls.js';
import {h, show} from './dom.js';

export const id = 'race';
export const title = 'Race';
export const available = (models) =>
  models.filter((model) => model.modality === 'image' && models.some((each) => each.name === model.baseline));

export function mount(element, context) {
  let leave = new AbortController();
  let raced = null;
  let model, seed, steps;

  const side = sidebar({
    models: context.models,
    pick: (next) => context.go({model: next.name, label: null, steps: null}),
    fields: (of, chosen) => [labelField(of, chosen.label, (label) => context.go({label})),
      stepsField(of, chosen.steps, (next) => context.go({steps: next})), seedField((next) => context.go({seed: next}))],
    button: ['Next race', () => context.go({seed: seed + 1})],
  });
  const heading = h('h1', {});
  const verdict = h('p', {class: 'status'});
  const lanes = h('div', {class: 'lanes'});
  element.append(side.element, h('section', {class: 'stage', 'aria-label': 'Race'},
    h('div', {class: 'headline'}, h('div', {}, heading, verdict),
      h('div', {class: 'tools'}, h('button', {type: 'button', class: 'quiet', onclick: () => run(context.state)}, 'Once more'))), lanes));

  function update(state) {
    const [chosen, remark] = chooseModel(context.models, state.model);
    model = chosen;
    seed = state.seed ?? 0;
    steps = state.steps ?? defaultSteps(model);
    const race = JSON.stringify([model.name, state.label, seed, steps]);
    if (race === raced) return;
    raced = race;
    side.update(model, {label: state.label, steps, seed});
    run(state, remark);
  }

  async function run(state, remark) {
    leave.abort();
    leave = new AbortController();
    const {signal} = leave;
    heading.textContent = state.label ?? `Seed ${seed}`;
    verdict.textContent = 'Running …';
    const request = {seeds: [seed], previews: true, ...requestLabels(model, state.label)};
    const entrants = [lane(model, {...request, model: model.name, steps}), lane({...model, name: model.baseline}, {...request, model: model.baseline})];
    lanes.replaceChildren(...(remark ? [notice(remark)] : []), ...entrants.map((entrant) => entrant.element));
    const [few, many] = await Promise.all(entrants.map((entrant) => entrant.run(signal)));
    if (signal.aborted) return;
    if (few && many) {
      heading.textContent = state.label ?? few.title;
      verdict.textContent = `Seed ${seed} · ${(many.seconds / few.seconds).toFixed(many.seconds < 10 * few.seconds ? 1 : 0)} times as fast`;
      context.announce(`${model.name} took ${clock(few.seconds)}, ${model.baseline} ${clock(many.seconds)}`);
    } else {
      verdict.textContent = '';
    }
    side.paint(signal);
  }

  function lane(of, request) {
    const image = h('img', {alt: '', class: 'large'});
    image.classList.toggle('small', of.shape.at(-1) < 64);
    const frame = h('div', {class: 'frame waiting'}, image);
    frame.style.setProperty('--shape', `${of.shape.at(-1)} / ${of.shape.at(-2)}`);
    const time = h('span', {class: 'clock', 'aria-hidden': 'true'}, '0.000 s');
    const calls = h('span', {class: 'status'}, ' ');
    const bar = h('progress', {max: 1, value: 0, 'aria-label': `Network calls of ${of.name}`});
    const element = h('article', {class: 'lane', 'data-model': of.name, 'aria-label': of.name}, h('h2', {}, of.name), frame, bar,
      h('p', {class: 'result'}, time, calls));

    async function run(signal) {
      const from = performance.now();
      let seconds = null, title = '';
      const tick = () => {
        if (seconds !== null || signal.aborted) return;
        time.textContent = clock((performance.now() - from) / 1000);
        requestAnimationFrame(tick);
      };
      tick();
      const paint = (png, text) => {
        show(image, png);
        image.alt = text;
        frame.classList.remove('waiting');
      };
      try {
        const report = await draw(request, {signal,
          preview: ({call, calls: all, png}) => {
            paint(png, `${of.name}, after ${call} of ${all} calls`);
            bar.value = call / all;
            calls.textContent = `${call} of ${all} calls`;
          },
          sample: (sample) => {
            seconds = (performance.now() - from) / 1000;
            title = titleOf(sample, of);
            paint(sample.png, `${title}, seed ${sample.seed}, by ${of.name}`);
          }});
        seconds ??= (performance.now() - from) / 1000;
        bar.value = 1;
        time.textContent = clock(seconds);
        calls.textContent = `${report.nfe} network call${report.nfe === 1 ? '' : 's'}`;
        element.dataset.done = 'true';
        return {seconds, title};
      } catch (error) {
        seconds = 0;
        if (!signal.aborted && !(error instanceof Gone)) element.append(notice(error));
        return null;
      }
    }
    return {element, run};
  }

  return {
    update,
    unmount() { leave.abort(); },
  };
}

const clock = (seconds) => `${seconds.toFixed(3)} s`;
