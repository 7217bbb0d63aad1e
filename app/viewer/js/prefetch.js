// What will probably be looked at next: tiles in the direction of the movement, and the next level
// around the pointer. Only asked for when nothing that is in sight is missing.

import { enough, readable } from "./frames.js";
import { toward, visible } from "./geometry.js";
import { SIDE, heldAt, levelOf, tilesOf } from "./tiles.js";
import { closestOf, viewOf } from "./world.js";

const MOST_BYTES = 200_000; // of one look ahead
const CLOSER = 2; // times: the next step of a wheel or key, about

/** Wishes for `Tiles.ask`, the likeliest first. */
export function ahead(map, pane) {
  const { focus, view, plot, shown: layer, before } = map;
  const m = pane.matrices.get(focus.m.name);
  const frame = pane.frames.get(focus.m.name);
  if (!m || m.reason !== null || !frame?.tiles) return [];
  const shape = { rows: m.rows, cols: m.cols };
  const own = frame.view;
  const way = before ? { x: Math.sign(view.x0 - before.x0), y: Math.sign(view.y0 - before.y0) } : { x: 0, y: 0 };
  const moved = { ...own, x0: own.x0 + (way.x * plot.w) / own.sx / 4, y0: own.y0 + (way.y * plot.h) / own.sy / 4 };
  const found = [];
  if (way.x || way.y) add(found, pane, { m, layer, shape, level: frame.level, seen: visible(moved, plot, shape) });
  const [px, py] = pane.pointer && pane.hover ? [pane.pointer.x, pane.pointer.y] : [plot.w / 2, plot.h / 2];
  const next = viewOf(toward(view, closestOf(focus), CLOSER, px, py), focus);
  const level = heldAt(levelOf(next, map.exactFrom), m);
  if (readable(pane, m, level)) add(found, pane, { m, layer, shape, level, seen: visible(next, plot, shape) });
  return found;
}

function add(found, pane, { m, layer, shape, level, seen }) {
  if (enough(pane, m, level)) return;
  const each = SIDE * SIDE * (level.exact ? 10 : layer === "kept" ? 2 : 6);
  const most = Math.max(1, Math.floor(Math.sqrt(MOST_BYTES / each)));
  const wanted = tilesOf(seen, level);
  const [i0, i1] = middle(wanted.i0, wanted.i1, most);
  const [j0, j1] = middle(wanted.j0, wanted.j1, most);
  const [tall, wide] = [SIDE * level.h, SIDE * level.w];
  const part = { r0: i0 * tall, r1: i1 * tall, c0: j0 * wide, c1: j1 * wide };
  const { missing } = pane.tiles.find(m, layer, level, part);
  if (missing) found.push({ name: m.name, layer, level, shape, ...missing });
}

/** At most `most` in the middle of a span. */
function middle(first, last, most) {
  const from = first + Math.max(0, Math.floor((last - first - most) / 2));
  return [from, Math.min(last, from + most)];
}
