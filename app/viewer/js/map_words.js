// The map of a model in words: what is in view, and the levels above it.

import { bandView, gridView, linkOf } from "./map_link.js";
import { isValues } from "./colors.js";
import { count, span } from "./format.js";
import { visible } from "./geometry.js";
import { inWords, percentOf } from "./labels.js";
import { cellSays } from "./legend.js";
import { joined } from "./tiles.js";

/** "Block 3 attention query: 4,096 x 4,096 weights, 50 % kept". */
export function matrixSays(map, place) {
  const m = map.panes[0].matrices.get(place.m.name);
  return `${nameOf(place)}: ${inWords(m ?? place.m, map.coded)}`;
}

/** What became of weights of the mask: a coded change is rounded, not kept. */
const kept = (map) => (map.coded ? "changed" : "kept");

const nameOf = ({ band, m }) => (m.block === null ? m.label : `${band.label} ${m.label}`);

/** One sentence on what is in view; `frame` is that of the matrix in the middle. */
export function viewSays(map, frame) {
  const { focus, level } = map;
  if (level === "model" || level === "part" || level === "block") return many(map, frame);
  if (level === "matrix" || !frame?.m || frame.m.reason !== null) {
    return matrixSays(map, focus) + (frame?.m?.reason === null ? cells(map, frame) : "");
  }
  const { r0, r1, c0, c1 } = frame.seen;
  const where = `${nameOf(focus)}, ${span("row", r0, r1)}, ${span("column", c0, c1)}`;
  const here = frame.exact.length && !frame.missing ? ` · ${keptIn(frame)} ${kept(map)} here` : "";
  const share = percentOf(frame.m.kept, frame.m.rows * frame.m.cols);
  return `${where} · ${share} of the matrix ${kept(map)}${here}${cells(map, frame)}`;
}

function many(map, frame) {
  const { focus, level, seen, world } = map;
  const places = level === "model" ? world.places : seen;
  const pruned = places.map((place) => place.m).filter((m) => m.reason === null);
  const all = pruned.reduce((sum, m) => sum + m.rows * m.cols, 0);
  const some = pruned.reduce((sum, m) => sum + m.kept, 0);
  const what = { model: "Whole model", part: "Part of the model", block: focus.band.label }[level];
  const share = all ? `: ${percentOf(some, all)} of ${count(all)} weights ${kept(map)}` : ": nothing pruned";
  const far = frame?.far ? ". Values of large matrices are shown from closer" : "";
  return `${what}, ${count(places.length)} matrices${level === "model" ? "" : " in sight"}${share}${far}`;
}

function cells(map, frame) {
  if (!map.panes[0].ready || frame.far) return "";
  return ` · ${cellSays(map.shown, frame.level?.exact ? [1, 1] : frame.cell, map.coded)}`;
}

function keptIn(frame) {
  const window = joined(frame.exact, frame.seen);
  return percentOf(window.kept.reduce((sum, one) => sum + one, 0), window.kept.length);
}

/** The levels above what is in view: [{label, go}]. */
export function crumbsOf(map) {
  const { focus, level, selected, world } = map;
  const blocks = world.bands.filter((band) => band.key !== "outside").length;
  const levels = [{ label: blocks === 1 ? "Model, 1 block" : `Model, ${blocks} blocks`, go: () => map.top() }];
  if (level !== "model" && level !== "part") {
    levels.push({ label: focus.band.label, go: () => map.moveTo(bandView(focus.band, map), 280) });
  }
  if (map.numbered && focus.grid) {
    const go = () => map.moveTo(gridView(focus.grid, map), 280);
    levels.push({ label: `${focus.grid.count} experts, ${focus.column.label}`, go });
  }
  if (map.numbered) levels.push({ label: focus.m.label, go: () => map.go(focus) });
  if (level === "window" && !(map.guided && selected)) {
    const { r0, r1, c0, c1 } = seenOf(map);
    const where = `${span("row", r0, r1)}, ${span("column", c0, c1)}`;
    levels.push({ label: where, go: () => map.release() });
  }
  if (selected) {
    const go = () => map.show({ row: selected.r0, col: selected.c0 }, world.byName.get(selected.matrix));
    levels.push({ label: `weight ${count(selected.r0)}, ${count(selected.c0)}`, go });
  }
  return levels;
}

function seenOf(map) {
  const { view, plot, shape } = map.front();
  return visible(view, plot, shape);
}

/** The Map page at the same place: {href, text}. */
export function mapAddress(map) {
  const query = new URLSearchParams({ run: map.panes[0].source.run });
  for (const [name, value] of Object.entries(linkOf(map))) if (value !== null) query.set(name, value);
  if (map.layer !== map.usual()) query.set("layer", map.layer);
  return { href: `map?${query}`, text: "Open on the map" };
}

/** The Matrix page at the same place, {href, text}; null for a matrix that was not pruned. */
export function aloneAddress(map) {
  const { focus, selected, layer } = map;
  if (focus.m.reason !== null) return null;
  const query = new URLSearchParams({ run: map.panes[0].source.run, matrix: focus.m.name });
  const seen = map.level === "window" ? seenOf(map) : {};
  for (const [name, value] of Object.entries(seen)) query.set(name, value);
  if (selected?.matrix === focus.m.name) {
    query.set("row", selected.r0);
    query.set("col", selected.c0);
  }
  if (map.coded || (layer !== "kept" && layer !== "lost")) query.set("layer", layer);
  return { href: `matrix?${query}`, text: "Open on its own" };
}

/** Whose range the colours of values have: each matrix has its own. */
export function legendMore({ layer, focus, numbered }) {
  if (!isValues(layer)) return null;
  if (layer === "levels") return "full color from level 2";
  const most = layer === "difference" ? ", full color from 6 times its RMS" : "";
  return numbered ? `of this matrix${most}` : `of ${nameOf(focus)}; every matrix has its own range${most}`;
}
