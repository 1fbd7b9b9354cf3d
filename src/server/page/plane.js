// The endless plane of a model as a map: drag, zoom, paint with labels, cut a piece out.

import {Gone, picture} from './api.js';
import {chooseModel, defaultSteps, labelField, labelsOf, notice, picker, seedField, sidebar, stepsField} from './controls.js';
import {copyButton, debounced, delay, fileName, h, save, show} from './dom.js';
import {cellSide, mostLabels, mostPixels, Painting} from './painting.js';

export const id = 'plane';
export const title = 'Backgrounds';
// A tile of many network calls takes in half the plane.
export const available = (models) => models.filter((model) => model.canvas && model.role !== 'diffusion');

const tileSide = 256;
const atOnce = 4;        // tiles asked for at one time: a browser has six connections to a host, and others want some
const mostKept = 400;    // tiles, of 256 KiB each
// Screen pixels a pixel of the plane: at most, at least, and to begin with. Windows that overlap cost more than tiles do.
const scales = (model) => (model.canvas_way === 'windows' ? [8, 0.5, 2] : [8, 1 / 6, 1]);
// Windows that overlap are brought together by a second call.
const planeSteps = (model) => (model.canvas_way === 'windows' ? model.recommended_steps.find((steps) => steps > 1) : null) ?? defaultSteps(model);

