// A brush over a picture: what is painted is to be drawn anew. A mask is a grid of at most 64 cells a side, coarse enough to
// stand in an address.

import {h} from './dom.js';

const mostCells = 64;

export class Mask {
  constructor(width, height, cells = new Uint8Array(width * height)) {
    Object.assign(this, {width, height, cells});
  }

  static of(pictureWidth, pictureHeight) {
    const scale = Math.min(1, mostCells / Math.max(pictureWidth, pictureHeight));
    return new Mask(Math.max(1, Math.round(pictureWidth * scale)), Math.max(1, Math.round(pictureHeight * scale)));
  }

  // Width, height and a bit a cell in base64url; null where that is not what the text is.
  static read(text) {
    const [, width, height, bits] = /^(\d{1,2})\.(\d{1,2})\.([\w-]+)$/.exec(text ?? '') ?? [];
    if (!bits || Math.max(width, height) > mostCells || width * height === 0) return null;
    try {
      const bytes = atob(bits.replaceAll('-', '+').replaceAll('_', '/'));
      const mask = new Mask(Number(width), Number(height));
      if (bytes.length * 8 < mask.cells.length) return null;
      mask.cells.forEach((_, i) => { mask.cells[i] = (bytes.charCodeAt(i >> 3) >> (i & 7)) & 1; });
      return mask;
    } catch {
      return null;
    }
  }

  toString() {
    const bytes = new Uint8Array(Math.ceil(this.cells.length / 8));
    this.cells.forEach((cell, i) => { bytes[i >> 3] |= cell << (i & 7); });
    return `${this.width}.${this.height}.${btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`;
  }

  get empty() { return !this.cells.includes(1); }

  // Paints a disc; place and radius in cells.
  paint(x, y, radius) {
    for (let row = 0; row < this.height; ++row) {
      for (let column = 0; column < this.width; ++column) {
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= Math.max(radius, 0.71)) this.cells[row * this.width + column] = 1;
      }
    }
  }

  drawn(width, height, [red, green, blue, alpha]) {
    const small = h('canvas', {width: this.width, height: this.height});
    const pixels = new ImageData(this.width, this.height);
    this.cells.forEach((cell, i) => { if (cell) pixels.data.set([red, green, blue, alpha], 4 * i); });
    small.getContext('2d').putImageData(pixels, 0, 0);
    const canvas = h('canvas', {width, height});
    const surface = canvas.getContext('2d');
    surface.imageSmoothingEnabled = false;
    surface.drawImage(small, 0, 0, width, height);
    return canvas;
  }

  // White is drawn, black is kept: a PNG of the picture's size, in base64.
  png(width, height) {
    const canvas = h('canvas', {width, height});
    const surface = canvas.getContext('2d');
    surface.fillRect(0, 0, width, height);
    surface.drawImage(this.drawn(width, height, [255, 255, 255, 255]), 0, 0);
    return canvas.toDataURL('image/png').split(',')[1];
  }
}

// A surface over a picture on which one paints with mouse, finger, pen or keys; `done(mask)` after each stroke. `radius()`: of
// the brush, as a part of the picture's width.
export function brush(mask, radius, done) {
  const canvas = h('canvas', {class: 'brush', tabindex: 0, role: 'application', 'data-keys': true,
    'aria-label': 'Brush. Arrow keys move it, space paints, Delete clears.'});
  let cursor = {x: 0.5, y: 0.5}, painting = false, seen = false, last = null;

  function redraw() {
    const {width, height} = canvas.getBoundingClientRect();
    if (!width) return;
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const surface = canvas.getContext('2d');
    surface.drawImage(mask.drawn(canvas.width, canvas.height, [255, 92, 57, 150]), 0, 0);
    if (!seen) return;
    surface.lineWidth = 2 * devicePixelRatio;
    surface.beginPath();
    surface.arc(cursor.x * canvas.width, cursor.y * canvas.height, radius() * canvas.width, 0, 2 * Math.PI);
    surface.strokeStyle = 'white';
    surface.stroke();
    surface.setLineDash([6, 6]);
    surface.strokeStyle = 'black';
    surface.stroke();
  }

  const paint = (x, y) => mask.paint(x * mask.width, y * mask.height, radius() * mask.width);

  function place(event) {
    const box = canvas.getBoundingClientRect();
    cursor = {x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height};
    seen = true;
  }

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    canvas.focus({preventScroll: true});
    canvas.setPointerCapture(event.pointerId);
    place(event);
    painting = true;
    paint(cursor.x, cursor.y);
    last = cursor;
    redraw();
  });
  canvas.addEventListener('pointermove', (event) => {
    place(event);
    if (painting) {
      // A fast hand leaves gaps between its events.
      const pieces = Math.ceil(Math.hypot(cursor.x - last.x, cursor.y - last.y) * 2 * mask.width) || 1;
      for (let i = 1; i <= pieces; ++i) paint(last.x + (cursor.x - last.x) * i / pieces, last.y + (cursor.y - last.y) * i / pieces);
      last = cursor;
    }
    redraw();
  });
  for (const end of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(end, () => {
      if (painting) done(mask);
      painting = false;
    });
  }
  canvas.addEventListener('pointerleave', () => { seen = painting; redraw(); });
  canvas.addEventListener('keydown', (event) => {
    const step = 1 / 28;
    const move = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
    if (move) {
      cursor = {x: Math.min(1, Math.max(0, cursor.x + move[0])), y: Math.min(1, Math.max(0, cursor.y + move[1]))};
    } else if (event.key === ' ') {
      paint(cursor.x, cursor.y);
    } else if (event.key === 'Delete') {
      mask.cells.fill(0);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    seen = true;
    redraw();
    if (!move) done(mask);
  });
  canvas.addEventListener('focus', () => { seen = true; redraw(); });
  canvas.addEventListener('blur', () => { seen = false; redraw(); });
  new ResizeObserver(redraw).observe(canvas);
  return {element: canvas, redraw};
}
