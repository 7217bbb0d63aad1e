// Which cell of a picture is at a point, and which weight is next.

import { visible } from "./geometry.js";

/** The cell of `window` that holds a weight, and its number in the window; null outside of it. */
export function cellOf(window, { row, col }, shape) {
  if (!window || row < window.r0 || row >= window.r1 || col < window.c0 || col >= window.c1) return null;
  const [high, wide] = window.cell;
  const i = Math.floor((row - window.r0) / high);
  const j = Math.floor((col - window.c0) / wide);
  const r0 = window.r0 + i * high;
  const c0 = window.c0 + j * wide;
  return {
    row, col, r0, c0, window, index: i * window.w + j,
    r1: Math.min(r0 + high, shape.rows), c1: Math.min(c0 + wide, shape.cols),
  };
}

/** The weight beside the selected one, or the one in the middle; `seen`: whether it is in sight. */
export function nextWeight({ view, plot, shape, selected }, [right, down]) {
  const seen = visible(view, plot, shape);
  const inside = (row, col) => row >= seen.r0 && row < seen.r1 && col >= seen.c0 && col < seen.c1;
  const inSight = selected && inside(selected.r0, selected.c0);
  const from = inSight
    ? { row: selected.r0 + down, col: selected.c0 + right }
    : { row: (seen.r0 + seen.r1) >> 1, col: (seen.c0 + seen.c1) >> 1 };
  const row = Math.min(shape.rows - 1, Math.max(0, from.row));
  const col = Math.min(shape.cols - 1, Math.max(0, from.col));
  return { row, col, seen: inside(row, col) };
}