export function mount(element, context) {
  let model, label, seed, steps;
  let own = null;          // the label that the seed has chosen for the plane, once a tile has told it
  let painting = new Painting();
  let brush = null;        // the label that it paints, 'none' to rub out; null: a drag moves the map
  let middle = {x: 0, y: 0}, scale = 1, nearest, farthest, home;
  let cut = null;          // {x, y, width, height}
  let choosing = false;    // the next drag draws the cut
  let drawn = null;        // which plane, as text
  // "z/x/y": {bitmap, of, controller, asked}; the oldest first. of, asked: the painting (as text) that is in the bitmap, and in the
  // one that is on its way.
  const tiles = new Map();
  let paused = false;      // after a refusal, until the plane changes
  let cutting = false;     // tiles wait for a piece that is cut out
  let width = 0, height = 0, frame = 0;

  const canvas = h('canvas', {class: 'map', tabindex: 0, role: 'application', 'data-keys': true,
    'aria-label': 'Map of the plane. Arrow keys move, plus and minus zoom, 0 goes back to the start, Enter paints with the brush.',
    'aria-describedby': 'where'});
  const where = h('output', {id: 'where', class: 'where'});
  const trouble = h('div', {class: 'over', 'aria-live': 'polite'});
  const round = (text, name, press) => h('button', {type: 'button', class: 'round', 'aria-label': name, title: name, onclick: press}, text);
  const stage = h('section', {class: 'stage world', 'aria-label': 'Map'}, h('h1', {class: 'unseen'}, title), canvas, trouble, where,
    h('div', {class: 'zoom'}, round('+', 'Zoom in', () => zoom(2)), round('−', 'Zoom out', () => zoom(0.5)),
      round('⌂', 'Back to the start', () => look({x: 0, y: 0}, home))));

  const goX = number('X', 'map-x'), goY = number('Y', 'map-y');
  const jump = h('form', {class: 'inline', 'aria-label': 'Jump to a place', onsubmit: (event) => {
    event.preventDefault();
    look({x: goX.input.valueAsNumber || 0, y: goY.input.valueAsNumber || 0}, scale);
  }}, goX.element, goY.element, h('button', {type: 'submit', class: 'quiet'}, 'Go there'));

  const cutWidth = number('Width', 'cut-width', 1), cutHeight = number('Height', 'cut-height', 1);
  const seamless = h('input', {type: 'checkbox', name: 'seamless', onchange: () => context.go({seamless: seamless.checked ? 1 : null}, {replace: true})});
  for (const {input} of [cutWidth, cutHeight]) input.addEventListener('change', sized);
  const choose = h('button', {type: 'button', class: 'quiet', 'aria-pressed': 'false', onclick: () => choosing ? stopChoosing() : startChoosing()}, 'Draw it');
  const cutForm = h('form', {class: 'cut', 'aria-label': 'Cut out', onsubmit: (event) => { event.preventDefault(); cutOut(); }},
    h('h2', {}, 'Cut out'), h('div', {class: 'inline'}, cutWidth.element, h('span', {'aria-hidden': 'true'}, '×'), cutHeight.element),
    h('div', {class: 'presets'}, [['512²', 512, 512], ['HD', 1920, 1080], ['4K', 3840, 2160]].map(([name, w, t]) =>
      h('button', {type: 'button', class: 'quiet', 'aria-label': `${w} by ${t} pixels`, onclick: () => setCut(centred(w, t))}, name)), choose),
    h('label', {class: 'check'}, seamless, 'Seamless: its edges meet'),
    h('button', {type: 'submit', class: 'action'}, 'Cut this out'));

  const brushSize = h('input', {type: 'range', min: 1, max: 12, step: 1, value: 4, id: 'brush-size'});
  const palette = h('div', {class: 'palette', hidden: true});
  let swatches = null;     // {model, paint(signal)}

  const side = sidebar({
    models: context.models,
    pick: (next) => context.go({model: next.name, label: null, steps: null, paint: null}),
    fields: (of, chosen) => [labelField(of, chosen.label, (next) => context.go({label: next})),
      stepsField(of, chosen.steps, (next) => context.go({steps: next})), seedField((next) => context.go({seed: next}))],
    button: ['Another plane', () => context.go({seed: seed + 1})],
    more: [palette, cutForm, h('div', {class: 'field'}, h('h2', {}, 'Jump'), jump)],
  });
  const result = h('dialog', {class: 'cutout', 'aria-label': 'Cut out'});
  result.addEventListener('click', (event) => event.target === result && result.close());
  document.body.append(result);
  element.append(side.element, stage);

  function number(caption, name, low = null) {
    const input = h('input', {type: 'number', inputmode: 'numeric', step: 1, min: low, id: name, value: low === null ? 0 : 512, required: true});
    return {input, element: h('label', {for: name}, h('span', {}, caption), input)};
  }

  // ---- what is in the address ----

  const remember = debounced(200, () => context.go({at: `${Math.round(middle.x)},${Math.round(middle.y)},${Number(scale.toFixed(3))}`}, {replace: true}));

  const numbers = (text) => {
    const values = (text ?? '').split(',').map(Number);
    return values.every(Number.isFinite) ? values : [];
  };

  function update(state) {
    const [chosen, remark] = chooseModel(context.models, state.model);
    if (chosen.name !== model?.name || (state.seed ?? 0) !== seed) own = null;  // another plane tells its own
    model = chosen;
    label = state.label;
    seed = state.seed ?? 0;
    steps = state.steps ?? planeSteps(model);
    if (!painted) painting = model.label_colours ? Painting.read(state.paint) : new Painting();
    offerBrushes();
    const plane = JSON.stringify([model.name, askedLabel(), seed, steps]);
    if (plane !== drawn) {
      forget();
      drawn = plane;
      paused = false;
      trouble.replaceChildren(...(remark ? [notice(remark)] : []));
      context.announce(`Plane of ${label ?? model.name}, seed ${seed}`);
    }
    side.update(model, {label, steps, seed, seamless: state.seamless});
    [nearest, farthest, home] = scales(model);
    const [x = 0, y = 0, at = home] = numbers(state.at);
    remember.cancel();
    middle = {x, y};
    scale = Math.min(nearest, Math.max(farthest, at));
    const [left, top, across, down] = numbers(state.cut);
    cut = across > 0 && down > 0 ? {x: left, y: top, width: across, height: down} : null;
    if (cut) {
      cutWidth.input.value = cut.width;
      cutHeight.input.value = cut.height;
    }
    refresh();
    side.paint(leave.signal).then(() => swatches?.paint(leave.signal));
  }

  function look(to, at) {
    middle = {x: Math.round(to.x), y: Math.round(to.y)};
    scale = Math.min(nearest, Math.max(farthest, at));
    refresh();
    remember();
  }

  // Around a point of the screen, which stays where it is.
  function zoom(factor, x = width / 2, y = height / 2) {
    const to = Math.min(nearest, Math.max(farthest, scale * factor));
    middle.x += (x - width / 2) * (1 / scale - 1 / to);
    middle.y += (y - height / 2) * (1 / scale - 1 / to);
    scale = to;
    refresh();
    remember();
  }

  // ---- tiles ----

  const leave = new AbortController();
  const zoomLevel = () => (scale * devicePixelRatio > 0.6 ? 0 : scale * devicePixelRatio > 0.3 ? -1 : -2);

  // The tiles of a zoom level that are in view, the middle ones first.
  function inView(z) {
    const side = tileSide * 2 ** -z;
    const from = {x: Math.floor((middle.x - width / 2 / scale) / side), y: Math.floor((middle.y - height / 2 / scale) / side)};
    const to = {x: Math.floor((middle.x + width / 2 / scale) / side), y: Math.floor((middle.y + height / 2 / scale) / side)};
    const list = [];
    for (let y = from.y; y <= to.y; ++y) for (let x = from.x; x <= to.x; ++x) list.push({z, x, y, side, key: `${z}/${x}/${y}`});
    const far = (tile) => Math.hypot((tile.x + 0.5) * side - middle.x, (tile.y + 0.5) * side - middle.y);
    return list.sort((a, b) => far(a) - far(b));
  }

  function fetchTiles() {
    if (paused || cutting || painted || !width || leave.signal.aborted) return;
    const wanted = inView(zoomLevel());
    const texts = new Map(wanted.map((tile) => [tile.key, paintedNear(tile)]));
    for (const [key, tile] of tiles) {
      if (tile.controller && tile.asked !== texts.get(key)) giveUp(key);
    }
    let running = [...tiles.values()].filter(({controller}) => controller).length;
    for (const tile of wanted) {
      const kept = tiles.get(tile.key), text = texts.get(tile.key);
      if (kept) {  // to the end: the first are forgotten first
        tiles.delete(tile.key);
        tiles.set(tile.key, kept);
      }
      if (kept?.controller || (kept?.bitmap && kept.of === text) || running >= atOnce) continue;
      ++running;
      fetchTile(tile, text);
    }
    for (const [key, tile] of tiles) {
      if (tiles.size <= mostKept) break;
      if (texts.has(key)) continue;
      tile.bitmap?.close();
      tiles.delete(key);
    }
    stage.setAttribute('aria-busy', String(running > 0));
  }

  // What of the painting a tile's pixels depend on: looked up once for as long as plane and painting stay as they are.
  const near = {of: null, key: null, texts: new Map()};
  function paintedNear({key, x, y, side}) {
    if (painting.empty) return '';
    const now = `${drawn} ${painting.version}`;
    if (near.of !== painting || near.key !== now) Object.assign(near, {of: painting, key: now, texts: new Map()});
    if (!near.texts.has(key)) {
      const reach = model.halo * steps;
      near.texts.set(key, painting.within({x: x * side - reach, y: y * side - reach, width: side + 2 * reach, height: side + 2 * reach}));
    }
    return near.texts.get(key);
  }

  async function fetchTile(tile, asked) {
    const {z, x, y, side, key} = tile;
    const controller = new AbortController();
    const {signal} = controller;
    const entry = {...tiles.get(key), controller, asked};
    tiles.set(key, entry);
    const by = askedLabel();
    const path = [model.name, seed, by ?? '-', z, x, `${y}.png`].map(encodeURIComponent).join('/');
    const ask = () => (asked ? picture('/api/canvas', {signal, request: planeRequest([x * side, y * side], [side, side])}) :
      picture(`/api/canvas/${path}?steps=${steps}`, {signal}));
    try {
      for (;;) {
        try {
          const {png, label: its} = await ask();
          const bitmap = await createImageBitmap(png);
          if (signal.aborted) return bitmap.close();
          entry.bitmap?.close();
          tiles.set(key, {bitmap, of: asked});
          if (!asked && by === null) own = its;
          break;
        } catch (error) {  // a full queue empties
          if (error.status !== 429 && error.status !== 503) throw error;
          await delay(1000 * error.retryAfter, signal);
          signal.throwIfAborted();
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      giveUp(key);
      paused = true;
      if (!(error instanceof Gone)) trouble.replaceChildren(notice(error));
    }
    refresh();
  }

  // A part of the plane, as POST /api/canvas takes it.
  function planeRequest(at, size) {
    const what = painting.empty ? (label === null ? {} : {label}) : {label_map: painting.labelMap(groundLabel())};
    return {model: model.name, seed, steps, at, size, ...what};
  }

  // The label by which the plane is asked for; null: the seed's own.
  function askedLabel() {
    return label ?? (painting.empty || painting.ground === own ? null : painting.ground);
  }

  // The number of the label of what is not painted.
  function groundLabel() {
    if (label === null) return painting.empty ? own ?? 0 : painting.ground;
    const at = labelsOf(model).findIndex(([value]) => String(value) === label);
    return at >= 0 ? at : Number(label) || 0;
  }

  // Waits no longer for a tile; an older bitmap stays.
  function giveUp(key) {
    const {bitmap, of, controller} = tiles.get(key);
    controller?.abort();
    if (bitmap) tiles.set(key, {bitmap, of});
    else tiles.delete(key);
  }

  function giveUpWaiting() {
    for (const [key, {controller}] of [...tiles]) if (controller) giveUp(key);
  }

  function forget() {
    giveUpWaiting();
    for (const {bitmap} of tiles.values()) bitmap.close();
    tiles.clear();
  }

  // ---- painting ----

  // A brush for each label, of models that take a map of labels.
  function offerBrushes() {
    palette.hidden = !model.label_colours;
    if (swatches?.model === model) return;
    brush = null;
    swatches = null;
    if (palette.hidden) return;
    const labels = labelsOf(model).slice(0, mostLabels).map(([, title], value) => ({
      value, title, request: {model: model.name, seeds: [0], labels: [value]}}));
    const {element: choices, paint: paintSwatches} = picker('Paint with', 'brush',
      [{value: 'hand', title: 'Hand', remark: 'Moves the map'}, ...labels, {value: 'none', title: 'Rub out'}], (value) => {
        brush = value === 'hand' ? null : value;
        canvas.classList.toggle('choosing', brush !== null);
        refresh();
      });
    choices.querySelector('input').checked = true;
    palette.replaceChildren(choices, h('label', {class: 'range', for: 'brush-size'}, h('span', {}, 'Brush'), brushSize),
      h('button', {type: 'button', class: 'quiet', onclick: () => context.go({paint: null}, {replace: true})}, 'Clear the painting'));
    swatches = {model, paint: paintSwatches};
  }

  // From one place of the plane to another.
  function stroke(from, to) {
    const pieces = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / cellSide * 2) || 1;
    const radius = brushSize.valueAsNumber * cellSide / 2, value = brush === 'none' ? null : brush;
    painting.ground = groundLabel();
    let whole = true;
    for (let i = 1; i <= pieces; ++i) {
      const at = {x: from.x + (to.x - from.x) * i / pieces, y: from.y + (to.y - from.y) * i / pieces};
      whole = painting.paint(at.x, at.y, radius, value) && whole;
    }
    trouble.replaceChildren(...(whole ? [] : [notice(new Error(`A painting is at most ${mostPixels} pixels wide and high.`))]));
  }

  const keepPainting = () => context.go({paint: String(painting) || null}, {replace: true});

  // ---- drawing ----

  function refresh() {
    fetchTiles();
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      paint();
    });
  }

  function paint() {
    const dots = devicePixelRatio;
    const surface = canvas.getContext('2d');
    surface.clearRect(0, 0, canvas.width, canvas.height);
    surface.imageSmoothingEnabled = scale * dots < 2;
    surface.imageSmoothingQuality = 'high';
    const toScreen = (x, middleOf, extent) => Math.round(((x - middleOf) * scale + extent / 2) * dots);
    const box = (x, y, w, t) => {
      const left = toScreen(x, middle.x, width), top = toScreen(y, middle.y, height);
      return [left, top, toScreen(x + w, middle.x, width) - left, toScreen(y + t, middle.y, height) - top];
    };
    // Other zoom levels stand in for what is not there yet.
    const sharp = zoomLevel();
    for (const z of [-2, -1, 0].filter((each) => each !== sharp).concat(sharp)) {
      if (z > sharp && 2 ** (z - sharp) > 2) continue;
      for (const tile of inView(z)) {
        const bitmap = tiles.get(tile.key)?.bitmap;
        if (bitmap) surface.drawImage(bitmap, ...box(tile.x * tile.side, tile.y * tile.side, tile.side, tile.side));
      }
    }
    paintStrokes(surface, box, sharp);
    if (cut) {
      const [left, top, w, t] = box(cut.x, cut.y, cut.width, cut.height);
      surface.fillStyle = 'rgb(0 0 0 / 0.45)';
      surface.beginPath();
      surface.rect(0, 0, canvas.width, canvas.height);
      surface.rect(left, top, w, t);
      surface.fill('evenodd');
      surface.strokeStyle = 'white';
      surface.lineWidth = 2 * dots;
      surface.strokeRect(left, top, w, t);
    }
    where.textContent = `${Math.round(middle.x)}, ${Math.round(middle.y)} · ${Math.round(scale * 100)} %`;
    if (document.activeElement !== goX.input && document.activeElement !== goY.input) {
      goX.input.value = Math.round(middle.x);
      goY.input.value = Math.round(middle.y);
    }
  }

  // Labels that are painted where their pixels are still to come, as colours; and the brush: under the mouse, or in the middle,
  // where Enter paints.
  function paintStrokes(surface, box, z) {
    surface.globalAlpha = 0.6;
    const waiting = inView(z).filter((tile) => tiles.get(tile.key)?.of !== paintedNear(tile));
    for (const [key, value] of waiting.length ? painting.cells : []) {
      const [x, y] = key.split(',').map((cell) => cell * cellSide);
      if (!waiting.some((tile) => Math.floor(x / tile.side) === tile.x && Math.floor(y / tile.side) === tile.y)) continue;
      surface.fillStyle = model.label_colours[value];
      surface.fillRect(...box(x, y, cellSide, cellSide));
    }
    surface.globalAlpha = 1;
    const at = hover ?? (canvas.matches(':focus-visible') ? {x: width / 2, y: height / 2} : null);
    if (brush === null || !at) return;
    const dots = devicePixelRatio;
    for (const [colour, line] of [['black', 4], ['white', 2]]) {
      surface.strokeStyle = colour;
      surface.lineWidth = line * dots;
      surface.beginPath();
      surface.arc(at.x * dots, at.y * dots, brushSize.valueAsNumber * cellSide / 2 * scale * dots, 0, 2 * Math.PI);
      surface.stroke();
    }
  }

  const observer = new ResizeObserver(() => {
    ({width, height} = canvas.getBoundingClientRect());
    canvas.width = Math.round(width * devicePixelRatio);
    canvas.height = Math.round(height * devicePixelRatio);
    refresh();
  });
  observer.observe(canvas);

  // ---- hand, wheel and keys ----

  const pointers = new Map();
  let corner = null;    // of a cut that is being drawn, on the plane
  let painted = null;   // where the brush is, on the plane, while it paints
  let hover = null;     // where the mouse is, on the screen

  const onPlane = ({x, y}) => ({x: middle.x + (x - width / 2) / scale, y: middle.y + (y - height / 2) / scale});
  const pointOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return {x: event.clientX - box.left, y: event.clientY - box.top};
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, pointOf(event));
    const here = onPlane(pointOf(event));
    corner = (choosing || event.shiftKey) && pointers.size === 1 ? here : null;
    if (brush !== null && !corner && pointers.size === 1) {
      painted = here;
      stroke(here, here);
      refresh();
    } else if (painted) {  // a second finger moves the map
      endStroke();
    }
    canvas.classList.add('held');
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = pointers.get(event.pointerId), now = pointOf(event);
    hover = event.pointerType === 'mouse' ? now : null;
    if (!before) return brush !== null && refresh();
    if (corner) {
      const other = onPlane(now);
      cut = {x: Math.round(Math.min(corner.x, other.x)), y: Math.round(Math.min(corner.y, other.y)),
             width: Math.max(1, Math.round(Math.abs(corner.x - other.x))), height: Math.max(1, Math.round(Math.abs(corner.y - other.y)))};
      cutWidth.input.value = cut.width;
      cutHeight.input.value = cut.height;
    } else if (painted) {
      stroke(painted, onPlane(now));
      painted = onPlane(now);
    } else if (pointers.size === 2) {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
      const apart = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
      zoom(apart(now) / apart(before), other.x, other.y);
    } else {
      middle.x -= (now.x - before.x) / scale;
      middle.y -= (now.y - before.y) / scale;
    }
    pointers.set(event.pointerId, now);
    refresh();
  });
  for (const end of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(end, (event) => {
      if (!pointers.delete(event.pointerId)) return;
      canvas.classList.remove('held');
      if (corner) {
        corner = null;
        stopChoosing();
        setCut(cut);
      } else if (painted) {
        endStroke();
      } else {
        remember();
      }
    });
  }
  canvas.addEventListener('pointerleave', () => {
    hover = null;
    refresh();
  });
  function endStroke() {
    painted = null;
    keepPainting();
    refresh();
  }
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    const {x, y} = pointOf(event);
    zoom(2 ** (-event.deltaY * (event.deltaMode ? 30 : 1) / 400), x, y);
  }, {passive: false});
  canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 96 / scale;
    const move = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
    if (move) look({x: middle.x + move[0], y: middle.y + move[1]}, scale);
    else if (event.key === '+' || event.key === '=') zoom(2);
    else if (event.key === '-') zoom(0.5);
    else if (event.key === '0') look({x: 0, y: 0}, home);
    else if (event.key === 'Escape' && (choosing || cut)) { stopChoosing(); setCut(null); }
    else if (event.key === ' ') context.go({seed: seed + 1});
    else if (event.key === 'Enter' && brush !== null) { stroke(middle, middle); keepPainting(); }
    else return;
    event.preventDefault();
  });

  for (const name of ['focus', 'blur']) canvas.addEventListener(name, refresh);

  // ---- cutting out ----

  function startChoosing() {
    choosing = true;
    choose.setAttribute('aria-pressed', 'true');
    canvas.classList.add('choosing');
  }
  function stopChoosing() {
    choosing = false;
    choose.setAttribute('aria-pressed', 'false');
    canvas.classList.remove('choosing');
  }
  function setCut(to) {
    context.go({cut: to && [to.x, to.y, to.width, to.height].join(',')}, {replace: true});
    refresh();
  }
  const centred = (w, t) => ({x: Math.round(middle.x - w / 2), y: Math.round(middle.y - t / 2), width: w, height: t});
  function sized() {
    const [w, t] = [cutWidth.input.valueAsNumber, cutHeight.input.valueAsNumber];
    if (w > 0 && t > 0) setCut(cut ? {...cut, width: w, height: t} : centred(w, t));
  }

  async function cutOut() {
    const piece = cut ?? centred(cutWidth.input.valueAsNumber, cutHeight.input.valueAsNumber);
    const meets = seamless.checked;
    const name = `${fileName(model.name, label, seed, `${piece.width}x${piece.height}`)}.png`;
    const image = h('img', {alt: `${label ?? model.name}, ${piece.width} by ${piece.height} pixels${meets ? ', seamless' : ''}`});
    const body = h('div', {class: 'piece waiting'}, image);
    const close = h('button', {type: 'button', class: 'round close', 'aria-label': 'Close', onclick: () => result.close()}, '×');
    const actions = h('div', {class: 'row'});
    const stop = new AbortController();
    result.replaceChildren(h('div', {class: 'row'}, h('h2', {}, `${piece.width} × ${piece.height}`), close), body, actions);
    result.addEventListener('close', () => stop.abort(), {once: true});
    result.showModal();
    cutting = true;
    giveUpWaiting();
    try {
      const map = painting.empty ? '' : `base64 -d > map.png <<< ${painting.png(groundLabel(), model.label_colours)} && `;
      const {png, command} = await picture('/api/canvas', {signal: stop.signal, request: {
        ...planeRequest([piece.x, piece.y], [piece.width, piece.height]), seamless: meets}});
      show(image, png);
      body.classList.remove('waiting');
      if (meets) {  // twice beside and below itself: no seam shows
        const repeated = h('div', {class: 'repeated', role: 'img', 'aria-label': `${image.alt}, beside and below itself`});
        repeated.style.backgroundImage = `url("${image.src}")`;
        repeated.style.aspectRatio = `${piece.width} / ${piece.height}`;
        image.replaceWith(repeated);
      }
      actions.append(h('button', {type: 'button', class: 'action', 'data-download': true, onclick: () => save(png, name)}, 'Download'),
        copyButton(() => map + command));
      context.announce('The piece is there to download');
      actions.firstChild.focus();
    } catch (error) {
      if (stop.signal.aborted) return;
      body.replaceChildren(notice(error));
      body.classList.remove('waiting');
    } finally {
      cutting = false;
      refresh();
    }
  }

  return {
    update,
    unmount() {
      leave.abort();
      remember.cancel();
      cancelAnimationFrame(frame);
      observer.disconnect();
      forget();
      result.close();
      result.remove();
    },
  };
}
