// Rolls of notes: sixteenths from left to right, pitches from below. A note is {part, start, length, pitch}: voice or piano,
// sixteenths, and the number that MIDI has for it.

import {h, svg} from './dom.js';

export const bar = 16;
export const mostBars = 1024;
const names = ['C', 'C♯', 'D', 'E♭', 'E', 'F', 'F♯', 'G', 'A♭', 'A', 'B♭', 'B'];
const isBlack = (pitch) => [1, 3, 6, 8, 10].includes(pitch % 12);
export const nameOf = (pitch) => `${names[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
const sixteenths = (count) => `${count} sixteenth${count === 1 ? '' : 's'}`;
const endOf = ({start, length}) => start + length;
export const barsOf = (notes) => Math.ceil(Math.max(0, ...notes.map(endOf)) / bar);

// ---- as text, for the address ----

// Note by note: "W" for 32 sixteenths since the last one began, "P" of the piano, "L" for 32 sixteenths of length; then what is left
// of both, a digit each, and the pitch, two; digits to the base 36.
export function writeNotes(notes) {
  let text = '', last = 0;
  for (const {part, start, length, pitch} of [...notes].sort((a, b) => a.start - b.start || a.pitch - b.pitch)) {
    const since = start - last;
    text += 'W'.repeat(Math.floor(since / 32)) + (part === 'piano' ? 'P' : '') + 'L'.repeat(Math.floor(length / 32)) +
      (since % 32).toString(36) + (length % 32).toString(36) + pitch.toString(36).padStart(2, '0');
    last = start;
  }
  return text;
}

// What can't be read is as if it were absent.
export function readNotes(text) {
  if (!/^(W*P?L*[0-9a-z]{4})*$/.test(text ?? '')) return [];
  let last = 0;
  return [...(text ?? '').matchAll(/(W*)(P?)(L*)(.)(.)(..)/g)].map(([, far, piano, long, since, length, pitch]) => {
    last += 32 * far.length + parseInt(since, 36);
    return {part: piano ? 'piano' : 'voice', start: last, length: 32 * long.length + parseInt(length, 36) || 1, pitch: parseInt(pitch, 36)};
  }).filter((note) => note.pitch < 128 && endOf(note) <= mostBars * bar);
}

// ---- drawn ----

// A part of a roll: `columns` sixteenths from `from`, `rows` pitches from `lowest`. Cells are `wide` x `tall` pixels.
function system(notes, {from, columns, lowest, rows, wide, tall, given = new Set()}) {
  const width = columns * wide, height = rows * tall;
  const top = (pitch) => (lowest + rows - 1 - pitch) * tall;
  const back = svg('g', {}, svg('rect', {class: 'paper', width, height}));
  for (let pitch = lowest; pitch < lowest + rows; ++pitch) {
    if (isBlack(pitch)) back.append(svg('rect', {class: 'black', y: top(pitch), width, height: tall}));
    if (pitch % 12 === 0 || pitch % 12 === 5) back.append(svg('line', {class: 'octave', x2: width, y1: top(pitch) + tall, y2: top(pitch) + tall}));
  }
  for (let column = 4; column < columns; column += 4) {
    back.append(svg('line', {class: (from + column) % bar ? 'beat' : 'bar', x1: column * wide, x2: column * wide, y2: height}));
  }
  const shown = svg('g', {});
  // The voice comes last, so that it is seen where both meet.
  for (const note of [...notes].sort((a, b) => (a.part === b.part ? 0 : a.part === 'piano' ? -1 : 1))) {
    const begin = Math.max(note.start, from), end = Math.min(endOf(note), from + columns);
    if (begin >= end) continue;
    const edge = Math.min(2, wide / 5);
    shown.append(svg('rect', {class: `note ${note.part}${given.has(note) ? ' given' : ''}`, x: (begin - from) * wide + edge / 2, y: top(note.pitch) + 0.5,
      width: (end - begin) * wide - edge, height: tall - 1, rx: Math.min(3, tall / 3), 'stroke-width': Math.min(1.4, tall / 5),
      ...(begin === note.start && {'data-note': [note.part, note.start, note.length, note.pitch].join(' ')})}));
  }
  const head = svg('line', {class: 'head', y2: height, visibility: 'hidden'});
  return {element: svg('svg', {width, height, 'aria-hidden': 'true', class: 'roll'}, back, shown, head), head};
}

// The keys of a piano beside a roll; every C has its name.
function keyboard({lowest, rows, tall, wide}) {
  const top = (pitch) => (lowest + rows - 1 - pitch) * tall;
  const element = svg('svg', {width: wide, height: rows * tall, 'aria-hidden': 'true', class: 'keyboard'},
    svg('rect', {class: 'ivory', width: wide, height: rows * tall}));
  for (let pitch = lowest; pitch < lowest + rows; ++pitch) {
    if (isBlack(pitch)) element.append(svg('rect', {class: 'ebony', y: top(pitch), width: 0.5 * wide - 1, height: tall, rx: 1}));
    if (pitch % 12 === 0 || pitch % 12 === 5) element.append(svg('line', {class: 'gap', x2: wide, y1: top(pitch) + tall, y2: top(pitch) + tall}));
    if (pitch % 12 === 0) element.append(svg('text', {x: wide - 3, y: top(pitch) + tall - Math.max(0, (tall - 10) / 2) - 1}, nameOf(pitch)));
  }
  return element;
}

// A whole piece, broken into rows as wide as there is room for. `seek(sixteenth)`: a place was clicked.
export function pieceView(seek) {
  const element = h('div', {class: 'piece-roll', role: 'img'});
  let piece = null, rows = [];

  function draw() {
    const room = element.clientWidth;
    if (!piece || !room) return;
    const gutter = 28, columns = bar * piece.bars;
    const inRow = Math.min(columns, bar * ([16, 8, 4, 2].find((bars) => (room - gutter) / (bar * bars) >= 5) ?? 1));
    const wide = Math.min((room - gutter) / inRow, 22);
    const pitches = piece.notes.map(({pitch}) => pitch);
    const low = Math.max(0, Math.min(60, ...pitches) - 2), high = Math.min(127, Math.max(72, ...pitches) + 2);
    const tall = Math.max(3.5, Math.min(8, (room < 600 ? 220 : 260) / (high - low + 1)));
    rows = [];
    for (let from = 0; from < columns; from += inRow) {
      const size = {from, columns: Math.min(inRow, columns - from), lowest: low, rows: high - low + 1, tall};
      const row = {...system(piece.notes, {...size, wide, given: piece.given}), from, columns: size.columns, wide};
      row.element.addEventListener('click', (event) =>
        seek(from + Math.max(0, Math.floor((event.clientX - row.element.getBoundingClientRect().left) / wide))));
      rows.push({...row, box: h('div', {class: 'system'}, keyboard({...size, wide: gutter}), row.element)});
    }
    element.replaceChildren(...rows.map(({box}) => box));
  }
  new ResizeObserver(draw).observe(element);

  return {
    element,
    // `given`: which of the notes were given.
    show(notes, bars, given, description) {
      piece = {notes, bars, given};
      element.setAttribute('aria-label', description);
      draw();
    },
    clear() {
      piece = null;
      rows = [];
      element.replaceChildren();
    },
    // Where it plays; null: nowhere.
    place(sixteenth) {
      for (const {head, from, columns, wide} of rows) {
        const here = sixteenth !== null && sixteenth >= from && sixteenth < from + columns;
        head.setAttribute('visibility', here ? 'visible' : 'hidden');
        if (here) head.setAttribute('transform', `translate(${((sixteenth - from) * wide).toFixed(1)})`);
      }
    },
  };
}

// A roll that one clicks notes into. `change(notes)`: what it has become; `hear(part, pitch)`; `say(text)`, for who does not see it.
export function editor({lowest, pitches, change, hear, say}) {
  const wideOf = (bars, room) => Math.max(11, Math.min(24, (room - gutter) / (bar * bars)));
  const gutter = 40, tall = matchMedia('(pointer: coarse)').matches ? 18 : 14;
  let notes = [], bars = 4, part = 'voice', usual = 4, wide = 14;
  let cursor = {column: 0, pitch: Math.min(Math.max(60, lowest), lowest + pitches - 1)};
  let held = null;  // {note, from: column, moved, fresh}: what the mouse has in its hand
  const grid = h('div', {class: 'grid', tabindex: 0, role: 'application', 'data-keys': true, 'aria-describedby': 'motif-state',
    'aria-label': 'The motif as a piano roll. Arrow keys move, Shift makes them move by beats and octaves, Enter or Space writes a note or takes it away, plus and minus change its length, Delete removes it.'});
  const state = h('span', {id: 'motif-state', class: 'unseen'});
  const scroll = h('div', {class: 'editor'}, keyboard({lowest, rows: pitches, tall, wide: gutter}), grid, state);
  let placed = false;

  function draw() {
    const room = scroll.clientWidth;
    if (!room) return;
    bars = Math.max(4, 4 * Math.ceil((barsOf(notes) + (barsOf(notes) % 4 === 0 ? 1 : 0)) / 4));
    wide = wideOf(4, room);
    const all = held?.fresh ? [...notes, held.note] : notes;
    const {element} = system(all, {from: 0, columns: bar * bars, lowest, rows: pitches, wide, tall});
    element.append(svg('rect', {class: 'cursor', x: cursor.column * wide, y: (lowest + pitches - 1 - cursor.pitch) * tall, width: wide, height: tall}));
    grid.replaceChildren(element);
    state.textContent = notes.length ? `${notes.length} note${notes.length === 1 ? '' : 's'} in ${barsOf(notes)} bar${barsOf(notes) === 1 ? '' : 's'}` : 'No notes yet';
    if (!placed) {  // what is sung is in view
      placed = true;
      const middle = notes.length ? (Math.min(...notes.map(({pitch}) => pitch)) + Math.max(...notes.map(({pitch}) => pitch))) / 2 : 67;
      scroll.scrollTop = (lowest + pitches - 0.5 - middle) * tall - scroll.clientHeight / 2;
    }
  }
  const observer = new ResizeObserver(draw);
  observer.observe(scroll);

  const at = (column, pitch) => notes.find((note) => note.pitch === pitch && note.start <= column && column < endOf(note) && note.part === part) ??
    notes.find((note) => note.pitch === pitch && note.start <= column && column < endOf(note));
  const place = ({start, pitch}) => `${nameOf(pitch)}, bar ${Math.floor(start / bar) + 1}, beat ${Math.floor(start % bar / 4) + 1}${start % 4 ? ` and ${sixteenths(start % 4)}` : ''}`;

  // Nothing of the same part and pitch sounds at once.
  function put(note) {
    const others = notes.filter((each) => each.part !== note.part || each.pitch !== note.pitch || each.start >= endOf(note) || endOf(each) <= note.start);
    become([...others, note]);
  }
  function become(next) {
    notes = next;
    draw();
    change(notes);
  }
  function add(column, pitch) {
    put({part, start: column, length: usual, pitch});
    hear(part, pitch);
    say(`${place({start: column, pitch})} written`);
  }
  function remove(note) {
    become(notes.filter((each) => each !== note));
    say(`${place(note)} taken away`);
  }

  const cellOf = (event) => {
    const box = grid.getBoundingClientRect();
    return {column: Math.min(bar * bars - 1, Math.max(0, Math.floor((event.clientX - box.left) / wide))),
            pitch: Math.min(lowest + pitches - 1, Math.max(lowest, lowest + pitches - 1 - Math.floor((event.clientY - box.top) / tall)))};
  };
  // A finger that moves scrolls; a mouse draws a note as long as it likes, or makes one that is there longer or shorter.
  grid.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    const cell = cellOf(event), note = at(cell.column, cell.pitch);
    cursor = cell;
    held = {note: note ?? {part, start: cell.column, length: usual, pitch: cell.pitch}, fresh: !note, column: cell.column, moved: false};
    if (event.pointerType === 'touch') return;
    grid.setPointerCapture(event.pointerId);
    if (!note) hear(part, cell.pitch);
    draw();
  });
  grid.addEventListener('pointermove', (event) => {
    if (!held || event.pointerType === 'touch') return;
    const {column} = cellOf(event);
    if (column === held.column && !held.moved) return;
    held.moved = true;
    const length = Math.max(1, column - held.note.start + 1);
    if (length === held.note.length) return;
    const before = held.note;
    held.note = {...before, length};
    if (!held.fresh) notes = notes.map((each) => (each === before ? held.note : each));
    draw();
  });
  grid.addEventListener('pointerup', (event) => {
    if (!held) return;
    const {note, fresh, moved} = held;
    held = null;
    if (!fresh && !moved) return remove(note);
    if (fresh && event.pointerType === 'touch') hear(note.part, note.pitch);
    put(note);
    say(`${place(note)} written`);
  });
  grid.addEventListener('pointercancel', () => {
    held = null;
    draw();
  });
  grid.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const across = event.shiftKey ? 4 : 1, up = event.shiftKey ? 12 : 1;
    const move = {ArrowLeft: [-across, 0], ArrowRight: [across, 0], ArrowUp: [0, up], ArrowDown: [0, -up], Home: [-cursor.column, 0]}[event.key];
    const note = at(cursor.column, cursor.pitch);
    if (move) {
      cursor = {column: Math.min(bar * bars - 1, Math.max(0, cursor.column + move[0])),
                pitch: Math.min(lowest + pitches - 1, Math.max(lowest, cursor.pitch + move[1]))};
      draw();
      const there = at(cursor.column, cursor.pitch);
      say(place({start: cursor.column, pitch: cursor.pitch}) + (there ? `, a note of the ${there.part}, ${sixteenths(there.length)}` : ''));
      grid.querySelector('.cursor').scrollIntoView({block: 'nearest', inline: 'nearest'});
    } else if (event.key === 'Enter' || event.key === ' ') {
      if (note) remove(note);
      else add(cursor.column, cursor.pitch);
    } else if ((event.key === 'Delete' || event.key === 'Backspace') && note) {
      remove(note);
    } else if ('+=-'.includes(event.key) && note) {
      const longer = {...note, length: Math.max(1, note.length + (event.key === '-' ? -1 : 1))};
      notes = notes.filter((each) => each !== note);
      put(longer);
      say(sixteenths(longer.length));
    } else {
      return;
    }
    event.preventDefault();
  });

  return {
    element: scroll,
    show(next) {
      if (held) return;
      if (!notes.length && next.length) placed = false;
      notes = next;
      draw();
    },
    write(nextPart, nextLength) { [part, usual] = [nextPart, nextLength]; },
    end() { observer.disconnect(); },
  };
}
