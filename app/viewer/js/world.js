// Where every matrix of a model stands: one plane, columns are roles, bands are blocks.
// Units of the plane ("world"): a weight of the tallest, and of the widest, role is 1 x 1; all
// matrices of one role have one scale. Sizes grow with the root of rows and columns, and thin ones
// have a least size, so that a bias beside a feed-forward matrix can still be seen.

import { LARGEST } from "./geometry.js";

const GAP = 0.07; // between bands and columns, of the tallest and widest
const THIN = 0.085; // least height of a matrix, of the tallest
const NARROW = 0.16; // least width, of the widest
const THICK = 12; // pixels that a matrix drawn in its proportions is thick at least
const PULL = 0.4; // of the way, with each step of the zoom
const OUTSIDE = { wide: 1.6, high: 1.3, column: 1.25 }; // most of what stands outside the blocks
const MANY = 5; // experts of a role from which on they stand in a grid, side by side
const APART = 0.08; // between the experts of a grid, of one
const LEAST_SLOT = 0.45; // of the tallest, for each of them and its name
const NAMED = 0.42; // of that, for the name

/** Places of all matrices: {rows, cols, places, columns, bands, byName}. */
export function layOut(matrices, roles) {
  const inside = matrices.filter((m) => m.block !== null);
  const outside = matrices.filter((m) => m.block === null);
  const cells = cellsOf(inside);
  const tall = Math.max(1, ...tallest(cells), ...(inside.length ? [] : outside.map((m) => m.rows)));
  const wide = Math.max(1, ...(inside.length ? widest(cells) : outside.map((m) => m.cols)));
  const columns = columnsOf(cells, roles, tall, wide);
  const cols = Math.max(columns.reduce((sum, column) => sum + column.w + GAP * wide, 0), wide * 3);
  const places = [];
  const bands = [];
  let y = 0;
  for (const [key, band] of cells) {
    const made = { key, label: band.label, y, h: tall, places: [] };
    for (const column of columns) {
      for (const [slot, stand] of (band.cells.get(column.role) ?? []).entries()) {
        const { top, ky } = column.slots[slot];
        made.places.push(...placed(stand, { x: column.x, y: y + top, kx: column.kx, ky, band: made, column, slot }));
      }
    }
    places.push(...made.places);
    bands.push(made);
    y += tall * (1 + GAP);
  }
  if (outside.length && inside.length) {
    const x = cols + GAP * wide;
    const band = aside(outside, { x, tall, wide, high: y - GAP * tall });
    const rows = Math.max(y - GAP * tall, band.h);
    const all = [...places, ...band.places];
    const byName = new Map(all.map((place) => [place.m.name, place]));
    return { rows, cols: x + band.w, places: all, columns, bands: [...bands, band], byName };
  }
  if (outside.length) {
    const band = { key: "outside", label: outside[0].group, y: y + GAP * tall, h: 0, places: [] };
    band.h = shelve(outside, band, { tall, wide, cols });
    places.push(...band.places);
    bands.push(band);
    y = band.y + band.h + GAP * tall;
  }
  const byName = new Map(places.map((place) => [place.m.name, place]));
  return { rows: Math.max(1, y - GAP * tall), cols: cols - GAP * wide, places, columns, bands, byName };
}

/** The plane of one matrix by itself: a weight of it is 1 x 1. */
export function alone({ matrix: name, rows, cols }) {
  const m = { name, rows, cols, label: "", reason: null };
  const band = { key: "alone", label: "", y: 0, h: rows };
  const place = sized({ m, x: 0, y: 0, kx: 1, ky: 1, band, column: null, slot: 0 });
  return { rows, cols, places: [place], columns: [], bands: [band], byName: new Map([[name, place]]) };
}

const sized = (place) => ({ ...place, w: place.m.cols * place.kx, h: place.m.rows * place.ky });

/** band key -> role -> what stands there, in the order of the model. */
function cellsOf(inside) {
  const cells = new Map();
  for (const m of inside) {
    const key = `${m.stack}|${m.block}`;
    if (!cells.has(key)) cells.set(key, { label: m.group, cells: new Map() });
    const band = cells.get(key).cells;
    if (!band.has(m.role)) band.set(m.role, []);
    band.get(m.role).push(m);
  }
  for (const band of cells.values()) {
    for (const [role, list] of band.cells) band.cells.set(role, standsOf(list));
  }
  return cells;
}

