// Where the map is: pure functions over a view {x0, y0, sx, sy}.
// x0, y0: the weight coordinate at the plot's left and top edge; sx, sy: CSS pixels per weight.
// A plot is {w, h} in CSS pixels, a shape {rows, cols} in weights.

export const LARGEST = 92; // pixels of a weight at the closest zoom
const LEAST_SHARE = 0.12; // of the plot that an extreme shape fills along its short side

/** Scales that show the whole matrix in its proportions; only extreme shapes are stretched, so that they can be
 * seen: see `stretchOf`. */
export function fitScale(plot, shape) {
  const even = Math.min(plot.w / shape.cols, plot.h / shape.rows, LARGEST);
  const crisp = (scale) => (scale > 2 ? Math.floor(scale) : scale); // whole pixels per weight
  const least = (room, count) => Math.min((room * LEAST_SHARE) / count, LARGEST);
  return {
    sx: crisp(Math.max(even, least(plot.w, shape.cols))),
    sy: crisp(Math.max(even, least(plot.h, shape.rows))),
  };
}

/** How a view stretches what it shows: null, or "3 times as tall as true to scale". */
export function stretchOf({ sx, sy }) {
  const times = Math.max(sx / sy, sy / sx);
  return times < 1.15 ? null : `${Number(times.toPrecision(2))} times as ${sy > sx ? "tall" : "wide"} as true to scale`;
}

export function fit(plot, shape) {
  return settle({ x0: 0, y0: 0, ...fitScale(plot, shape) }, plot, shape);
}

/** The view moved so that the matrix never leaves the plot; centred where it is smaller. */
export function settle(view, plot, shape) {
  const along = (start, scale, room, count) => {
    const span = room / scale;
    if (span >= count) return (count - span) / 2;
    return Math.min(Math.max(start, 0), count - span);
  };
  return {
    ...view,
    x0: along(view.x0, view.sx, plot.w, shape.cols),
    y0: along(view.y0, view.sy, plot.h, shape.rows),
  };
}

/** Rows and columns that can be seen, whole weights, end exclusive. */
export function visible(view, plot, shape) {
  const span = (start, scale, room, count) => {
    const first = Math.max(0, Math.floor(start + 1e-6));
    const last = Math.min(count, Math.ceil(start + room / scale - 1e-6));
    return [Math.min(first, count - 1), Math.max(last, Math.min(first, count - 1) + 1)];
  };
  const [r0, r1] = span(view.y0, view.sy, plot.h, shape.rows);
  const [c0, c1] = span(view.x0, view.sx, plot.w, shape.cols);
  return { r0, r1, c0, c1 };
}

/** The view on its way to the scales `end`, by `factor` along the longer of the two ways. */
export function toward(view, end, factor, px, py) {
  const wayX = Math.log(end.sx / view.sx);
  const wayY = Math.log(end.sy / view.sy);
  const way = Math.max(Math.abs(wayX), Math.abs(wayY));
  const part = way < 1e-9 ? 1 : Math.min(1, Math.abs(Math.log(factor)) / way);
  const sx = view.sx * Math.exp(part * wayX);
  const sy = view.sy * Math.exp(part * wayY);
  const x = view.x0 + px / view.sx;
  const y = view.y0 + py / view.sy;
  return { x0: x - px / sx, y0: y - py / sy, sx, sy };
}

export function pan(view, plot, shape, dx, dy) {
  return settle({ ...view, x0: view.x0 - dx / view.sx, y0: view.y0 - dy / view.sy }, plot, shape);
}

export function isWhole(view, plot, shape) {
  const { r0, r1, c0, c1 } = visible(view, plot, shape);
  const least = fitScale(plot, shape);
  const near = (a, b) => a < b * 1.02;
  const all = r0 === 0 && c0 === 0 && r1 === shape.rows && c1 === shape.cols;
  return all && near(view.sx, least.sx) && near(view.sy, least.sy);
}

/** Scales on the way from the fit (0) to the closest zoom (1). */
function onTheWay(least, part) {
  return {
    sx: least.sx * (LARGEST / least.sx) ** part,
    sy: least.sy * (LARGEST / least.sy) ** part,
  };
}

/** The view that shows the window of a link: exactly its rows and columns where the plot has the
 * proportions it was made with, else the closest view that holds all of it. */
export function showing(window, plot, shape) {
  const least = fitScale(plot, shape);
  const rows = window.r1 - window.r0;
  const cols = window.c1 - window.c0;
  const allCols = cols === shape.cols;
  const allRows = rows === shape.rows;
  if (allCols && allRows) return fit(plot, shape);
  const part = (scale, from) =>
    LARGEST - from < 1e-9 ? 1 : Math.log(scale / from) / Math.log(LARGEST / from);
  const partX = part(plot.w / cols, least.sx);
  const partY = part(plot.h / rows, least.sy);
  // a window's ends are whole weights: up to one weight on each side was only partly seen
  const near = onTheWay(least, Math.max(partX, partY));
  const same = plot.w / near.sx > cols - 2 && plot.h / near.sy > rows - 2;
  const tight = same && !allCols && !allRows ? Math.max(partX, partY) : Math.min(partX, partY);
  const { sx, sy } = onTheWay(least, Math.max(0, Math.min(1, tight)));
  const x = (window.c0 + window.c1) / 2;
  const y = (window.r0 + window.r1) / 2;
  return settle({ x0: x - plot.w / sx / 2, y0: y - plot.h / sy / 2, sx, sy }, plot, shape);
}

/** Weights per cell side, a power of two, so that `span` weights fit into `most` cells. */
export function cellSide(span, most) {
  let side = 1;
  while (Math.ceil(span / side) + (side > 1 ? 1 : 0) > most) side *= 2;
  return side;
}

export const closest = () => ({ sx: LARGEST, sy: LARGEST });

/** The weight {row, col} in the middle, at the scales of `view`. */
export function around({ sx, sy }, { row, col }, plot, shape) {
  const x0 = col + 0.5 - plot.w / sx / 2;
  const y0 = row + 0.5 - plot.h / sy / 2;
  return settle({ sx, sy, x0, y0 }, plot, shape);
}

/** A view on the way; positions follow 1 / scale, so that a fixed point stays fixed. */
export function between(from, to, part) {
  const along = (start, end, s0, s1) => {
    const scale = Math.exp(Math.log(s0) + part * Math.log(s1 / s0));
    const way = Math.abs(s1 / s0 - 1) < 1e-6 ? part : (1 / scale - 1 / s0) / (1 / s1 - 1 / s0);
    return [scale, start + way * (end - start)];
  };
  const [sx, x0] = along(from.x0, to.x0, from.sx, to.sx);
  const [sy, y0] = along(from.y0, to.y0, from.sy, to.sy);
  return { sx, sy, x0, y0 };
}
