// What all tabs choose by: model, label, steps, seed, and the big button.

import {closed} from './address.js';
import {drawOne} from './api.js';
import {h, show} from './dom.js';

let unique = 0;

function field(caption, control) {
  control.id ||= `field-${++unique}`;
  return h('div', {class: 'field'}, h('label', {for: control.id}, caption), control);
}

// A row of exclusive choices: [[value, text], ...].
export function choice(caption, name, choices, change) {
  return h('fieldset', {class: 'field choice'}, h('legend', {}, caption), h('div', {class: 'segments'},
    choices.map(([value, text]) => h('label', {}, h('input', {
      type: 'radio', name, value, onchange: () => change(value)}), h('span', {}, text)))));
}

export function numberField(caption, name, low, high, change) {
  const input = h('input', {type: 'number', name, inputmode: 'numeric', min: low, max: high, step: 1, required: true});
  input.addEventListener('change', () => input.reportValidity() && change(input.valueAsNumber));
  return field(caption, input);
}

export const seedField = (change, caption = 'Seed') => numberField(caption, 'seed', 0, 1e15 - 1, change);

// Small pictures by what was asked for, drawn once for as long as the page is open.
const faces = new Map();

async function paintFace(image, request, signal) {
  const key = JSON.stringify(request);
  if (!faces.has(key)) {
    try {
      faces.set(key, (await drawOne(request, signal)).png);
    } catch {
      return;  // a picture less; what is wrong with the server is said where its sheet should be
    }
  }
  show(image, faces.get(key));
}

// Cards to choose by: [{value, title, remark, request}], a request being that of a card's picture. `paint(signal)` draws them,
// when what matters more is done.
export function picker(caption, name, choices, change) {
  const images = choices.map(() => h('img', {alt: ''}));
  const element = h('fieldset', {class: 'field cards'}, h('legend', {}, caption), choices.map(({value, title, remark, request}, i) =>
    h('label', {}, h('input', {type: 'radio', name, value, onchange: () => change(value)}),
      request && h('span', {class: 'face'}, images[i]), h('span', {}, h('b', {}, title), remark && h('small', {}, remark)))));
  const paint = async (signal) => {
    for (let i = 0; i < choices.length && !signal.aborted; ++i) {
      if (choices[i].request && !images[i].src) await paintFace(images[i], choices[i].request, signal);
    }
  };
  return {element, paint};
}

function kind(model) {
  if (model.music) return `one step, ${model.music.pitches} pitches`;
  const size = model.modality === 'audio' ? `${+(model.shape.at(-1) / model.rate).toPrecision(2)} s` :
    `${model.shape.slice(-2).reverse().join(' × ')}${model.modality === 'video' ? `, ${model.shape[1]} frames` : ''}`;
  return `${model.role === 'diffusion' ? 'diffusion' : 'one step'}, ${size}`;
}

// Labels of a model, by name where they have one: [[value, text], ...].
export function labelsOf(model) {
  return Array.from({length: model.label_count}, (_, i) => model.labels[i] ? [model.labels[i], model.labels[i]] : [i, `Label ${i}`]);
}

export function labelField(model, chosen, change, caption = 'Label', shown = (text) => text) {
  if (!model.label_count) return null;
  const known = labelsOf(model);
  const stranger = chosen !== null && !known.some(([value]) => String(value) === chosen);
  const select = h('select', {name: 'label', onchange: () => change(select.value || null)}, h('option', {value: ''}, 'Any'),
    [...known, ...(stranger ? [[chosen, chosen]] : [])].map(([value, text]) => h('option', {value}, shown(text))));
  return field(caption, select);
}

export const defaultSteps = (model) =>
  model.samplers.find(({name}) => name === model.default_sampler)?.steps || model.recommended_steps[0] || 1;

export function stepsField(model, chosen, change) {
  const usual = model.role === 'diffusion' ? [5, 18, 40] : [1, 2, 4];
  const offered = [...new Set([...usual, ...model.recommended_steps, defaultSteps(model), chosen])].sort((a, b) => a - b);
  return choice('Steps', 'steps', offered.map((steps) => [steps, steps]), change);
}

// The button that the space bar presses too (main.js).
function bigButton(text, press) {
  return h('button', {type: 'button', class: 'big', 'data-space': true, 'aria-keyshortcuts': 'Space', onclick: press},
    h('span', {}, text), h('kbd', {'aria-hidden': 'true'}, 'space'));
}

// The labels of a request: that of the address, as the API takes it.
export function requestLabels(model, label) {
  if (label === null) return {};
  return {labels: [!model.labels.includes(label) && /^\d+$/.test(label) ? Number(label) : label]};
}

// A picture's name: of its label, where it has one.
export const titleOf = (sample, model) => model.labels[sample.label] ?? (model.label_count ? `Label ${sample.label}` : 'Picture');

export function notice(error) {
  return h('p', {class: 'notice', role: 'alert'}, error.message);
}

// The model of the address, or the first; with a remark where the address names one that is not there.
export function chooseModel(models, name) {
  const model = models.find((each) => each.name === name);
  const remark = name !== null && !model &&
    new Error(`model ${name} is not loaded, or can't be shown here; loaded are ${models.map((each) => each.name).join(', ')}`);
  return [model ?? models[0], remark];
}

// What stands beside the pictures: models, the fields of a model, the big button, and `more`. Elements live for as long as they
// can, so that who holds one with the keyboard holds it still.
export function sidebar({models, pick, fields, button: [text, press], more = []}) {
  const cards = picker('Model', 'model', models.map((model) => ({
    value: model.name, title: model.name, remark: kind(model), request: model.modality === 'image' && {model: model.name, seeds: [model.label_count > 3 ? 3 : 0]}})),
  (name) => pick(models.find((model) => model.name === name)));
  const ofModel = h('div', {class: 'fields'});
  const element = h('aside', {class: 'side', 'aria-label': 'What to draw'}, models.length > 1 && cards.element, ofModel,
    bigButton(text, press), more);
  let made = null;
  return {
    element,
    paint: cards.paint,
    update(model, values) {
      const steps = values.steps === undefined || element.querySelector(`[name=steps][value="${values.steps}"]`);
      const label = values.label === null || element.querySelector(`[name=label] option[value="${CSS.escape(values.label)}"]`);
      if (made !== model || !steps || !label) ofModel.replaceChildren(...fields(model, values).filter(Boolean));
      made = model;
      for (const [name, value] of Object.entries({...values, model: model.name})) {
        for (const control of element.querySelectorAll(`[name=${name}]`)) {
          if (control.type === 'radio') control.checked = control.value === String(value);
          else if (control.type === 'checkbox') control.checked = Boolean(value);
          else control.value = value ?? '';
        }
      }
    },
  };
}

// The sidebar of a tab that shows a sheet of samples. most: samples that one address draws.
export function sheetSidebar(context, most, next) {
  const go = (change) => context.go({...closed, ...change});
  return sidebar({
    models: context.models,
    pick: (model) => go({model: model.name, label: null, steps: null}),
    fields: (model, chosen) => [
      labelField(model, chosen.label, (label) => go({label})),
      stepsField(model, chosen.steps, (steps) => go({steps})),
      numberField('How many', 'count', 1, most, (count) => go({count})),
      seedField((seed) => go({seed}), 'First seed')],
    button: ['Next sheet', next],
  });
}
