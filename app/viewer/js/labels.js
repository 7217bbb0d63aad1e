// Names along the edges of the map of a model: they stay in view while it moves.

import { count } from "./format.js";

const SAID = ["norm", "bias"]; // roles whose label is a word
const APART = 13; // pixels between the names of two bands
const BESIDE = 6; // pixels between the blocks and the names of what stands beside them

/** Roles along the top, blocks down the left side; turned where the edge also holds numbers. */
export function drawLabels(context, frame, world, numbered) {
  context.save();
  context.font = `600 11px ${frame.font}`;
  context.fillStyle = frame.look.ink.muted;
  drawRoles(context, frame, world, numbered);
  drawBands(context, frame, world, numbered);
  if (!numbered) drawOutside(context, frame, world);
  context.restore();
}

/** Above each matrix outside the blocks what it is. */
function drawOutside(context, { plot, view, font, look }, world) {
  const band = world.bands.find(({ x }) => x !== undefined);
  if (!band) return;
  context.beginPath();
  context.rect(plot.x, plot.y, plot.w, plot.h);
  context.clip();
  context.font = `11px ${font}`;
  context.fillStyle = look.ink.text;
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  let free = -Infinity;
  const last = world.columns.at(-1); // names begin right of what the blocks hold
  const edge = last ? plot.x + (last.x + last.w - view.x0) * view.sx + BESIDE : plot.x;
  for (const { m, x, y } of band.places) {
    const [left, top] = [plot.x + (x - view.x0) * view.sx, plot.y + (y - view.y0) * view.sy];
    if (top - free < APART) continue; // no room below the one above
    const at = Math.max(plot.x, edge, Math.min(left, plot.x + plot.w - context.measureText(m.label).width));
    context.fillText(shortened(context, m.label, plot.x + plot.w - at), at, top - 4);
    free = top;
  }
}

/** A text cut to a width, with a dot for what is missing; "" where hardly anything is left. */
function shortened(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let length = text.length - 1;
  while (length > 2 && context.measureText(`${text.slice(0, length)}…`).width > room) length -= 1;
  return length > 2 ? `${text.slice(0, length).trimEnd()}…` : "";
}

/** A word for each role below its letters, [text, middle], where there is room for all that are in view. */
function wordsOf(context, plot, view, world) {
  const letters = world.columns.filter(({ role, word }) => word && !SAID.includes(role));
  const found = letters.map(({ x, w, word }) => [word, (x + w / 2 - view.x0) * view.sx, w * view.sx]);
  const seen = found.filter(([, at]) => at >= 0 && at <= plot.w);
  return seen.every(([word, , wide]) => context.measureText(word).width <= wide + 4) ? seen : [];
}

function drawRoles(context, { plot, view, font }, world, numbered) {
  const blocks = world.bands.filter((band) => band.key !== "outside").at(-1);
  if (!blocks || (blocks.y + blocks.h - view.y0) * view.sy < plot.h * 0.08) return; // below the blocks
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  let free = plot.x;
  const aside = world.bands.filter(({ x }) => x !== undefined).map(({ x, w }) => ({ x, w, label: "outside" }));
  const words = numbered ? [] : wordsOf(context, plot, view, world);
  for (const column of [...world.columns, ...aside]) {
    const left = Math.max(0, (column.x - view.x0) * view.sx);
    const right = Math.min(plot.w, (column.x + column.w - view.x0) * view.sx);
    const named = numbered && column.word ? `${column.label} · ${column.word}` : column.label;
    const wide = context.measureText(named).width;
    const x = plot.x + (left + right) / 2;
    if (right - left < 4 || x - wide / 2 < free - 2) continue;
    context.fillText(named, x, plot.y - 26);
    free = x + wide / 2 + 6;
  }
  context.font = `11px ${font}`;
  for (const [word, middle] of words) context.fillText(word, plot.x + middle, plot.y - 12);
  context.font = `600 11px ${font}`;
}

function drawBands(context, { plot, view }, world, numbered) {
  let free = -Infinity;
  for (const band of world.bands) {
    const top = Math.max(0, (band.y - view.y0) * view.sy);
    const bottom = Math.min(plot.h, (band.y + band.h - view.y0) * view.sy);
    const y = plot.y + (top + bottom) / 2;
    if (bottom - top < 2 || band.x !== undefined) continue;
    const text = band.key === "outside" ? "Outside" : band.label;
    if (numbered) {
      if (bottom - top > context.measureText(text).width) turned(context, text, plot.x - 52, y);
    } else if (y - free >= APART) {
      context.textAlign = "right";
      context.textBaseline = "middle";
      context.fillText(text, plot.x - 8, y);
      free = y;
    }
  }
}

function turned(context, text, x, y) {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, 0, 0);
  context.restore();
}

/** The name of a matrix in its corner, where there is room and nothing else says it. */
export function drawName(context, { look, font }, area, text) {
  context.font = `11px ${font}`;
  const wide = context.measureText(text).width + 10;
  if (area.w < wide + 6 || area.h < 24) return;
  context.fillStyle = look.ink.background;
  context.beginPath();
  context.roundRect(area.x + 3, area.y + 3, wide, 17, 4);
  context.fill();
  context.fillStyle = look.ink.text;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(text, area.x + 8, area.y + 12);
}

/** A line over the middle of the map. */
export function drawNotice(context, { plot, look, font }, text) {
  context.font = `13px ${font}`;
  const wide = Math.min(plot.w, context.measureText(text).width + 28);
  const [x, y] = [plot.x + plot.w / 2, plot.y + plot.h / 2];
  context.fillStyle = look.ink.background;
  context.strokeStyle = look.ink.border;
  context.beginPath();
  context.roundRect(x - wide / 2, y - 17, wide, 34, 8);
  context.fill();
  context.stroke();
  context.fillStyle = look.ink.text;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y, wide - 16);
}

/** "4,096 × 11,008 weights, 50 % kept" of a matrix of the atlas. */
export function inWords(m, coded) {
  const size = `${count(m.rows)} × ${count(m.cols)} weights`;
  return m.reason === null ? `${size}, ${percentOf(m.kept, m.rows * m.cols)} ${coded ? "changed" : "kept"}` : `${size}, ${m.reason}`;
}

export function percentOf(part, whole) {
  const value = (100 * part) / whole;
  return `${Number(value.toFixed(1))} %`;
}
