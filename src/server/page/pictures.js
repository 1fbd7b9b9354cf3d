// A sheet of pictures, drawn at once; a click opens one (opened.js).

import {closed} from './address.js';
import {draw, Gone, picture} from './api.js';
import {chooseModel, defaultSteps, notice, requestLabels, sheetSidebar, titleOf} from './controls.js';
import {fileName, h, save, show} from './dom.js';
import {mountOpened} from './opened.js';
import {zip} from './zip.js';

export const id = 'pictures';
export const title = 'Pictures';
export const available = (models) => models.filter((model) => model.modality === 'image');

const fullSheet = 24;
// What one address draws; a browser shows more with trouble.
const mostPictures = 500;

export function mount(element, context) {
  let leave = new AbortController();  // ends with the sheet it was made for
  let drawn = null;                   // what is on the sheet, as text
  let samples = [];                   // of the sheet, in order; undefined where not yet there
  let model, steps, seed, count;
  const selected = new Set();         // places on the sheet

  const side = sheetSidebar(context, mostPictures, () => context.go({...closed, seed: seed + count}));
  const heading = h('h1', {});
  const status = h('p', {class: 'status'});
  const trouble = h('div', {});
  const list = h('ol', {class: 'sheet', 'aria-label': 'Pictures'});
  const toZip = h('button', {type: 'button', class: 'quiet', onclick: saveZip}, 'Download ZIP');
  const toSheet = h('button', {type: 'button', class: 'quiet', onclick: saveSheet}, 'Sheet as PNG');
  const clear = h('button', {type: 'button', class: 'quiet', hidden: true, onclick: () => select(() => selected.clear())}, 'Select none');
  element.append(side.element, h('section', {class: 'stage', 'aria-label': 'Sheet'},
    h('div', {class: 'headline'}, h('div', {}, heading, status), h('div', {class: 'tools'}, clear, toSheet, toZip)), trouble, list,
    h('p', {class: 'hint keys'}, keys('Arrows', 'move'), keys('Enter', 'opens'), keys('X', 'selects'), keys('Space', 'next sheet'))));
  const opened = mountOpened(context, () => ({model, samples, steps}));

  function keys(key, does) { return h('span', {}, h('kbd', {}, key), ` ${does}`); }

  function request() {
    const {label} = context.state;
    return {model: model.name, seeds: Array.from({length: count}, (_, i) => seed + i), steps, ...requestLabels(model, label)};
  }

  function update(state) {
    const [chosen, remark] = chooseModel(context.models, state.model);
    model = chosen;
    steps = state.steps ?? defaultSteps(model);
    seed = state.seed ?? 0;
    count = Math.min(Math.max(state.count ?? fullSheet, 1), mostPictures);
    const wanted = JSON.stringify(request());
    if (wanted !== drawn) {
      drawn = wanted;
      side.update(model, {label: state.label, count, steps, seed});
      drawSheet(state, remark);
    }
    opened.update(state);
  }

  async function drawSheet(state, remark) {
    leave.abort();
    leave = new AbortController();
    const {signal} = leave;
    const from = performance.now();
    select(() => selected.clear());
    samples = Array(count).fill();
    heading.textContent = state.label === null ? (model.label_count ? 'Everything' : model.name) :
      /^\d+$/.test(state.label) ? `Label ${state.label}` : state.label;
    status.textContent = 'Drawing …';
    trouble.replaceChildren(...(remark ? [notice(remark)] : []));
    while (list.children.length > count) list.lastChild.remove();
    while (list.children.length < count) list.append(tile(list.children.length));
    for (const item of list.children) item.className = 'waiting';
    list.style.setProperty('--shape', `${model.shape.at(-1) || 1} / ${model.shape.at(-2) || 1}`);
    list.classList.toggle('small', model.shape.at(-1) < 64);
    list.setAttribute('aria-busy', 'true');
    roving(0);
    let arrived = 0;
    const tell = setTimeout(() => context.announce(`Drawing ${count} pictures`), 1000);
    try {
      const report = await draw(request(), {signal, sample: (sample) => {
        const at = sample.seed - seed;
        if (samples[at] || at < 0 || at >= count) return;
        samples[at] = sample;
        fill(list.children[at], sample);
        ++arrived;
        if (count > 1) status.textContent = `${arrived} of ${count}`;
      }, progress: ({calls_done, calls}) => {
        if (arrived === 0 && calls > count) status.textContent = `Drawing, ${Math.round(100 * calls_done / calls)} %`;
      }});
      const seconds = (performance.now() - from) / 1000;
      const each = `${report.nfe} network call${report.nfe === 1 ? '' : 's'} each`;
      status.textContent = `Seed${count === 1 ? ` ${seed}` : `s ${seed} to ${seed + count - 1}`} · ${each} · ${clock(seconds)}`;
      context.announce(`${count} pictures, drawn in ${clock(seconds)}`);
      side.paint(signal);
    } catch (error) {
      if (signal.aborted) return;
      status.textContent = '';
      if (!(error instanceof Gone)) trouble.replaceChildren(notice(error));
      for (const item of list.children) if (item.className === 'waiting') item.className = 'empty';
    } finally {
      clearTimeout(tell);
      if (!signal.aborted) list.setAttribute('aria-busy', 'false');
    }
  }

  // A place on the sheet keeps its old picture, dimmed, until the new one is there.
  function tile(at) {
    const box = h('input', {type: 'checkbox', tabindex: -1, onchange: () => select(() =>
      box.checked ? selected.add(at) : selected.delete(at))});
    return h('li', {}, h('a', {tabindex: -1}, h('img', {alt: ''}), h('span', {class: 'caption', 'aria-hidden': 'true'})),
      h('label', {class: 'tick'}, box));
  }

  function fill(item, sample) {
    const name = `${titleOf(sample, model)}, seed ${sample.seed}`;
    const [link, {firstChild: box}] = item.children;
    const [image, caption] = link.children;
    show(image, sample.png);
    image.alt = name;
    caption.replaceChildren(h('b', {}, titleOf(sample, model)), ` ${sample.seed}`);
    link.href = context.link({...closed, open: sample.seed});
    box.setAttribute('aria-label', `Select ${name}`);
    item.className = '';
  }

  function select(change) {
    change();
    [...list.children].forEach((item, at) => {
      item.querySelector('input').checked = selected.has(at);
      item.toggleAttribute('data-selected', selected.has(at));
    });
    list.toggleAttribute('data-selecting', selected.size > 0);
    toZip.textContent = selected.size ? `Download ${selected.size} as ZIP` : 'All as ZIP';
    clear.hidden = selected.size === 0;
  }

  async function saveZip() {
    const chosen = samples.filter((sample, at) => sample && (!selected.size || selected.has(at)));
    if (!chosen.length) return;
    const files = chosen.map((sample) => [`${fileName(model.name, sample.label_name, sample.seed)}.png`, sample.png]);
    save(await zip(files), `${fileName(model.name, context.state.label, seed)}.zip`);
    context.announce(`${files.length} pictures in a ZIP`);
  }

  async function saveSheet() {
    try {
      save((await picture('/api/generate', {request: request()})).png, `${fileName(model.name, context.state.label, seed)}-sheet.png`);
    } catch (error) {
      if (!(error instanceof Gone)) trouble.replaceChildren(notice(error));
    }
  }

  // One tile is in the order of the Tab key; the arrows go to the others.
  function roving(at, focus = false) {
    const links = [...list.querySelectorAll('a')];
    links.forEach((link, i) => { link.tabIndex = i === at ? 0 : -1; });
    if (focus) links[at].focus();
  }
  list.addEventListener('focusin', ({target}) => {
    const at = [...list.children].indexOf(target.closest('li'));
    if (target.matches('a')) roving(at);
  });
  list.addEventListener('keydown', (event) => {
    const at = [...list.children].indexOf(event.target.closest('li'));
    const top = list.children[0].offsetTop;
    const across = [...list.children].filter((item) => item.offsetTop === top).length;
    const to = {ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - across, ArrowDown: at + across, Home: 0, End: count - 1}[event.key];
    if (to !== undefined) {
      event.preventDefault();
      if (to >= 0 && to < count) roving(to, true);
    } else if (event.key.toLowerCase() === 'x' && !event.ctrlKey && !event.metaKey && samples[at]) {
      select(() => selected.delete(at) || selected.add(at));
    }
  });

  return {
    update,
    unmount() {
      leave.abort();
      opened.unmount();
    },
  };
}

function clock(seconds) {
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}
