// What is shown is what the address says, and nothing else: a link shows the same again.

const whole = (text) => /^\d{1,15}$/.test(text ?? '') ? Number(text) : null;

// name: how its text is read. What can't be read is as if it were absent.
const fields = {
  view: String,        // name of a tab
  model: String,
  label: String,       // name or number; absent: each seed draws its own
  seed: whole,         // the first of a sheet, of a plane, of a race
  steps: whole,
  count: whole,
  open: whole,         // seed of the opened picture
  made: String,        // changes of the opened picture (opened.js)
  tool: String,        // more, between, fix
  strength: whole,     // of more: first noise level in hundredths
  page: whole,         // of more and fix: which handful
  to: whole,           // of between: the other seed
  part: whole,         // of between: frame
  mask: String,        // of fix
  at: String,          // of the plane: x,y,scale of the view's middle
  cut: String,         // x,y,width,height
  seamless: whole,
  paint: String,       // what is painted on the plane (painting.js)
  task: String,        // of music: harmonise, continue, vary, fill; absent: a new piece
  motif: String,       // its notes (roll.js)
  bars: whole,
  tempo: whole,        // quarter notes a minute
  freedom: whole,      // of vary, in hundredths
  gap: String,         // of fill: first,last of the bars
  pads: String,        // of drums: which pads have another seed (drums.js)
};

export function read() {
  const parameters = new URLSearchParams(location.search);
  return Object.fromEntries(Object.entries(fields).map(([name, of]) => {
    const text = parameters.get(name);
    return [name, text === null || text === '' ? null : of(text)];
  }));
}

export function link(state) {
  const parameters = new URLSearchParams();
  for (const name of Object.keys(fields)) {
    if (state[name] !== null && state[name] !== undefined && state[name] !== '') parameters.set(name, state[name]);
  }
  const query = parameters.toString().replaceAll('%2C', ',');
  return query ? `?${query}` : location.pathname;
}

// What belongs to one tab alone.
export const ofTabs = {at: null, cut: null, seamless: null, paint: null, task: null, motif: null, bars: null, tempo: null, freedom: null, gap: null, pads: null};
// An opened picture and all that belongs to it.
export const closed = {open: null, made: null, tool: null, strength: null, page: null, to: null, part: null, mask: null};
