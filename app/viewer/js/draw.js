// One frame of the map on a canvas: windows, marks of reset weights, grid, numbers, axes, outlines.

import { isValues, layerValue, paint, shareWord, textOn } from "./colors.js";
import { count, percent, short, tickStep } from "./format.js";
import { LARGEST, fitScale } from "./geometry.js";
import { MARKS, WHO, whoKeeps } from "./overlap.js";

const GUTTER = { left: 66, top: 44, right: 10, bottom: 10 };
const MARKS_FROM = 5; // pixels per weight: from here reset weights are hatched
const GRID_FROM = 9;
const HATCH = 6;

const pictures = new WeakMap(); // window -> Map of look -> canvas

export function plotOf(width, height) {
  return {
    x: GUTTER.left,
    y: GUTTER.top,
    w: Math.max(40, width - GUTTER.left - GUTTER.right),
    h: Math.max(40, height - GUTTER.top - GUTTER.bottom),
  };
}

/** Pixels of the map's height at a width: all of a flat matrix, never more than fits the screen. */
export function heightFor(width, shape) {
  const most = Math.min(760, Math.max(360, window.innerHeight * 0.6));
  const gutters = GUTTER.top + GUTTER.bottom;
  const whole = fitScale(plotOf(width, most), shape).sy * shape.rows + gutters;
  const closest = shape.rows * LARGEST + gutters;
  return Math.round(Math.min(most, Math.max(whole, Math.min(closest, 420), 200)));
}

/** The window's cells as a small canvas, painted once per look. */
export function picture(window, layer, look) {
  const { ink, scale, hide } = look;
  const key = [layer, ink.name, hide, scale.largest, ...scale.share].join("|");
  if (!pictures.has(window)) pictures.set(window, new Map());
  const made = pictures.get(window);
  if (!made.has(key)) {
    if (made.size > 6) made.clear();
    const canvas = document.createElement("canvas");
    canvas.width = window.w;
    canvas.height = window.h;
    canvas.getContext("2d").putImageData(paint(window, layer, look), 0, 0);
    made.set(key, canvas);
  }
  return made.get(key);
}

export function clear(context, { width, height, dpr, look }) {
  context.setTransform(dpr, 0, 0, dpr, 0, 0);
  context.fillStyle = look.ink.background;
  context.fillRect(0, 0, width, height);
}

/** One matrix in its place of the plot; returns that place. frame: width, height, dpr, plot, view,
 * shape, seen, layer, look, font, windows (coarsest first), and `exact`: those of single weights that
 * are marked and numbered; `bits` those that are marked where values are not held. */
export function drawMatrix(context, frame) {
  const { look, exact } = frame;
  const area = matrixArea(frame);
  context.save();
  context.beginPath();
  context.rect(area.x, area.y, area.w, area.h);
  context.clip();
  context.fillStyle = look.ink.surface;
  context.fillRect(area.x, area.y, area.w, area.h);
  if (frame.flat !== undefined && frame.flat !== null) drawFlat(context, frame, area);
  for (const window of frame.windows) drawWindow(context, frame, window);
  for (const window of frame.bits ?? exact) drawMarks(context, frame, window);
  if (Math.min(frame.view.sx, frame.view.sy) >= GRID_FROM) drawGrid(context, frame);
  for (const window of exact) drawNumbers(context, frame, window);
  context.restore();
  context.strokeStyle = look.ink.border;
  context.lineWidth = 1;
  context.strokeRect(area.x - 0.5, area.y - 0.5, area.w + 1, area.h + 1);
  return area;
}

