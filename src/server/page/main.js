// One tab at a time, and what all of them stand on: the address, the server's health, the space bar.
//
// A tab is a module with `id`, `title`, `available(models)`: those it can work with, and `mount(element, context)`, which
// returns {update(state), unmount()}. To add one, import it and name it in `tabs`.

import * as address from './address.js';
import {healthy, models as askModels, onGone, Refusal} from './api.js';
import {notice} from './controls.js';
import {delay, h} from './dom.js';
import * as drums from './drums.js';
import * as loops from './loops.js';
import * as music from './music.js';
import * as pictures from './pictures.js';
import * as plane from './plane.js';
import * as race from './race.js';

const tabs = [pictures, plane, music, drums, loops, race];

const view = document.getElementById('view');
const nav = document.getElementById('tabs');
const banner = document.getElementById('banner');
const announcer = document.getElementById('announcer');

let models = [];
let shown = null;  // {tab, mounted}

const context = {
  get models() { return shown.usable; },
  get state() { return address.read(); },
  link: (changes) => address.link({...address.read(), ...changes}),
  go(changes, {replace = false} = {}) {
    const target = context.link(changes);
    if (target === (location.search || location.pathname)) return;
    history[replace ? 'replaceState' : 'pushState'](null, '', target);
    render();
  },
  announce: (text) => { announcer.textContent = text; },
};

function render() {
  const state = address.read();
  const open = tabs.map((tab) => ({tab, usable: tab.available(models)})).filter(({usable}) => usable.length);
  if (!open.length) {
    view.replaceChildren(notice(new Error('No loaded model can be shown here; the HTTP API has them all.')));
    return;
  }
  const {tab, usable} = open.find((each) => each.tab.id === state.view) ?? open[0];
  // A model and its label stay where the other tab has the same one.
  const nameIn = (of) => (of.find((model) => model.name === state.model) ?? of[0]).name;
  const stays = (of) => (nameIn(of) === nameIn(usable) ? {} : {model: null, label: null, steps: null});
  nav.replaceChildren(...open.map((each) => h('a', {
    href: address.link({...state, ...address.closed, ...address.ofTabs, ...stays(each.usable), view: each.tab === tabs[0] ? null : each.tab.id}),
    'aria-current': each.tab === tab ? 'page' : null}, each.tab.title)));
  document.title = `${tab.title} – onestep`;
  if (shown?.tab !== tab) {
    shown?.mounted.unmount();
    view.replaceChildren();
    shown = {tab, usable};
    shown.mounted = tab.mount(view, context);
  }
  shown.usable = usable;
  shown.mounted.update(state);
}

// Everything anew: at the start, and when the server is back, perhaps with other models.
async function start() {
  try {
    ({models} = await askModels());
  } catch (error) {
    if (error instanceof Refusal) view.replaceChildren(notice(error));
    return;
  }
  shown?.mounted.unmount();
  shown = null;
  view.replaceChildren();
  render();
}

let healing = false;
onGone(async () => {
  if (healing) return;
  healing = true;
  banner.textContent = 'The server does not answer. This page goes on by itself as soon as it is back.';
  banner.hidden = false;
  while (!await healthy()) await delay(1000);
  banner.hidden = true;
  healing = false;
  context.announce('The server is back.');
  start();
});

// Links within the page change the address alone.
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const target = new URL(link.href);
  if (target.origin !== location.origin || target.pathname !== '/' || target.hash || link.hasAttribute('download')) return;
  event.preventDefault();
  if (target.search === location.search) return;
  history.pushState(null, '', target);
  render();
});
// A page that is left may be kept by the browser, with its connections: what it waits for is given up, or the server would draw it.
addEventListener('pagehide', () => {
  shown?.mounted.unmount();
  shown = null;
  view.replaceChildren();
});
addEventListener('pageshow', (event) => event.persisted && start());

addEventListener('popstate', () => models.length && render());

// The space bar presses the big button wherever it has no meaning of its own.
document.addEventListener('keydown', (event) => {
  if (event.key !== ' ' || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest('input, textarea, select, button, summary, dialog, [data-keys]')) return;
  const button = view.querySelector('[data-space]');
  if (!button) return;
  event.preventDefault();
  if (!event.repeat) button.click();
});

start();

// The server's end is seen even while nothing is asked of it.
for (;;) {
  await delay(5000);
  if (!document.hidden && !healing && !await healthy()) askModels().catch(() => {});
}
