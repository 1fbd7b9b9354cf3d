// Music: a motif that one clicks into a roll, and what a model writes to it: harmonised, continued, varied, or a piece of its own.

import {composed, fileOf, Gone} from './api.js';
import {choice, chooseModel, labelField, notice, numberField, seedField, sidebar} from './controls.js';
import {copyButton, debounced, fileName, h, save} from './dom.js';
import {Player} from './player.js';
import {bar, barsOf, editor, mostBars, pieceView, readNotes, writeNotes} from './roll.js';

export const id = 'music';
export const title = 'Music';
export const available = (models) => models.filter((model) => model.music?.tasks.length);

const tasks = [['new', 'New'], ['harmonise', 'Harmonise'], ['continue', 'Continue'], ['vary', 'Vary'], ['fill', 'Fill a gap']];
const does = {new: 'A piece of its own', harmonise: 'Your melody stays, and is accompanied', continue: 'Begins with your motif, as it is', vary: 'A piece like your motif', fill: 'Your notes stay, but in these bars, which are written anew'};
const lengths = [[1, '1/16'], [2, '1/8'], [4, '1/4'], [8, '1/2'], [16, '1/1']];
const longest = 8000;  // characters of a motif in the address
const usualFreedom = 40;

// "Dm" as "D minor".
function keyName(label) {
  const found = /^([A-G])([b#]?)(m?)$/.exec(label ?? '');
  return found ? `${found[1]}${{b: '♭', '#': '♯', '': ''}[found[2]]} ${found[3] ? 'minor' : 'major'}` : label;
}

// "2,3" as the first and the last bar of a gap; the middle one where it names none of these bars.
function gapOf(text, bars) {
  const [first, last] = /^\d+,\d+$/.test(text ?? '') ? text.split(',').map(Number) : [];
  const middle = Math.ceil((bars + 1) / 2);
  return first >= 1 && first <= last && last <= bars ? [first, last] : [middle, middle];
}

export function mount(element, context) {
  const leave = new AbortController();
  let drawing = new AbortController();  // ends with the piece that it was made for
  let drawn = null;      // which piece, as text
  let model, task, seed, motif = [], freedom, gap;
  let piece = null;      // {notes, bars, tempo, command, motif, key}
  let roll = null;       // the editor, of one model
  let rollOf = null;

  const player = new Player({
    place: (sixteenth) => {
      view.place(sixteenth);
      where.textContent = `Bar ${Math.min(Math.floor(sixteenth / bar) + 1, piece?.bars ?? 1)} of ${piece?.bars ?? 1}`;
    },
    ended: () => {
      view.place(null);
      where.textContent = '';
      shownPlaying(false);
    },
  });

  const side = sidebar({
    models: context.models,
    pick: (next) => context.go({model: next.name, label: null}),
    fields: (of, chosen) => [
      labelField(of, chosen.label, (label) => context.go({label}), 'Key', keyName),
      numberField('Bars', 'bars', 1, mostBars, (bars) => context.go({bars})),
      numberField('Tempo', 'tempo', 10, 400, (tempo) => context.go({tempo})),
      seedField((next) => context.go({seed: next}))],
    button: ['Another one', () => context.go({seed: seed + 1})],
  });

  // ---- the motif ----

  let part = 'voice', length = 4;
  const written = (change) => (value) => {
    change(value);
    roll.write(part, length);
  };
  const partChoice = choice('Write', 'part', [['voice', 'Voice'], ['piano', 'Piano']], written((value) => { part = value; }));
  const lengthChoice = choice('Note', 'note-length', lengths, written((value) => { length = value; }));
  partChoice.classList.add('parts');
  for (const control of [partChoice.querySelector('[value=voice]'), lengthChoice.querySelector('[value="4"]')]) control.checked = true;
  const file = h('input', {type: 'file', class: 'unseen', accept: '.mid,.midi,audio/midi', id: 'motif-file', onchange: takeFile});
  const clear = h('button', {type: 'button', class: 'quiet', onclick: () => changeMotif([])}, 'Clear');
  const motifRoll = h('div', {});
  const motifHint = h('p', {class: 'hint'});
  const motifSection = h('section', {class: 'motif', 'aria-label': 'Motif'},
    h('div', {class: 'headline'}, h('div', {}, h('h2', {}, 'Motif'), motifHint),
      h('div', {class: 'tools'}, partChoice, lengthChoice, h('label', {class: 'quiet file', for: 'motif-file'}, 'Open a MIDI file', file), clear)),
    motifRoll);

  // ---- what is made of it ----

  const taskChoice = choice('What to write', 'task', tasks, (next) => context.go({task: next === 'new' ? null : next}));
  taskChoice.classList.add('tasks');
  const taskHint = h('p', {class: 'hint'});
  const slider = h('input', {type: 'range', id: 'freedom', min: 0, max: 100, step: 1});
  const setFreedom = debounced(120, () => context.go({freedom: slider.valueAsNumber}, {replace: true}));
  slider.addEventListener('input', setFreedom);
  const freedomRow = h('label', {class: 'range freedom', for: 'freedom'}, h('span', {}, 'Close'), slider, h('span', {}, 'Free'));
  slider.setAttribute('aria-label', 'Freedom');
  // One end moves the other along, so that there is always a gap.
  const gapFields = [numberField('From bar', 'gap-first', 1, mostBars, (first) => setGap(first, Math.max(first, gap[1]))),
    numberField('to bar', 'gap-last', 1, mostBars, (last) => setGap(Math.min(gap[0], last), last))];
  const [gapFirst, gapLast] = gapFields.map((field) => field.querySelector('input'));
  const gapRow = h('div', {class: 'gap'}, gapFields);
  const setGap = (first, last) => context.go({gap: `${first},${last}`}, {replace: true});
  const heading = h('h1', {});
  const status = h('p', {class: 'status'});
  const trouble = h('div', {});
  const play = h('button', {type: 'button', class: 'play', 'aria-pressed': 'false', 'aria-keyshortcuts': 'P', onclick: () => (player.playing ? player.stop() : start(0))});
  const where = h('span', {class: 'status'});
  const view = pieceView((sixteenth) => piece && start(sixteenth));
  const toWav = h('button', {type: 'button', class: 'quiet', onclick: () => download('audio/wav', 'wav')}, '.wav');
  const toMotif = h('button', {type: 'button', class: 'quiet', onclick: takePiece}, 'Take as motif');
  const files = h('div', {class: 'tools', 'aria-label': 'Download', role: 'group'},
    toMotif,
    h('button', {type: 'button', class: 'quiet', onclick: () => download('audio/midi', 'mid')}, '.mid'), toWav,
    h('button', {type: 'button', class: 'quiet', onclick: () => download('image/png', 'png')}, 'Picture'),
    copyButton(() => (piece.motif ? `base64 -d > motif.mid <<< ${piece.motif} && ` : '') + piece.command));
  const pieceSection = h('section', {class: 'written', 'aria-label': 'Piece'},
    h('div', {class: 'headline'}, h('div', {class: 'title'}, play, h('div', {}, heading, status)), files), trouble, view.element,
    h('p', {class: 'legend hint'}, h('span', {class: 'voice'}, 'Voice'), h('span', {class: 'piano'}, 'Piano'),
      h('span', {class: 'given'}, 'Your notes'), h('span', {class: 'clock-place'}, where)));
  element.append(side.element, h('div', {class: 'stage music'}, motifSection, h('div', {class: 'between'}, taskChoice, freedomRow, gapRow, taskHint), pieceSection));

  function shownPlaying(yes) {
    play.setAttribute('aria-pressed', String(yes));
    play.setAttribute('aria-label', yes ? 'Stop' : 'Play');
    play.title = yes ? 'Stop (P)' : 'Play (P)';
  }
  shownPlaying(false);
  function start(from) {
    player.play(piece.notes, {tempo: piece.tempo, from, to: bar * piece.bars});
    shownPlaying(true);
  }
  document.addEventListener('keydown', (event) => {
    if (event.key.toLowerCase() !== 'p' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input:not([type=radio]), textarea, select, dialog')) return;
    if (piece) play.click();
  }, {signal: leave.signal});

  function changeMotif(notes) {
    const text = writeNotes(notes);
    if (text.length > longest) {
      trouble.replaceChildren(notice(new Error('The motif is too long for an address; shorten it, or use `onestep compose`.')));
      return roll.show(motif);
    }
    const short = context.state.bars !== null && context.state.bars < barsOf(notes);
    context.go({motif: text || null, ...(short && {bars: null}), ...(!notes.length && {task: null})}, {replace: true});
  }

  // The beginning of many notes that an address can hold, in whole bars.
  function beginning(notes) {
    let bars = barsOf(notes), some = notes;
    while (writeNotes(some).length > longest) {
      bars = Math.floor(0.9 * bars);
      some = notes.filter(({start, length: its}) => start + its <= bar * bars);
    }
    return some;
  }

  async function takeFile() {
    const [chosen] = file.files;
    if (!chosen) return;
    file.value = '';
    trouble.replaceChildren();
    try {
      const base64 = await new Promise((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result.split(',')[1] ?? '');
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(chosen);
      });
      const read = await composed({model: model.name, task: 'vary', motif: base64}, leave.signal);
      const notes = beginning(read.motif.notes), {remark} = read.motif;
      context.go({motif: writeNotes(notes), task: task === 'new' ? 'harmonise' : task, bars: null, label: null, tempo: Math.round(read.tempo)});
      const cut = notes.length < read.motif.notes.length ? `its first ${barsOf(notes)} bars are taken` : '';
      const said = [remark.replace(/^motif: /, ''), cut].filter(Boolean).join('; ');
      if (said) trouble.replaceChildren(h('p', {class: 'remark', role: 'status'}, `${chosen.name}: ${said}`));
      context.announce(`${notes.length} notes read from ${chosen.name}`);
    } catch (error) {
      if (!leave.signal.aborted && !(error instanceof Gone)) trouble.replaceChildren(notice(new Error(error.message.replace(/^motif/, chosen.name))));
    }
  }

  function takePiece() {
    const notes = beginning(piece.notes);
    context.go({motif: writeNotes(notes), bars: null, task: task === 'new' ? 'continue' : task});
    context.announce('The piece is the motif now');
  }

  // ---- the piece ----

  function request() {
    const {label, bars, tempo} = context.state;
    return {model: model.name, task, seed, ...(bars && {bars}), ...(tempo && {tempo}),
      ...(label !== null && {key: !model.labels.includes(label) && /^\d+$/.test(label) ? Number(label) : label}),
      ...(task !== 'new' && {motif}), ...(task === 'vary' && {freedom: freedom / 100}), ...(task === 'fill' && {gap})};
  }

  function update(state) {
    const [chosen, remark] = chooseModel(context.models, state.model);
    model = chosen;
    seed = state.seed ?? 0;
    motif = readNotes(state.motif).filter(({pitch}) => pitch >= model.music.lowest_pitch && pitch < model.music.lowest_pitch + model.music.pitches);
    task = tasks.some(([name]) => name === state.task) ? state.task : 'new';
    freedom = Math.min(state.freedom ?? usualFreedom, 100);
    gap = gapOf(state.gap, Math.max(barsOf(motif), 1));
    if (rollOf !== model) {
      roll?.end();
      rollOf = model;
      roll = editor({lowest: model.music.lowest_pitch, pitches: model.music.pitches, change: changeMotif,
        hear: (whose, pitch) => player.try(whose, pitch), say: context.announce});
      roll.write(part, length);
      motifRoll.replaceChildren(roll.element);
    }
    roll.show(motif);
    clear.disabled = !motif.length;
    motifHint.textContent = motif.length ? `${motif.length} note${motif.length === 1 ? '' : 's'}, ${barsOf(motif)} bar${barsOf(motif) === 1 ? '' : 's'}` :
      'Click a few notes in, or open a MIDI file';
    toWav.hidden = !model.music.plays;
    for (const control of taskChoice.querySelectorAll('input')) {
      control.checked = control.value === task;
      control.disabled = control.value !== 'new' && !motif.length;
    }
    taskHint.textContent = does[task];
    freedomRow.hidden = task !== 'vary';
    taskHint.hidden = !freedomRow.hidden;
    if (document.activeElement !== slider) slider.value = freedom;
    gapRow.hidden = task !== 'fill';
    [gapFirst.value, gapLast.value] = gap;
    gapFirst.max = gapLast.max = Math.max(barsOf(motif), 1);
    side.update(model, {label: state.label, bars: state.bars ?? piece?.bars, tempo: state.tempo ?? piece?.tempo, seed});
    if (task !== 'new' && !motif.length) return nothingGiven();
    const wanted = JSON.stringify(request());
    if (wanted === drawn) return;
    drawn = wanted;
    write(remark);
  }

  function nothingGiven() {
    drawing.abort();
    drawn = null;
    player.stop();
    piece = null;
    view.clear();
    heading.textContent = 'No motif yet';
    status.textContent = '';
    shown(false);
  }

  function shown(there) {
    play.disabled = !there;
    for (const button of files.querySelectorAll('button')) button.disabled = !there;
  }

  async function write(remark) {
    drawing.abort();
    drawing = new AbortController();
    const {signal} = drawing;
    const from = performance.now();
    view.element.classList.add('waiting');
    trouble.replaceChildren(...(remark ? [notice(remark)] : []));
    const tell = setTimeout(() => { status.textContent = 'Writing …'; }, 300);
    try {
      const answer = await composed(request(), signal);
      const seconds = (performance.now() - from) / 1000;
      const {sample: {notes, command, label_name: label}, bars, tempo} = answer;
      player.stop();
      const texts = new Set(task === 'new' || task === 'vary' ? [] : (answer.motif?.notes ?? [])
        .filter((note) => task !== 'harmonise' || note.part === 'voice').map((note) => JSON.stringify(note)));
      piece = {notes, bars, tempo, command, motif: answer.motif?.mid, key: label,
        given: new Set(notes.filter((note) => texts.has(JSON.stringify(note))))};
      const [sung, played] = ['voice', 'piano'].map((whose) => notes.filter((note) => note.part === whose).length);
      heading.textContent = keyName(label) ?? model.name;
      status.textContent = `${bars} bar${bars === 1 ? '' : 's'} · seed ${seed} · ${clock(seconds)}`;
      const description = `A piece${label ? ` in ${keyName(label)}` : ''}, ${bars} bars: ${sung} notes of the voice, ${played} of the piano`;
      view.show(notes, bars, piece.given, description);
      side.update(model, {label: context.state.label, bars, tempo: Math.round(tempo), seed});
      shown(true);
      element.querySelector('.written').dataset.seed = seed;
      context.announce(description);
    } catch (error) {
      if (signal.aborted) return;
      status.textContent = '';
      if (!(error instanceof Gone)) trouble.replaceChildren(notice(error));
    } finally {
      clearTimeout(tell);
      if (!signal.aborted) view.element.classList.remove('waiting');
    }
  }

  async function download(kind, ending) {
    try {
      save(await fileOf('/api/compose', {request: request(), accept: kind, signal: leave.signal}),
        `${fileName(model.name, task === 'new' ? '' : task, piece.key?.replace('#', '-sharp'), seed)}.${ending}`);
    } catch (error) {
      if (!leave.signal.aborted && !(error instanceof Gone)) trouble.replaceChildren(notice(error));
    }
  }

  return {
    update,
    unmount() {
      leave.abort();
      drawing.abort();
      setFreedom.cancel();
      roll?.end();
      player.close();
    },
  };
}

const clock = (seconds) => (seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`);