/** A matrix in the one color of a share, with the number where there is room. */
function drawFlat(context, { flat, look, font, place }, area) {
  const word = shareWord(look.ink, look.scale.share, flat);
  context.fillStyle = cssOf(word);
  context.fillRect(area.x, area.y, area.w, area.h);
  const text = percent(flat);
  context.font = `11px ${font}`;
  if (area.h < 15 || area.w < context.measureText(text).width + 6) return;
  context.fillStyle = textOn(word);
  context.textAlign = "center";
  context.textBaseline = "middle";
  const [x, y] = [area.x + area.w / 2, area.y + area.h / 2];
  const name = place.grid ? `expert ${place.m.expert}` : "";
  const both = name && area.h >= 34 && area.w >= context.measureText(name).width + 6;
  if (both) context.fillText(name, x, y - 8);
  context.fillText(text, x, both ? y + 8 : y);
}

const cssOf = (word) => `rgb(${word & 255} ${(word >>> 8) & 255} ${(word >>> 16) & 255})`;

export function drawOutlines(context, frame) {
  if (frame.hover) outline(context, frame, frame.hover, 1);
  if (frame.selected) outline(context, frame, frame.selected, 2);
}

/** The part of the plot that the matrix covers, in canvas pixels. */
export function matrixArea({ plot, view, shape }) {
  const left = Math.max(0, -view.x0 * view.sx);
  const top = Math.max(0, -view.y0 * view.sy);
  const right = Math.min(plot.w, (shape.cols - view.x0) * view.sx);
  const bottom = Math.min(plot.h, (shape.rows - view.y0) * view.sy);
  return { x: plot.x + left, y: plot.y + top, w: right - left, h: bottom - top };
}

const toX = ({ plot, view }, col) => plot.x + (col - view.x0) * view.sx;
const toY = ({ plot, view }, row) => plot.y + (row - view.y0) * view.sy;

function drawWindow(context, frame, window) {
  context.imageSmoothingEnabled = false;
  const { dpr, view } = frame;
  const [high, wide] = window.cell;
  const crisp = (at) => Math.round(at * dpr) / dpr; // windows side by side leave no seam
  const x = crisp(toX(frame, window.c0));
  const y = crisp(toY(frame, window.r0));
  const right = crisp(toX(frame, window.c0) + window.w * wide * view.sx);
  const bottom = crisp(toY(frame, window.r0) + window.h * high * view.sy);
  const made = picture(window, frame.layer, frame.look);
  context.drawImage(made, x, y, Math.max(right - x, 1 / dpr), Math.max(bottom - y, 1 / dpr));
}

/** Rows and columns of an exact window that can be seen. */
function shared(frame, window) {
  const { seen } = frame;
  return {
    r0: Math.max(seen.r0, window.r0), r1: Math.min(seen.r1, window.r1),
    c0: Math.max(seen.c0, window.c0), c1: Math.min(seen.c1, window.c1),
  };
}

/** Lines over reset weights, or over those that not both runs keep, so that colour is not all that
 * tells them apart. */
function drawMarks(context, frame, window) {
  const { view, look, layer } = frame;
  if (Math.min(view.sx, view.sy) < MARKS_FROM) return;
  if (layer !== "overlap") {
    markWhere(context, frame, window, (i) => !window.kept[i], "diagonal", look.ink.reset_mark);
    return;
  }
  for (const [who, kind] of MARKS) {
    const color = who === 0 ? look.ink.reset_mark : look.ink.background;
    markWhere(context, frame, window, (i) => whoKeeps(window, i) === who, kind, color);
  }
}

function markWhere(context, frame, window, test, kind, color) {
  const { view } = frame;
  const part = shared(frame, window);
  context.beginPath();
  for (let row = part.r0; row < part.r1; row += 1) {
    const line = (row - window.r0) * window.w - window.c0;
    let start = -1; // of a run of such weights
    for (let col = part.c0; col <= part.c1; col += 1) {
      const marked = col < part.c1 && test(line + col);
      if (marked && start < 0) start = col;
      if (!marked && start >= 0) {
        context.rect(toX(frame, start), toY(frame, row), (col - start) * view.sx, view.sy);
        start = -1;
      }
    }
  }
  context.fillStyle = hatch(context, frame, color, kind);
  context.fill();
}

