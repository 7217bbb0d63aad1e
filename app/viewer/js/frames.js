// What each matrix in sight is drawn with: its windows, its colours, and what of it is missing.

import { LEVELS, isValues, scaleOf } from "./colors.js";
import { visible } from "./geometry.js";
import { heldAt, levelOf, wholeLevel } from "./tiles.js";
import { viewOf } from "./world.js";

const READ_AT_ONCE = 1 << 23; // weights: larger ones are read for values from closer, or if few
const READ_FEW = 6;
const DIRECT = 1 << 22; // weights that the server reads for one tile without the whole matrix
const FULL = 6; // times the RMS at which a difference has its full colour

/** name -> frame, of the places in sight. */
export function framesOf(pane, seen, tiles = pane.tiles) {
  return new Map(seen.map((place) => [place.m.name, frameOf(pane, place, tiles)]));
}

/** What one matrix is drawn with; `missing`: tiles that are not there yet, or null; `lacks`: the
 * whole of it in few cells is not there. */
function frameOf(pane, place, tiles) {
  const { map, layer } = pane;
  const { width, height, dpr, plot, font } = map;
  const m = pane.matrices.get(place.m.name);
  const view = viewOf(map.view, map.standOf(place));
  const shape = { rows: place.m.rows, cols: place.m.cols };
  const seen = visible(view, plot, shape);
  const open = m && m.reason === null;
  const rough = open ? roughOf(pane, m, tiles) : null;
  const look = lookOf(pane, m, rough);
  const base = { width, height, dpr, plot, view, shape, seen, layer, font, look, m, place };
  const none = { ...base, windows: [], exact: [], cell: [1, 1], missing: null, lacks: false };
  if (!open) return none;
  if (layer === "lost") return { ...none, flat: m.lost };
  const level = heldAt(levelOf(view, map.exactFrom), m);
  const lacks = Boolean(rough) && !rough.window;
  const whole = rough?.window ? [rough.window] : [];
  if (enough(pane, m, level)) {
    const { h, w, exact } = rough.level;
    const each = exact ? { level: rough.level, exact: whole } : {};
    return { ...none, ...each, lacks, windows: whole, cell: [h, w] };
  }
  const cell = [level.h, level.w];
  if (!readable(pane, m, level)) return { ...none, cell, far: true };
  const found = tiles.find(m, layer, level, seen);
  const windows = found.missing ? [...whole, ...found.windows] : found.windows;
  const drawn = lacks ? { windows: [], exact: [] } : { windows, exact: level.exact ? found.tiles : [] };
  const bits = m.finest && level.h * level.w === 1 ? { bits: found.tiles } : {}; // kept or not is all that is held
  return { ...base, ...drawn, ...bits, level, tiles: found.tiles, cell, missing: found.missing, lacks };
}

/** A matrix in few cells: {level, window}, the window null until it has come; null: there is none
 * of this layer. */
export function roughOf({ map, layer, tiles: own }, m, tiles = own) {
  if (map.single) return { level: wholeLevel(m), window: tiles.whole(layer, wholeLevel(m)) };
  if (layer !== "kept") return null;
  const [h, w] = m.whole.cell;
  return { level: { h, w, exact: false }, window: m.whole };
}

/** Whether the whole of a matrix in few cells says all that a level would. */
export function enough(pane, m, level) {
  const { level: own } = roughOf(pane, m) ?? {};
  return Boolean(own) && (own.exact || !level.exact) && own.h <= level.h && own.w <= level.w;
}

/** Whether values of a matrix are asked for at a level: from far that would read all of it. */
export function readable({ map, layer }, m, level) {
  if (map.single || layer === "kept" || m.rows * m.cols <= READ_AT_ONCE) return true;
  return level.h * level.w * 4096 <= DIRECT || map.seen.length <= READ_FEW;
}

/** What is missing in frames, that of the matrix in the middle first. */
export function wantsOf({ map: { focus }, layer }, frames) {
  const found = [];
  for (const { m, level, missing, lacks, shape } of frames.values()) {
    const want = { name: m?.name, layer, shape };
    if (lacks) found.push({ ...want, level: wholeLevel(shape), whole: true });
    if (missing) found.push({ ...want, level, ...missing });
  }
  const first = (want) => (want.name === focus.m.name ? 0 : 1);
  return found.sort((a, b) => first(a) - first(b));
}

function lookOf(pane, m, rough) {
  const { map, layer, alone } = pane;
  const scale = map.single
    ? scaleOf(rough?.window, layer, map.spread)
    : { largest: largestOf(layer, m), share: map.spread ? rangeOf(pane, layer) : [0, 1], stretched: map.spread };
  return { ink: map.ink, alone, coded: map.coded, hide: isValues(layer) && map.hide, scale };
}

/** The value of a matrix of the model that has the full colour. */
function largestOf(layer, m) {
  if (layer === "difference") return FULL * (m?.diff_rms ?? 0);
  if (layer === "levels") return LEVELS;
  return Math.max(Math.abs(m?.tuned_min ?? 0), Math.abs(m?.tuned_max ?? 0));
}

/** The least and largest share of a cell, or of what a matrix lost, in all runs shown: of the matrices of blocks alone
 * where there are any, as norms and biases are few weights far from all others. */
function rangeOf({ map }, layer) {
  const key = layer === "lost" ? "lost" : "kept";
  map.ranges ??= {};
  if (!map.ranges[key]) {
    const all = map.panes.flatMap((pane) => [...pane.matrices.values()]);
    const several = all.filter((m) => m.block !== null && m.rows > 1 && m.reason === null);
    let [low, high] = [Infinity, -Infinity];
    for (const { whole, lost } of several.length ? several : all) {
      const values = key === "lost" ? [lost ?? NaN] : whole?.share ?? [];
      for (const value of values) if (value === value) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    map.ranges[key] = high > low ? [low, high] : [0, 1];
  }
  return map.ranges[key];
}
