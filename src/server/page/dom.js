// An element: h('a', {href: '/', onclick: f}, 'text', child). Attributes that are null or false are left out.
export const h = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

// The same in a drawing.
export const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function delay(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => { clearTimeout(timer); resolve(); });
  });
}

// f, once its calls have paused for so long.
export function debounced(milliseconds, f) {
  let timer = 0;
  const call = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...values), milliseconds);
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

// The address of a blob for as long as the document shows it: it is given back once another picture took its place.
export function show(image, blob) {
  const before = image.dataset.blob;
  const address = URL.createObjectURL(blob);
  image.dataset.blob = address;
  image.src = address;
  if (before) URL.revokeObjectURL(before);
}

export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  h('a', {href: address, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// A button that puts a text into the clipboard, or, where the browser forbids that, shows it selected.
export function copyButton(text, caption = 'Copy the command') {
  const shown = h('textarea', {class: 'command', readonly: true, rows: 3, hidden: true, 'aria-label': 'Command'});
  const button = h('button', {type: 'button', class: 'action', 'data-copy': true}, caption);
  button.addEventListener('click', async () => {
    shown.value = text();
    try {
      await navigator.clipboard.writeText(shown.value);
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = caption; }, 1500);
    } catch {
      shown.hidden = false;
      shown.focus();
      shown.select();
    }
    button.dataset.copied = shown.value;
  });
  return h('div', {class: 'copy'}, button, shown);
}

export function fileName(...parts) {
  return parts.filter((part) => part !== '' && part !== null && part !== undefined).join('-')
    .toLowerCase().replace(/[^a-z0-9.]+/g, '-');
}
