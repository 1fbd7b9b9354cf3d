// One picture, large, and what can be made of it.
//
// What was made of it stands in the address as `made`: changes in their order, joined by "~", each made from the one before
//   v.<first level in hundredths>.<seed>          a variation: /api/edit stroke
//   f.<width>.<height>.<cells>.<seed>             a part drawn anew: /api/edit inpaint (cells: mask.js)
// so that a link makes the same picture again.

import {closed} from './address.js';
import {draw, drawOne, Gone} from './api.js';
import {notice, requestLabels, titleOf} from './controls.js';
import {copyButton, debounced, fileName, h, save, show} from './dom.js';
import {brush, Mask} from './mask.js';
import {zip} from './zip.js';

const frames = 33;    // between two pictures
const variations = 8;
const repairs = 4;

export function mountOpened(context, sheet) {
  let leave = new AbortController();
  let shown = null;      // key of the picture that is large
  let current = null;    // its sample
  let last = null;       // seed of the one that was opened last
  let shownTool = null;
  let tool = null;       // {element, update(state), unmount()}
  const made = new Map();  // key: sample; what was made already

  const image = h('img', {alt: '', class: 'large'});
  const frame = h('div', {class: 'frame'}, image);
  const heading = h('h2', {id: 'opened-title', tabindex: -1, autofocus: true});
  const about = h('p', {class: 'status'});
  const trouble = h('div', {});
  const panel = h('div', {class: 'panel'});
  const close = h('button', {type: 'button', class: 'round close', 'aria-label': 'Close', onclick: () => dialog.close()}, '×');
  const previous = h('button', {type: 'button', class: 'round', 'aria-label': 'Previous picture', onclick: () => walk(-1)}, '←');
  const next = h('button', {type: 'button', class: 'round', 'aria-label': 'Next picture', onclick: () => walk(1)}, '→');
  const dialog = h('dialog', {class: 'opened', 'aria-labelledby': 'opened-title'}, h('div', {class: 'two'}, frame,
    h('div', {class: 'beside'}, h('div', {class: 'row bar'}, previous, next, close), heading, about, trouble, panel)));
  dialog.addEventListener('close', () => context.state.open !== null && context.go(closed));
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  dialog.addEventListener('keydown', (event) => {
    if (event.target.closest('input, textarea, select, [data-keys]')) return;
    if (event.key === 'ArrowLeft') walk(-1);
    if (event.key === 'ArrowRight') walk(1);
  });
  document.body.append(dialog);

  const walk = (by) => {
    const {open, made: changes} = context.state;
    if (open + by >= 0 && !changes) context.go({...closed, open: open + by}, {replace: true});
  };

  function update(state) {
    if (state.open === null) {
      if (shown === null) return;
      leave.abort();
      shown = null;
      closeTool();
      dialog.close();
      // The picture that was open last has the focus, not the one that was opened first.
      document.querySelector(`.sheet a[href$="open=${last}"]`)?.focus();
      return;
    }
    last = state.open;
    if (!dialog.open) dialog.showModal();
    const {model, steps} = sheet();
    const key = JSON.stringify([model.name, steps, state.label, state.open, state.made]);
    previous.hidden = next.hidden = Boolean(state.made);
    previous.disabled = state.open === 0;
    if (key !== shown) {
      shown = key;
      current = null;
      closeTool();
      load(state, key);
    } else if (current) {
      openTool(state);
    }
  }

  async function load(state, key) {
    leave.abort();
    leave = new AbortController();
    const {signal} = leave;
    trouble.replaceChildren();
    frame.classList.add('waiting');
    try {
      const sample = await sampleOf(state, signal);
      if (signal.aborted || key !== shown) return;
      current = sample;
      present(sample, nameOf(sample, state));
      openTool(context.state);
    } catch (error) {
      if (signal.aborted) return;
      heading.textContent = `Seed ${state.open}`;
      about.textContent = '';
      image.removeAttribute('src');
      frame.classList.remove('waiting');
      if (!(error instanceof Gone)) trouble.replaceChildren(notice(error));
    }
  }

  // The picture of the address: its seed's, then change by change.
  async function sampleOf(state, signal) {
    const {model, steps, samples} = sheet();
    const start = {model: model.name, seeds: [state.open], steps, ...requestLabels(model, state.label)};
    let key = JSON.stringify(start);
    const keep = (sample) => {
      made.set(key, sample);
      if (made.size > 200) made.delete(made.keys().next().value);
      return sample;
    };
    let sample = made.get(key) ?? keep(samples.find((each) => each?.seed === state.open) ?? await drawOne(start, signal));
    for (const [i, change] of (state.made?.split('~') ?? []).entries()) {
      key += `~${change}`;
      sample = made.get(key) ?? keep(await changed(sample, change, `${state.open}-${i + 1}.png`, signal));
    }
    return sample;
  }

  // A change of a picture. Its command is the picture's own and one more, which reads the file that the one before wrote.
  async function changed(sample, change, file, signal) {
    const {model} = sheet();
    const request = editOf(change, sample, model);
    const {label, label_name} = sample;
    const before = sample.command.split(' ').at(-1);
    const words = [request.task, model.name, before, ...(request.mask ? ['--mask', 'mask.png'] : ['--levels', request.levels.join()]),
      ...(model.label_count ? ['--label', label_name] : []), '--seeds', request.seeds[0], '-o', file];
    const mask = request.mask ? ` && base64 -d > mask.png <<< ${request.mask}` : '';
    const drawn = await drawOne(request, signal);
    return {...drawn, label, label_name, command: `${sample.command}${mask} && onestep edit ${words.map(quoted).join(' ')}`};
  }

  const labelOf = (sample) => (sheet().model.label_count ? {labels: [sample.label]} : {});

  function editOf(change, sample, model) {
    const request = {model: model.name, picture: sample.base64, ...labelOf(sample)};
    const variation = /^v\.(\d+)\.(\d+)$/.exec(change);
    if (variation) return {...request, task: 'stroke', levels: levelsOf(Number(variation[1])), seeds: [Number(variation[2])]};
    const part = /^f\.(\d+\.\d+\.[\w-]+)\.(\d+)$/.exec(change);
    const mask = part && Mask.read(part[1]);
    if (mask) return {...request, task: 'inpaint', mask: mask.png(...sizeOf(model)), seeds: [Number(part[2])]};
    throw new Error(`made = "${change}" in the address is no change of a picture`);
  }

  const nameOf = (sample, state) => `${titleOf(sample, sheet().model)}, seed ${state.open}${state.made ? ', changed' : ''}`;

  function present(sample, name) {
    const {model} = sheet();
    show(image, sample.png);
    image.alt = name;
    image.classList.toggle('small', model.shape.at(-1) < 64);
    frame.style.setProperty('--shape', `${model.shape.at(-1)} / ${model.shape.at(-2)}`);
    frame.classList.remove('waiting');
    const changes = context.state.made?.split('~').length ?? 0;
    heading.textContent = titleOf(sample, model);
    about.textContent = `Seed ${context.state.open}` + (changes ? ` · ${changes} change${changes > 1 ? 's' : ''}` : '');
  }

  function closeTool() {
    tool?.unmount?.();
    tool = null;
    shownTool = null;
    panel.replaceChildren();
    frame.replaceChildren(image);
  }

  function openTool(state) {
    const {model} = sheet();
    const name = tools[state.tool]?.can(model, state) ? state.tool : 'menu';
    if (name !== shownTool) {
      const before = shownTool;
      closeTool();
      if (before) present(current, nameOf(current, state));
      shownTool = name;
      tool = tools[name].make();
      if (name !== 'menu') {
        panel.append(h('button', {type: 'button', class: 'back', onclick: () =>
          context.go({...closed, open: state.open, made: context.state.made})}, '← All actions'));
      }
      panel.append(...tool.elements);
      panel.dataset.tool = name;
      if (before) (panel.querySelector('[autofocus]') ?? panel.querySelector('button')).focus();
    }
    tool.update?.(state);
  }

  const takes = (model, edit) => model.edits.includes(edit);
  const tools = {
    menu: {can: () => true, make: menu},
    more: {can: (model) => takes(model, 'stroke'), make: more},
    between: {can: (model, state) => takes(model, 'interpolate') && !state.made, make: between},
    fix: {can: (model) => takes(model, 'inpaint'), make: fix},
  };

  function menu() {
    const {model} = sheet();
    const state = context.state;
    const action = (name, text, hint) => tools[name].can(model, state) &&
      h('button', {type: 'button', class: 'action', 'data-tool': name, onclick: () => context.go({tool: name})}, text, h('small', {}, hint));
    return {elements: [h('div', {class: 'actions'},
      action('more', 'More like this', 'Near ones of the same kind'),
      action('between', 'Between these two', 'From this picture to another'),
      action('fix', 'Fix this part', 'Paint over it, and it is drawn anew'),
      h('button', {type: 'button', class: 'action', 'data-download': true, onclick: download}, 'Download', h('small', {}, 'PNG, with how it was made inside')),
      copyButton(() => current.command),
      state.made && h('button', {type: 'button', class: 'action', onclick: () =>
        context.go({made: state.made.split('~').slice(0, -1).join('~') || null})}, 'Take the last change back'))].filter(Boolean)};
  }

  function download() {
    save(current.png, `${fileName(sheet().model.name, current.label_name, context.state.open, context.state.made && 'changed')}.png`);
  }

  // A handful of pictures to choose from; a click takes one.
  function handful(many, caption) {
    const list = h('ul', {class: 'handful', 'aria-label': caption});
    const said = h('div', {});
    let running = new AbortController();
    return {
      elements: [list, said],
      stop: () => running.abort(),
      async draw(request, changeOf) {
        running.abort();
        running = new AbortController();
        const {signal} = running;
        const {model} = sheet();
        said.replaceChildren();
        while (list.children.length < many) list.append(h('li', {}, h('button', {type: 'button', disabled: true}, h('img', {alt: ''}))));
        list.classList.toggle('small', model.shape.at(-1) < 64);
        for (const item of list.children) item.className = 'waiting';
        const {label} = current;
        try {
          let at = 0;
          await draw(request, {signal, sample: (sample) => {
            const item = list.children[request.seeds.indexOf(sample.seed)];
            const button = item.firstChild;
            show(button.firstChild, sample.png);
            button.firstChild.alt = `${caption} ${++at}: ${titleOf({...sample, label}, model)}`;
            button.disabled = false;
            button.onclick = () => {
              const state = context.state;
              context.go({...closed, open: state.open, made: [state.made, changeOf(sample.seed)].filter(Boolean).join('~')});
            };
            item.className = '';
          }});
          context.announce(`${many} pictures to choose from`);
        } catch (error) {
          if (!signal.aborted && !(error instanceof Gone)) said.replaceChildren(notice(error));
        }
      },
    };
  }

  function more() {
    const few = handful(variations, 'Variation');
    const strength = h('input', {type: 'range', min: 0, max: 100, step: 1, id: 'strength'});
    const redraw = debounced(60, () => context.go({strength: hundredths(strength.valueAsNumber), page: null}, {replace: true}));
    strength.addEventListener('input', redraw);
    let drawn = null;
    return {
      elements: [h('p', {}, 'Noise goes onto this picture and is taken out again. Take one that you like.'),
        h('label', {class: 'range', for: 'strength'}, h('span', {}, 'Nearer'), strength, h('span', {}, 'Freer')), ...few.elements,
        h('button', {type: 'button', class: 'action', onclick: () => context.go({page: (context.state.page ?? 0) + 1}, {replace: true})},
          'Others')],
      unmount: () => { redraw.cancel(); few.stop(); },
      update(state) {
        const level = state.strength ?? 250;
        if (document.activeElement !== strength) strength.value = positionOf(level);
        strength.setAttribute('aria-valuetext', `noise ${level / 100}`);
        const first = state.open + 1 + variations * (state.page ?? 0);
        const key = `${level} ${first}`;
        if (key === drawn) return;
        drawn = key;
        few.draw({model: sheet().model.name, task: 'stroke', picture: current.base64, levels: levelsOf(level), ...labelOf(current),
                  seeds: Array.from({length: variations}, (_, i) => first + i)}, (seed) => `v.${level}.${seed}`);
      },
    };
  }

  function fix() {
    const {model} = sheet();
    const [width, height] = sizeOf(model);
    const mask = Mask.read(context.state.mask) ?? Mask.of(width, height);
    const size = h('input', {type: 'range', min: 2, max: 30, step: 1, value: 9, id: 'brush-size'});
    const surface = brush(mask, () => size.valueAsNumber / 100, () => context.go({mask: mask.empty ? null : String(mask), page: null}, {replace: true}));
    size.addEventListener('input', () => surface.redraw());
    const few = handful(repairs, 'Repair');
    const hint = h('p', {}, 'Paint over what is to be drawn anew.');
    frame.append(surface.element);
    let drawn = null;
    return {
      elements: [hint, h('label', {class: 'range', for: 'brush-size'}, h('span', {}, 'Brush'), size), ...few.elements,
        h('div', {class: 'row'},
          h('button', {type: 'button', class: 'action', onclick: () => context.go({page: (context.state.page ?? 0) + 1}, {replace: true})}, 'Others'),
          h('button', {type: 'button', class: 'action', onclick: () => context.go({mask: null, page: null}, {replace: true})}, 'Clear'))],
      unmount: () => few.stop(),
      update(state) {
        mask.cells.set(Mask.read(state.mask)?.cells ?? new Uint8Array(mask.cells.length));
        surface.redraw();
        few.elements[0].hidden = mask.empty;
        if (mask.empty) few.stop();
        const first = state.open + repairs * (state.page ?? 0);
        const key = `${state.mask} ${first}`;
        if (key === drawn || mask.empty) return;
        drawn = key;
        few.draw({model: model.name, task: 'inpaint', picture: current.base64, mask: mask.png(width, height), ...labelOf(current),
                  seeds: Array.from({length: repairs}, (_, i) => first + i)}, (seed) => `f.${mask}.${seed}`);
      },
    };
  }

  function between() {
    const {model, steps} = sheet();
    const others = h('ul', {class: 'handful small', 'aria-label': 'The other picture'});
    const seed = h('input', {type: 'number', min: 0, step: 1, inputmode: 'numeric', id: 'other-seed'});
    const slider = h('input', {type: 'range', min: 0, max: frames - 1, step: 1, id: 'part', disabled: true, 'aria-label': 'From the one to the other'});
    const ends = [h('img', {alt: ''}), h('img', {alt: ''})];
    const along = h('div', {class: 'along'}, h('span', {class: 'end'}, ends[0]), slider, h('span', {class: 'end'}, ends[1]));
    const said = h('div', {});
    const copy = copyButton(() => ['onestep edit interpolate', model.name, context.state.open, context.state.to,
      ...(model.label_count ? ['--label', current.label_name ?? current.label] : []), '--levels', levels.join(), '--frames', frames,
      '-o', 'between.png'].map((word, i) => (i ? quoted(word) : word)).join(' '));
    const tail = h('div', {class: 'row', hidden: true},
      h('button', {type: 'button', class: 'action', onclick: () => {
        const at = nearest(slider.valueAsNumber);
        if (at >= 0) save(strip[at].png, `${fileName(model.name, current.label_name, context.state.open, context.state.to, at)}.png`);
      }}, 'Download'),
      h('button', {type: 'button', class: 'action', onclick: async () => save(
        await zip(strip.filter(Boolean).map((sample, at) => [`${String(at).padStart(2, '0')}.png`, sample.png])),
        `${fileName(model.name, context.state.open, context.state.to)}.zip`)}, 'All frames as ZIP'), copy);
    let strip = [], levels = [], drawn = null, running = new AbortController();

    const nearest = (at) => strip.reduce((best, sample, i) => (sample && (best < 0 || Math.abs(i - at) < Math.abs(best - at)) ? i : best), -1);
    const remember = debounced(150, () => context.go({part: slider.valueAsNumber}, {replace: true}));
    const take = (to) => context.go({to, part: null}, {replace: true});
    seed.addEventListener('change', () => seed.reportValidity() && take(seed.valueAsNumber));
    slider.addEventListener('input', () => { paint(); remember(); });

    function paint() {
      const at = nearest(slider.valueAsNumber);
      if (at < 0) return;
      const {open, to} = context.state;
      const part = Math.round(100 * slider.valueAsNumber / (frames - 1));
      show(image, strip[at].png);
      image.alt = `${titleOf(current, model)}, ${part} % of the way from seed ${open} to seed ${to}`;
      slider.setAttribute('aria-valuetext', `${part} % of the way to seed ${to}`);
      about.textContent = `Seed ${open} → ${to} · ${part} %`;
    }

    show(ends[0], current.png);

    // Those of the sheet with the picture's own label come first: what lies between is of one label.
    for (const sample of sheet().samples.filter((each) => each && each.seed !== context.state.open)
      .sort((a, b) => (b.label === current.label) - (a.label === current.label)).slice(0, 8)) {
      const face = h('img', {alt: `${titleOf(sample, model)}, seed ${sample.seed}`});
      show(face, sample.png);
      others.append(h('li', {}, h('button', {type: 'button', 'data-seed': sample.seed, onclick: () => take(sample.seed)}, face)));
    }
    others.classList.toggle('small', model.shape.at(-1) < 64);

    async function drawStrip(state) {
      running.abort();
      running = new AbortController();
      const {signal} = running;
      strip = Array(frames).fill();
      let arrived = 0;
      said.replaceChildren();
      try {
        const report = await draw({model: model.name, task: 'interpolate', from_seed: state.open, to_seed: state.to, frames, steps, ...labelOf(current)},
          {signal, sample: (sample) => {
            strip[arrived] = sample;
            if (arrived === 0 || arrived === frames - 1) show(ends[arrived && 1], sample.png);
            ++arrived;
            slider.disabled = false;
            paint();
          }});
        ({levels} = report);
        tail.hidden = false;
        context.announce('Move the slider to go from the one to the other');
      } catch (error) {
        if (!signal.aborted && !(error instanceof Gone)) said.replaceChildren(notice(error));
      }
    }

    return {
      elements: [along, said, h('p', {}, 'The other picture'), others,
        h('label', {class: 'inline', for: 'other-seed'}, 'or seed', seed), tail],
      unmount: () => { remember.cancel(); running.abort(); },
      update(state) {
        for (const button of others.querySelectorAll('button')) button.setAttribute('aria-pressed', String(Number(button.dataset.seed) === state.to));
        if (state.to === null) return;
        seed.value = state.to;
        if (document.activeElement !== slider) slider.value = state.part ?? (frames - 1) / 2;
        if (drawn === state.to) return paint();
        drawn = state.to;
        drawStrip(state);
      },
    };
  }

  return {
    update,
    unmount() {
      leave.abort();
      closeTool();
      dialog.remove();
    },
  };
}

// First noise levels from 0.3 to 12, evenly in their logarithm over a slider from 0 to 100.
const hundredths = (position) => Math.round(30 * 40 ** (position / 100));
const positionOf = (level) => 100 * Math.log(level / 30) / Math.log(40);
// A further call at a fifth of the level makes sharp what the first one left soft.
const levelsOf = (level) => [level / 100, level / 500];

// As a shell has to be given it.
const quoted = (word) => (/^[\w./,-]+$/.test(word) ? String(word) : `'${String(word).replaceAll("'", "'\\''")}'`);

const sizeOf = (model) => [model.shape.at(-1), model.shape.at(-2)];