/** Lines that move with the map. */
function hatch(context, frame, color, kind) {
  const { dpr, view, plot } = frame;
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(HATCH * dpr);
  const pen = tile.getContext("2d");
  pen.strokeStyle = color;
  pen.lineWidth = dpr;
  pen.beginPath();
  const half = Math.floor(tile.width / 2);
  for (const shift of kind === "diagonal" ? [-1, 0, 1] : []) {
    pen.moveTo((shift - 0.5) * tile.width, 1.5 * tile.width);
    pen.lineTo((shift + 1.5) * tile.width, -0.5 * tile.width);
  }
  if (kind === "vertical") line(pen, half, 0, half, tile.width);
  if (kind === "horizontal") line(pen, 0, half, tile.width, half);
  pen.stroke();
  const pattern = context.createPattern(tile, "repeat");
  const side = tile.width / dpr;
  const x = (plot.x - view.x0 * view.sx) % side;
  const y = (plot.y - view.y0 * view.sy) % side;
  pattern.setTransform(new DOMMatrix().translate(x, y).scale(1 / dpr));
  return pattern;
}

function line(pen, x0, y0, x1, y1) {
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
}

function drawGrid(context, frame) {
  const { seen, look, view } = frame;
  context.beginPath();
  for (let col = seen.c0; col <= seen.c1; col += 1) {
    context.moveTo(toX(frame, col), toY(frame, seen.r0));
    context.lineTo(toX(frame, col), toY(frame, seen.r1));
  }
  for (let row = seen.r0; row <= seen.r1; row += 1) {
    context.moveTo(toX(frame, seen.c0), toY(frame, row));
    context.lineTo(toX(frame, seen.c1), toY(frame, row));
  }
  context.strokeStyle = look.ink.background;
  context.globalAlpha = Math.min(view.sx, view.sy) >= 20 ? 0.9 : 0.5;
  context.lineWidth = 1;
  context.stroke();
  context.globalAlpha = 1;
}

/** What a cell says: the value of the layer; for kept, the value that the pruned model holds. */
export function cellText(window, layer, index, { alone, coded }) {
  const kept = window.kept[index];
  if (layer === "overlap") return WHO[whoKeeps(window, index)];
  if (layer === "neighbours") return kept ? String(window.neighbours[index]) : alone ? "zero" : coded ? "base" : "reset";
  if (isValues(layer)) return short(layerValue(layer, window, index));
  if (window.pruned) return short(window.pruned[index]);
  return short(kept ? window.tuned[index] : window.base[index]);
}

