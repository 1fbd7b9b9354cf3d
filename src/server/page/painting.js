// What is painted on a plane: a label for each cell of a grid. Around and between what is painted, the plane's own label goes on.

import {h} from './dom.js';

export const cellSide = 32;  // pixels of the plane
const mostCells = 62;        // of a side
export const mostPixels = mostCells * cellSide;
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';  // a label each, in the address
export const mostLabels = letters.length;

export class Painting {
  cells = new Map();  // "column,row": label
  version = 0;        // another with every change
  ground = 0;         // the label of what is not painted, where the plane is not asked for by a label

  // "ground,column,row,width,height,RUNS": cells row by row, a letter a label or "-", and how many where it is more than one. What
  // can't be read is as if nothing were painted.
  static read(text) {
    const painting = new Painting();
    const found = /^(\d{1,3}),(-?\d{1,8}),(-?\d{1,8}),(\d{1,2}),(\d{1,2}),((?:[A-Za-z-]\d{0,4})+)$/.exec(text ?? '');
    if (!found) return painting;
    const [ground, column, row, width, height] = found.slice(1, 6).map(Number), runs = found[6];
    if (Math.max(width, height) > mostCells) return painting;
    painting.ground = ground;
    let at = 0;
    for (const [, letter, count] of runs.matchAll(/([A-Za-z-])(\d*)/g)) {
      for (let left = Number(count || 1); left > 0 && at < width * height; --left, ++at) {
        if (letter !== '-') painting.cells.set(`${column + at % width},${row + Math.floor(at / width)}`, letters.indexOf(letter));
      }
    }
    return painting;
  }

  toString() {
    const box = this.box();
    if (!box) return '';
    let runs = '', last = null, count = 0;
    const end = () => { if (last !== null) runs += last + (count > 1 ? count : ''); };
    for (let row = box.row; row < box.row + box.height; ++row) {
      for (let column = box.column; column < box.column + box.width; ++column) {
        const letter = letters[this.cells.get(`${column},${row}`)] ?? '-';
        if (letter === last) {
          ++count;
        } else {
          end();
          [last, count] = [letter, 1];
        }
      }
    }
    end();
    return `${this.ground},${box.column},${box.row},${box.width},${box.height},${runs}`;
  }

  get empty() { return this.cells.size === 0; }

  // The cells in use, {column, row, width, height}; null: none are.
  box() {
    if (this.empty) return null;
    const places = [...this.cells.keys()].map((key) => key.split(',').map(Number));
    const [columns, rows] = [0, 1].map((i) => places.map((place) => place[i]));
    const [column, row] = [Math.min(...columns), Math.min(...rows)];
    return {column, row, width: Math.max(...columns) - column + 1, height: Math.max(...rows) - row + 1};
  }

  // Paints a disc around a place of the plane, `radius` in pixels; null rubs out. False: a part of it is too far from what is
  // painted already, and was left out.
  paint(x, y, radius, label) {
    let whole = true;
    ++this.version;
    const box = this.box();
    let extent = box ? [box.column, box.row, box.column + box.width - 1, box.row + box.height - 1] : [Infinity, Infinity, -Infinity, -Infinity];
    const [column, row] = [Math.floor(x / cellSide), Math.floor(y / cellSide)];
    const reach = Math.ceil(radius / cellSide);
    for (let r = row - reach; r <= row + reach; ++r) {
      for (let c = column - reach; c <= column + reach; ++c) {
        const here = c === column && r === row;
        if (!here && Math.hypot((c + 0.5) * cellSide - x, (r + 0.5) * cellSide - y) > radius) continue;
        if (label === null) {
          this.cells.delete(`${c},${r}`);
          continue;
        }
        const [left, top, right, bottom] = [Math.min(extent[0], c), Math.min(extent[1], r), Math.max(extent[2], c), Math.max(extent[3], r)];
        if (Math.max(right - left, bottom - top) >= mostCells) {
          whole = false;
          continue;
        }
        extent = [left, top, right, bottom];
        this.cells.set(`${c},${r}`, label);
      }
    }
    return whole;
  }

  // What stands within a rectangle of the plane, as text: the same text, the same pixels. Empty: nothing.
  within({x, y, width, height}) {
    const found = [];
    for (let row = Math.floor(y / cellSide); row * cellSide < y + height; ++row) {
      for (let column = Math.floor(x / cellSide); column * cellSide < x + width; ++column) {
        const label = this.cells.get(`${column},${row}`);
        if (label !== undefined) found.push(`${column},${row},${label}`);
      }
    }
    return found.join(' ');
  }

  // As POST /api/canvas takes it; `own`: the plane's label.
  labelMap(own) {
    const box = this.box();
    const labels = Array.from({length: box.height + 2}, (_, row) => Array.from({length: box.width + 2}, (_, column) =>
      this.cells.get(`${box.column + column - 1},${box.row + row - 1}`) ?? own));
    return {labels, place: [box.column - 1, box.row - 1, box.width + 2, box.height + 2].map((cells) => cells * cellSide)};
  }

  // The same as a picture for --label-map, a pixel a cell: a PNG in base64. `colours`: "#rrggbb" a label.
  png(own, colours) {
    const {labels} = this.labelMap(own);
    const canvas = h('canvas', {width: labels[0].length, height: labels.length});
    const surface = canvas.getContext('2d');
    labels.forEach((row, y) => row.forEach((label, x) => {
      surface.fillStyle = colours[label];
      surface.fillRect(x, y, 1, 1);
    }));
    return canvas.toDataURL('image/png').split(',')[1];
  }
}
