// Drums: sixteen pads that sound when one clicks them or presses their keys; another kit at a click.

import {draw, Gone} from './api.js';
import {chooseModel, defaultSteps, labelField, labelsOf, notice, requestLabels, seedField, sidebar, stepsField, titleOf}
  from './controls.js';
import {copyButton, fileName, h, save} from './dom.js';
import {zip} from './zip.js';

export const id = 'drums';
export const title = 'Drums';
export const available = (models) => models.filter((model) => model.modality === 'audio');

// Keys as they lie on a keyboard, whatever is printed on them.
const keys = ['Digit1', 'Digit2', 'Digit3', 'Digit4', 'KeyQ', 'KeyW', 'KeyE', 'KeyR', 'KeyA', 'KeyS', 'KeyD', 'KeyF', 'KeyZ', 'KeyX',
  'KeyC', 'KeyV'];
const pads = keys.length;
// A kit, for models that know these; the others of a model follow.
const usual = ['kick', 'snare', 'closed hat', 'open hat', 'clap', 'rim', 'tom', 'crash', 'ride', 'cowbell', 'shaker', 'tambourine', 'conga',
  'clave block', 'whistle', 'triangle'];
const apart = 1000;  // seeds between the sounds that one pad tries

// A closed hi-hat ends an open one.
const silences = {'closed hat': ['open hat'], 'open hat': ['open hat']};

