// The view of the map of a model as an address, and back.
// `at` names a matrix; r0 r1 c0 c1 are the rows and columns in sight as on the Matrix page. Where
// more than the matrix is in sight they go beyond it, below zero too, with decimals.

import { closest, fitScale, settle, visible } from "./geometry.js";
import { closestOf, viewOf, wholeWorld, worldFit, worldView } from "./world.js";

const APART = 14; // pixels of a weight, so that kept and reset can be told apart in a row

const near = (a, b) => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b));
const sameView = (a, b, plot) =>
  near(a.sx, b.sx) && near(a.sy, b.sy) &&
  Math.abs(a.x0 - b.x0) * a.sx < plot.w * 1e-4 && Math.abs(a.y0 - b.y0) * a.sy < plot.h * 1e-4;

/** All of a matrix, with a little of what is around it. */
export function matrixView(place, { plot, shape }) {
  const { rows, cols } = place.m;
  const { sx, sy } = fitScale({ w: plot.w * 0.94, h: plot.h * 0.94 }, { rows, cols });
  const middle = (length, room, scale) => (length - room / scale) / 2;
  const own = { x0: middle(cols, plot.w, sx), y0: middle(rows, plot.h, sy), sx, sy };
  return settle(worldView(own, place), plot, shape);
}

/** All of a block. */
export function bandView(band, { plot, world, shape }) {
  const { sx } = worldFit(plot, world);
  return settle({ x0: 0, y0: band.y - band.h * 0.05, sx, sy: plot.h / (band.h * 1.1) }, plot, shape);
}

/** All experts of a role in a block. */
export function gridView({ x, y, w, h }, { plot, shape }) {
  const [sx, sy] = [plot.w / (w * 1.1), plot.h / (h * 1.1)];
  return settle({ x0: x - w * 0.05, y0: y - h * 0.05, sx, sy }, plot, shape);
}

/** A block without what stands beside the blocks. */
function blockView(band, { plot, world, shape }) {
  const { x, w } = world.columns.at(-1) ?? { x: 0, w: world.cols };
  const [wide, high] = [(x + w) * 1.02, band.h * 1.1];
  return settle({ x0: 0, y0: band.y - band.h * 0.05, sx: plot.w / wide, sy: plot.h / high }, plot, shape);
}

/** A row across the plot, as much of it as can be told apart, around a column. */
export function rowView(place, { row, col }, { plot, shape }) {
  const { cols } = place.m;
  const scale = clamp((plot.w * 0.96) / cols, APART, closest().sx);
  return settle(worldView(inside(place, { row, col }, scale, plot), place), plot, shape);
}

/** A weight in the middle of a view of its matrix, or as near to it as there is nothing but the matrix to be seen. */
function inside({ m }, { row, col }, scale, plot) {
  const start = (at, room, count) => (room >= count ? (count - room) / 2 : clamp(at + 0.5 - room / 2, 0, count - room));
  return { sx: scale, sy: scale, x0: start(col, plot.w / scale, m.cols), y0: start(row, plot.h / scale, m.rows) };
}

/** The view of a level of a guided zoom: {near, matrix, row, col}. */
export function guidedView({ near, matrix, row, col }, map) {
  const place = matrix === null ? null : map.world.byName.get(matrix);
  if (near === "model" || !place) return wholeWorld(map.plot, map.world);
  if (near === "block") return blockView(place.band, map);
  if (near === "row") return rowView(place, { row, col }, map);
  if (near === "matrix") return matrixView(place, map);
  return settle(worldView(inside(place, { row, col }, closest().sx, map.plot), place), map.plot, map.shape);
}

/** What is in sight in a matrix' own rows and columns; whole weights where all of it is inside. */
export function seenOf({ view, plot }, place) {
  const { rows, cols } = place.m;
  const own = viewOf(view, place);
  const [top, left] = [own.y0, own.x0];
  const [bottom, right] = [top + plot.h / own.sy, left + plot.w / own.sx];
  const slack = 1e-6;
  const inside = top > -slack && left > -slack && bottom < rows + slack && right < cols + slack;
  if (inside) return visible(own, plot, { rows, cols });
  const digits = (value, span) => Number(value.toFixed(span > 200 ? 1 : 3));
  const [high, wide] = [bottom - top, right - left];
  return {
    r0: digits(top, high), r1: digits(bottom, high), c0: digits(left, wide), c1: digits(right, wide),
  };
}

/** {at, r0, r1, c0, c1, row, col} of what is in sight. */
export function linkOf(map) {
  const { focus, selected } = map;
  const weight = { row: selected?.r0 ?? null, col: selected?.c0 ?? null };
  const none = { at: null, r0: null, r1: null, c0: null, c1: null };
  if (map.atTop()) return { ...none, ...weight, at: selected?.matrix ?? null };
  const place = (selected && map.world.byName.get(selected.matrix)) ?? focus;
  const at = { ...none, at: place.m.name, ...weight };
  if (sameView(map.view, matrixView(place, map), map.plot)) return at;
  return { ...at, ...seenOf(map, place) };
}

/** The view that a link asks for. */
export function viewOfLink({ at, r0, r1, c0, c1, row, col }, map) {
  const { plot, world, shape } = map;
  const place = at === null ? null : world.byName.get(at);
  if (!place) return wholeWorld(plot, world);
  if (r0 !== null) {
    const own = { x0: c0, y0: r0, sx: plot.w / (c1 - c0), sy: plot.h / (r1 - r0) };
    const view = worldView(own, place);
    const [least, most] = [worldFit(plot, world), closestOf(place)];
    const scale = { sx: clamp(view.sx, least.sx, most.sx), sy: clamp(view.sy, least.sy, most.sy) };
    return settle({ ...around(view, scale, plot), ...scale }, plot, shape);
  }
  if (row === null) return matrixView(place, map);
  const { sx, sy } = closest();
  const own = { sx, sy, x0: col + 0.5 - plot.w / sx / 2, y0: row + 0.5 - plot.h / sy / 2 };
  return settle(worldView(own, place), plot, shape);
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));

/** Where a view begins that has another scale and the same middle. */
function around(view, scale, plot) {
  const x = view.x0 + plot.w / view.sx / 2;
  const y = view.y0 + plot.h / view.sy / 2;
  return { x0: x - plot.w / scale.sx / 2, y0: y - plot.h / scale.sy / 2 };
}