/** What stands in a cell, one below the other: each matrix by itself, and many experts of one shape together as a grid. */
function standsOf(list) {
  const first = list.find((m) => m.expert !== null);
  const experts = first ? list.filter((m) => m.expert !== null && m.rows === first.rows && m.cols === first.cols) : [];
  const grid = experts.length >= MANY ? experts : [];
  const single = list.filter((m) => !grid.includes(m)).map((m) => ({ rows: m.rows, cols: m.cols, across: 1, list: [m] }));
  if (!grid.length) return single;
  const across = Math.ceil(Math.sqrt(grid.length));
  const rows = Math.ceil(grid.length / across) * first.rows;
  return [...single, { rows, cols: across * first.cols, across, list: grid }];
}

/** Places of the matrices of a stand whose corner and scales are given. */
function placed({ across, list }, { x, y, kx, ky, slot, ...rest }) {
  if (across === 1) return [sized({ m: list[0], x, y, kx, ky, slot, ...rest })];
  const share = 1 - APART;
  const { rows, cols } = list[0];
  const [w, h] = [across * cols * kx, Math.ceil(list.length / across) * rows * ky];
  const grid = { x, y, w, h, count: list.length };
  return list.map((m, i) => {
    const at = { x: x + (i % across) * cols * kx, y: y + Math.floor(i / across) * rows * ky };
    return sized({ m, ...at, kx: kx * share, ky: ky * share, slot: `${slot} ${i}`, grid, ...rest });
  });
}

function tallest(cells) {
  return standing(cells).map((stands) => stands.reduce((sum, { rows }) => sum + rows, 0));
}

function widest(cells) {
  return standing(cells).flatMap((stands) => stands.map(({ cols }) => cols));
}

const standing = (cells) => [...cells.values()].flatMap((band) => [...band.cells.values()]);

/** One column for each role that there is, with the places of its matrices from the top down. */
function columnsOf(cells, roles, tall, wide) {
  const found = new Map();
  for (const band of cells.values()) {
    for (const [role, stands] of band.cells) {
      const { role_label: label, role_word: word } = stands[0].list[0];
      const column = found.get(role) ?? { role, label, word, rows: [], cols: 0 };
      stands.forEach(({ rows, cols }, slot) => {
        column.rows[slot] = Math.max(column.rows[slot] ?? 1, rows);
        column.cols = Math.max(column.cols, cols);
      });
      found.set(role, column);
    }
  }
  const order = (column) => (roles.indexOf(column.role) + 1 || roles.length + 1);
  let x = 0;
  return [...found.values()].sort((a, b) => order(a) - order(b)).map((column) => {
    const w = wide * Math.max(Math.sqrt(column.cols / wide), NARROW);
    const made = { ...column, x, w, kx: w / column.cols, slots: slotsOf(column.rows, tall) };
    x += w + GAP * wide;
    return made;
  });
}

function slotsOf(rows, tall) {
  const sum = rows.reduce((total, count) => total + count, 0);
  const gap = rows.length > 1 ? Math.min(0.02, 0.2 / rows.length) * tall : 0;
  const all = tall * Math.max(Math.sqrt(sum / tall), Math.min(1, THIN * rows.length));
  const roots = rows.map(Math.sqrt).reduce((total, root) => total + root, 0);
  let top = 0;
  return rows.map((count) => {
    const h = (all - gap * (rows.length - 1)) * (Math.sqrt(count) / roots);
    const slot = { top, ky: h / count };
    top += h + gap;
    return slot;
  });
}

/** What stands outside the blocks, one below the other in a column of its own, with room for a name above each. */
function aside(outside, { x, tall, wide, high }) {
  const slot = Math.max(high / outside.length, tall * LEAST_SLOT);
  const band = { key: "outside", label: outside[0].group, x, y: 0, w: wide * OUTSIDE.column, h: 0, places: [] };
  band.h = slot * outside.length;
  outside.forEach((m, i) => {
    const w = Math.min(band.w, wide * Math.max(NARROW * 2, Math.sqrt(m.cols / wide)));
    const h = Math.min(slot * (1 - NAMED - 0.06), tall * Math.max(THIN * 1.5, Math.sqrt(m.rows / tall)));
    const y = i * slot + slot * NAMED;
    band.places.push(sized({ m, x, y, kx: w / m.cols, ky: h / m.rows, band, column: null, slot: 0 }));
  });
  return band;
}