function drawNumbers(context, frame, window) {
  const { view, look, layer, font } = frame;
  if (view.sx < 46 || view.sy < 18) return;
  const part = shared(frame, window);
  const colors = pixelsOf(window, layer, look);
  context.font = `${Math.min(13, view.sx / 5.4)}px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = part.r0; row < part.r1; row += 1) {
    for (let col = part.c0; col < part.c1; col += 1) {
      const index = (row - window.r0) * window.w + col - window.c0;
      const text = cellText(window, layer, index, look);
      const x = toX(frame, col) + view.sx / 2;
      const y = toY(frame, row) + view.sy / 2;
      if (!window.kept[index] || layer === "overlap") chip(context, x, y, context.measureText(text).width, colors[index]);
      context.fillStyle = textOn(colors[index]);
      context.fillText(text, x, y + 0.5);
    }
  }
}

/** A plain ground for a number that stands on hatching. */
function chip(context, x, y, width, color) {
  context.fillStyle = cssOf(color);
  context.fillRect(x - width / 2 - 3, y - 9, width + 6, 18);
}

function pixelsOf(window, layer, look) {
  const canvas = picture(window, layer, look);
  if (!canvas.words) {
    const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    canvas.words = new Int32Array(image.data.buffer);
  }
  return canvas.words;
}

/** Numbers of rows and columns along the edges of a matrix. */
export function drawAxes(context, frame, area) {
  const { look, font, seen, view } = frame;
  context.fillStyle = look.ink.muted;
  context.font = `11px ${font}`;
  const wide = context.measureText(count(seen.c1)).width + 16;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  for (const col of ticks(seen.c0, seen.c1, wide / view.sx)) {
    const x = toX(frame, col + 0.5);
    const room = Math.min(x, frame.width - x) * 2 > wide - 8;
    if (room && x >= area.x && x <= area.x + area.w) context.fillText(count(col), x, area.y - 7);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const row of ticks(seen.r0, seen.r1, 20 / view.sy)) {
    const y = toY(frame, row + 0.5);
    if (y >= area.y && y <= area.y + area.h) context.fillText(count(row), area.x - 7, y);
  }
  for (const cell of [frame.hover, frame.selected]) if (cell) axisChips(context, frame, cell, area);
}

/** How many rows and columns a matrix has, along its edges. */
export function drawTitles(context, { look, font, shape }, area) {
  context.font = `600 11px ${font}`;
  context.fillStyle = look.ink.muted;
  context.textBaseline = "alphabetic";
  const rows = `${count(shape.rows)} ${shape.rows === 1 ? "row" : "rows (outputs)"}`;
  const cols = `${count(shape.cols)} ${shape.cols === 1 ? "column" : "columns (inputs)"}`;
  const fits = context.measureText(rows).width < area.h;
  context.textAlign = "left";
  context.fillText(fits ? cols : `${rows} × ${cols}`, area.x, area.y - 26);
  if (!fits) return;
  context.save();
  context.translate(area.x - 50, area.y + area.h / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(rows, 0, 0);
  context.restore();
}

function ticks(first, end, least) {
  const step = tickStep(least);
  const found = [];
  for (let at = Math.ceil(first / step) * step; at < end; at += step) found.push(at);
  return found;
}

/** The numbers of a cell's row and column, highlighted on the axes. */
function axisChips(context, frame, cell, area) {
  const { look, font } = frame;
  const x = toX(frame, (cell.c0 + cell.c1) / 2);
  const y = toY(frame, (cell.r0 + cell.r1) / 2);
  context.font = `600 11px ${font}`;
  const label = (text, left, top, width) => {
    context.fillStyle = look.ink.text;
    context.beginPath();
    context.roundRect(left, top, width, 17, 4);
    context.fill();
    context.fillStyle = look.ink.background;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, left + width / 2, top + 9);
  };
  const inX = x >= area.x && x <= area.x + area.w;
  const inY = y >= area.y && y <= area.y + area.h;
  const wide = (text) => context.measureText(text).width + 10;
  if (inX) {
    const text = count(cell.c0);
    label(text, x - wide(text) / 2, area.y - 20, wide(text));
  }
  if (inY) {
    const text = count(cell.r0);
    label(text, area.x - 4 - wide(text), y - 8.5, wide(text));
  }
}

/** A frame around a cell that shows on any colour; a ring where the cell is too small. */
function outline(context, frame, cell, width) {
  const { look, plot } = frame;
  const x = toX(frame, cell.c0);
  const y = toY(frame, cell.r0);
  const w = (cell.c1 - cell.c0) * frame.view.sx;
  const h = (cell.r1 - cell.r0) * frame.view.sy;
  context.save();
  context.beginPath();
  context.rect(plot.x - 2, plot.y - 2, plot.w + 4, plot.h + 4);
  context.clip();
  context.beginPath();
  if (Math.min(w, h) < 6 && width > 1) context.arc(x + w / 2, y + h / 2, 8, 0, 2 * Math.PI);
  else context.rect(x, y, w, h);
  context.lineWidth = width + 3;
  context.strokeStyle = look.ink.background;
  context.stroke();
  context.lineWidth = width + 0.5;
  context.strokeStyle = look.ink.text;
  context.stroke();
  context.restore();
}
