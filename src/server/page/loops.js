// Loops: a sheet of clips that move for as long as one looks, transparent where they are; each, or all, to take along.

import {closed} from './address.js';
import {draw, fileOf, Gone} from './api.js';
import {chooseModel, defaultSteps, notice, requestLabels, sheetSidebar, titleOf} from './controls.js';
import {copyButton, fileName, h, save, show} from './dom.js';
import {zip} from './zip.js';

export const id = 'loops';
export const title = 'Loops';
export const available = (models) => models.filter((model) => model.modality === 'video');

const fullSheet = 24;
const mostLoops = 200;  // that one address draws

export function mount(element, context) {
  let drawing = new AbortController();  // ends with the sheet that it was made for
  let drawn = null;                     // which sheet, as text
  let model, steps, seed, count;
  let samples = [];

  const side = sheetSidebar(context, mostLoops, () => context.go({...closed, seed: seed + count}));
  const heading = h('h1', {});
  const status = h('p', {class: 'status'});
  const trouble = h('div', {});
  const list = h('ol', {class: 'sheet loops small', 'aria-label': 'Loops'});
  const toZip = h('button', {type: 'button', class: 'quiet', onclick: saveZip}, 'All as ZIP');
  const large = h('img', {alt: '', class: 'creature'});
  const name = h('h2', {tabindex: -1});
  const opened = h('section', {class: 'chosen', 'aria-label': 'Chosen loop', hidden: true}, h('div', {class: 'frame small'}, large),
    h('div', {class: 'beside'}, name, h('div', {class: 'actions'},
      h('button', {type: 'button', class: 'action', onclick: () => takeChosen('webp')}, 'Animated WebP'),
      h('button', {type: 'button', class: 'action', onclick: () => takeChosen('png')}, 'Sprite sheet as PNG', h('small', {}, 'frame beside frame')),
      copyButton(() => chosen().command))));
  element.append(side.element, h('section', {class: 'stage', 'aria-label': 'Sheet'},
    h('div', {class: 'headline'}, h('div', {}, heading, status), h('div', {class: 'tools'}, toZip)), trouble, opened, list));

  function request() {
    return {model: model.name, seeds: Array.from({length: count}, (_, i) => seed + i), steps, ...requestLabels(model, context.state.label)};
  }

  function update(state) {
    const [picked, remark] = chooseModel(context.models, state.model);
    model = picked;
    steps = state.steps ?? defaultSteps(model);
    seed = state.seed ?? 0;
    count = Math.min(Math.max(state.count ?? fullSheet, 1), mostLoops);
    side.update(model, {label: state.label, count, steps, seed});
    const wanted = JSON.stringify(request());
    if (wanted !== drawn) {
      drawn = wanted;
      drawSheet(state, remark);
    }
    showChosen();
  }

  async function drawSheet(state, remark) {
    drawing.abort();
    drawing = new AbortController();
    const {signal} = drawing;
    const from = performance.now();
    samples = Array(count).fill();
    heading.textContent = state.label ?? (model.label_count ? 'Everything' : model.name);
    status.textContent = 'Drawing …';
    trouble.replaceChildren(...(remark ? [notice(remark)] : []));
    while (list.children.length > count) list.lastChild.remove();
    while (list.children.length < count) list.append(h('li', {}, h('a', {}, h('img', {alt: ''}))));
    for (const item of list.children) item.className = 'waiting';
    list.style.setProperty('--shape', `${model.shape.at(-1) || 1} / ${model.shape.at(-2) || 1}`);
    list.setAttribute('aria-busy', 'true');
    try {
      const report = await draw(request(), {signal, sample: (sample) => {
        const at = sample.seed - seed;
        if (samples[at] || at < 0 || at >= count) return;
        samples[at] = sample;
        const link = list.children[at].firstChild;
        show(link.firstChild, sample.webp);
        link.firstChild.alt = titled(sample);
        link.href = context.link({...closed, open: sample.seed});
        list.children[at].className = '';
        if (sample.seed === context.state.open) showChosen();
      }});
      const milliseconds = Math.round(performance.now() - from);
      status.textContent = `Seeds ${seed} to ${seed + count - 1} · ${report.nfe} network call${report.nfe === 1 ? '' : 's'} each · ${milliseconds} ms`;
      context.announce(`${count} loops, drawn in ${milliseconds} milliseconds`);
    } catch (error) {
      if (signal.aborted) return;
      status.textContent = '';
      if (!(error instanceof Gone)) trouble.replaceChildren(notice(error));
    } finally {
      if (!signal.aborted) list.setAttribute('aria-busy', 'false');
    }
  }

  const titled = (sample) => `${titleOf(sample, model)}, seed ${sample.seed}`;
  const chosen = () => samples.find((sample) => sample?.seed === context.state.open);

  function showChosen() {
    const sample = chosen();
    opened.hidden = !sample;
    [...list.children].forEach((item, at) => item.toggleAttribute('data-selected', Boolean(sample) && samples[at] === sample));
    if (!sample || large.dataset.of === titled(sample)) return;
    large.dataset.of = titled(sample);
    show(large, sample.webp);
    large.alt = name.textContent = titled(sample);
  }

  async function takeChosen(kind) {
    const sample = chosen();
    const file = fileName(model.name, sample.label_name, sample.seed);
    if (kind === 'webp') return save(sample.webp, `${file}.webp`);
    try {
      const one = {...request(), seeds: [sample.seed], ...(sample.label !== null && {labels: [sample.label]})};
      save(await fileOf('/api/generate', {request: one, accept: 'image/png', signal: drawing.signal}), `${file}.png`);
    } catch (error) {
      if (!(error instanceof Gone)) trouble.replaceChildren(notice(error));
    }
  }

  async function saveZip() {
    const there = samples.filter(Boolean);
    if (!there.length) return;
    const files = there.map((sample) => [`${fileName(model.name, sample.label_name, sample.seed)}.webp`, sample.webp]);
    save(await zip(files), `${fileName(model.name, context.state.label, seed)}.zip`);
    context.announce(`${files.length} loops in a ZIP`);
  }

  return {update, unmount() { drawing.abort(); }};
}