/** What stands outside the blocks of a model without any, side by side in as many lines as it takes; their height. */
function shelve(outside, band, { tall, wide, cols }) {
  let [x, y, line] = [0, band.y, 0];
  for (const m of outside) {
    const w = wide * Math.min(OUTSIDE.wide, Math.max(NARROW * 2, Math.sqrt(m.cols / wide)));
    const h = tall * Math.min(OUTSIDE.high, Math.max(THIN * 1.5, Math.sqrt(m.rows / tall)));
    if (x > 0 && x + w > cols) [x, y, line] = [0, y + line + GAP * tall, 0];
    band.places.push(sized({ m, x, y, kx: w / m.cols, ky: h / m.rows, band, column: null, slot: 0 }));
    x += w + GAP * wide;
    line = Math.max(line, h);
  }
  return y + line - band.y;
}

/** A place with its matrix in true proportions, as large as fits into it at the scales of a view; thin ones are drawn
 * thicker than they are. From close, where weights are square, it is the place itself. */
export function fitted(place, { sx, sy }) {
  const { rows, cols } = place.m;
  const [wide, high] = [place.kx * sx, place.ky * sy]; // pixels of a weight
  const even = Math.min(wide, high);
  const kx = Math.max(even, Math.min(wide, THICK / cols)) / sx;
  const ky = Math.max(even, Math.min(high, THICK / rows)) / sy;
  return { ...place, kx, ky, w: cols * kx, h: rows * ky };
}

/** Scales that show all of the plane. */
export const worldFit = (plot, world) => ({ sx: plot.w / world.cols, sy: plot.h / world.rows });

export const wholeWorld = (plot, world) => ({ x0: 0, y0: 0, ...worldFit(plot, world) });

/** Scales at which a weight of a matrix has the size of the closest zoom. */
export const closestOf = ({ kx, ky }) => ({ sx: LARGEST / kx, sy: LARGEST / ky });

/** The view of the plane as a view of one matrix, in its weights. */
export function viewOf(view, { x, y, kx, ky }) {
  return { x0: (view.x0 - x) / kx, y0: (view.y0 - y) / ky, sx: view.sx * kx, sy: view.sy * ky };
}

/** A view of one matrix, in its weights, as a view of the plane. */
export function worldView(view, { x, y, kx, ky }) {
  return { x0: x + view.x0 * kx, y0: y + view.y0 * ky, sx: view.sx / kx, sy: view.sy / ky };
}

/** The place at a point of the plane, else the nearest one. */
export function nearest(places, x, y) {
  let [best, least] = [null, Infinity];
  for (const place of places) {
    const dx = Math.max(place.x - x, 0, x - place.x - place.w) / place.kx;
    const dy = Math.max(place.y - y, 0, y - place.y - place.h) / place.ky;
    const far = dx * dx + dy * dy;
    if (far < least) [best, least] = [place, far];
    if (far === 0) break;
  }
  return { place: best, inside: least === 0 };
}

/** A part of the way from a point of the plane into a place, zero inside of it. */
export function pulled({ x, y, w, h }, px, py) {
  const into = (at, from, length) => Math.min(Math.max(at, from), from + length) - at;
  return { x: into(px, x, w) * PULL, y: into(py, y, h) * PULL };
}

/** Places that can be seen. */
export function inSight(world, view, plot) {
  const right = view.x0 + plot.w / view.sx;
  const bottom = view.y0 + plot.h / view.sy;
  return world.places.filter(
    (place) => place.x < right && place.x + place.w > view.x0 && place.y < bottom && place.y + place.h > view.y0,
  );
}

/** The matrix beside another: across the roles of its block, or down the blocks in its role. */
export function beside(world, place, [right, down]) {
  const { band } = place;
  if (right) return band.places[band.places.indexOf(place) + right] ?? place;
  const next = world.bands[world.bands.indexOf(band) + down];
  if (!next) return place;
  const same = next.places.find((one) => one.column === place.column && one.slot === place.slot);
  return same ?? nearest(next.places, place.x, place.y).place;
}