export function mount(element, context) {
  const leave = new AbortController();
  let drawing = new AbortController();  // ends with the kit that it was made for
  let drawn = null;                     // which kit, as text
  let model, steps, seed, wanted = [];  // of each pad {seed, label}
  let sounds = [];                      // of each pad the sample, with `heard`: its numbers
  let last = 0;                         // the pad that sounded last
  let output = null;
  const playing = new Map();            // by title: what sounds

  const side = sidebar({
    models: context.models,
    pick: (next) => context.go({model: next.name, label: null, steps: null, pads: null}),
    fields: (of, chosen) => [
      labelField(of, chosen.label, (label) => context.go({label, pads: null}), 'Sound'),
      stepsField(of, chosen.steps, (next) => context.go({steps: next})),
      seedField((next) => context.go({seed: next, pads: null}))],
    button: ['New kit', () => context.go({seed: seed + pads, pads: null})],
  });
  const heading = h('h1', {});
  const status = h('p', {class: 'status'});
  const trouble = h('div', {});
  const toZip = h('button', {type: 'button', class: 'quiet', onclick: saveZip}, 'Kit as ZIP');
  const buttons = keys.map((key, at) => h('button', {type: 'button', class: 'pad', 'aria-keyshortcuts': key.at(-1),
    onpointerdown: (event) => { if (event.button === 0) hit(at); },
    onclick: (event) => { if (event.detail === 0) hit(at); },  // by the keyboard or a screen reader
    onfocus: () => choose(at)},
    h('kbd', {'aria-hidden': 'true'}, key.at(-1)), h('canvas', {width: 240, height: 80, 'aria-hidden': 'true'}), h('span', {})));
  const about = h('p', {class: 'status'});
  const another = h('button', {type: 'button', class: 'quiet', onclick: tryAnother}, 'Another one');
  const toWav = h('button', {type: 'button', class: 'quiet', onclick: saveOne}, '.wav');
  const tools = h('div', {class: 'tools', role: 'group', 'aria-label': 'The sound that was played last'},
    about, another, toWav, copyButton(() => sounds[last].command));
  element.append(side.element, h('section', {class: 'stage', 'aria-label': 'Kit'},
    h('div', {class: 'headline'}, h('div', {}, heading, status), h('div', {class: 'tools'}, toZip)), trouble,
    h('div', {class: 'pads'}, buttons), tools,
    h('p', {class: 'hint keys'}, 'Click a pad, or press its key')));

  // ---- what sounds ----

  function hit(at) {
    choose(at);
    const sample = sounds[at];
    if (!sample?.heard) return;
    output ??= new AudioContext();
    output.resume();
    const name = titleOf(sample, model);
    for (const other of silences[name] ?? []) playing.get(other)?.stop();
    const source = new AudioBufferSourceNode(output, {buffer: sample.heard});
    source.connect(output.destination);
    source.start();
    playing.set(name, source);
    element.dataset.played = `${(Number(element.dataset.played?.split(' ')[0]) || 0) + 1} ${name}`;
    buttons[at].classList.remove('hit');
    void buttons[at].offsetWidth;  // so that it lights up anew
    buttons[at].classList.add('hit');
  }
  document.addEventListener('keydown', (event) => {
    const at = keys.indexOf(event.code);
    if (at < 0 || event.repeat || event.ctrlKey || event.metaKey || event.altKey ||
        event.target.closest('input:not([type=radio]), textarea, select, dialog')) return;
    hit(at);
  }, {signal: leave.signal});

  function choose(at) {
    last = at;
    const sample = sounds[at];
    about.textContent = sample ? `${titleOf(sample, model)}, seed ${sample.seed}` : '';
    for (const button of tools.querySelectorAll('button')) button.disabled = !sample;
  }

  // The largest and the smallest number of each column.
  function paint(canvas, heard) {
    const {width, height} = canvas, surface = canvas.getContext('2d'), numbers = heard.getChannelData(0);
    surface.clearRect(0, 0, width, height);
    surface.fillStyle = getComputedStyle(canvas).color;
    for (let x = 0; x < width; x += 3) {
      const some = numbers.subarray(Math.floor(x * numbers.length / width), Math.floor((x + 3) * numbers.length / width));
      let most = 0;
      for (const number of some) most = Math.max(most, Math.abs(number));
      const tall = Math.max(2, most * height);
      surface.fillRect(x, (height - tall) / 2, 2, tall);
    }
  }

  // ---- the kit ----

  // Which pads have another sound than the kit's: "3.1016" is the fourth pad's, of seed 1016.
  const readPads = (text) => new Map((text ?? '').split(',').map((each) => each.split('.').map(Number))
    .filter(([at, other]) => Number.isInteger(at) && at >= 0 && at < pads && Number.isSafeInteger(other) && other >= 0));

  function kit(state) {
    const known = labelsOf(model).map(([value]) => value);
    const order = [...usual.filter((name) => known.includes(name)), ...known.filter((name) => !usual.includes(name))];
    const others = readPads(state.pads);
    return keys.map((_, at) => ({
      seed: others.get(at) ?? seed + at,
      ...(state.label !== null ? {label: requestLabels(model, state.label).labels[0]} : order.length && {label: order[at % order.length]})}));
  }

  function update(state) {
    const [chosen, remark] = chooseModel(context.models, state.model);
    model = chosen;
    steps = state.steps ?? defaultSteps(model);
    seed = state.seed ?? 0;
    wanted = kit(state);
    heading.textContent = state.label ?? 'Kit';
    side.update(model, {label: state.label, steps, seed});
    const text = JSON.stringify([model.name, steps, wanted]);
    if (text === drawn) return;
    drawn = text;
    drawKit(remark);
  }

  async function drawKit(remark) {
    drawing.abort();
    drawing = new AbortController();
    const {signal} = drawing;
    const from = performance.now();
    trouble.replaceChildren(...(remark ? [notice(remark)] : []));
    // What is there already stays.
    const before = sounds;
    sounds = wanted.map(({seed: of, label}) => before.find((sample) => sample && sample.model === model.name && sample.steps === steps &&
      sample.seed === of && (label === undefined || label === sample.label || label === sample.label_name)));
    const missing = wanted.map((_, at) => at).filter((at) => !sounds[at]);
    sounds.forEach((sample, at) => show(at, sample));
    const request = {model: model.name, steps, seeds: missing.map((at) => wanted[at].seed),
      ...(wanted[0].label !== undefined && {labels: missing.map((at) => wanted[at].label)})};
    try {
      if (missing.length) {
        await draw(request, {signal, sample: async (sample) => {
          const at = missing.find((place) => !sounds[place] && wanted[place].seed === sample.seed);
          if (at === undefined) return;
          sounds[at] = {...sample, model: model.name, steps};
          // A context that is only asked to read needs no click.
          const reader = new OfflineAudioContext(1, 1, model.rate);
          sounds[at].heard = await reader.decodeAudioData(await sample.wav.arrayBuffer());
          if (!signal.aborted) show(at, sounds[at]);
        }});
      }
      const milliseconds = Math.max(1, Math.round(performance.now() - from));
      status.textContent = `${missing.length} sound${missing.length === 1 ? '' : 's'} · seed ${seed} · ${milliseconds} ms`;
      context.announce(`${missing.length} sounds, drawn in ${milliseconds} milliseconds`);
      choose(last);
    } catch (error) {
      if (signal.aborted) return;
      drawn = null;
      status.textContent = '';
      if (!(error instanceof Gone)) trouble.replaceChildren(notice(error));
    }
  }

  function show(at, sample) {
    const [, canvas, caption] = buttons[at].children;
    buttons[at].classList.toggle('waiting', !sample?.heard);
    if (!sample?.heard) return;
    caption.textContent = titleOf(sample, model);
    buttons[at].setAttribute('aria-label', `Pad ${at + 1}: ${caption.textContent}, seed ${sample.seed}`);
    paint(canvas, sample.heard);
    if (at === last) choose(at);
  }

  function tryAnother() {
    const others = readPads(context.state.pads);
    others.set(last, wanted[last].seed + apart);
    context.go({pads: [...others].map(([at, other]) => `${at}.${other}`).join(',')});
  }

  const nameOf = (at) => fileName(model.name, at + 1, titleOf(sounds[at], model), sounds[at].seed);
  function saveOne() { save(sounds[last].wav, `${nameOf(last)}.wav`); }
  async function saveZip() {
    const there = sounds.map((_, at) => at).filter((at) => sounds[at]);
    if (!there.length) return;
    save(await zip(there.map((at) => [`${nameOf(at)}.wav`, sounds[at].wav])), `${fileName(model.name, 'kit', seed)}.zip`);
    context.announce(`${there.length} sounds in a ZIP`);
  }

  choose(0);
  return {
    update,
    unmount() {
      leave.abort();
      drawing.abort();
      output?.close();
    },
  };
}
