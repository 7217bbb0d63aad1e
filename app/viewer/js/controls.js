// Wheel, pointer, keys.

import { isWhole, pan, visible, zoom } from "./geometry.js";
import * as tooltip from "./tooltip.js";

const STILL = 110; // ms on one weight before its ranks are asked for
const CLICK = 4; // pixels that a click may move

export function bindControls(viewer) {
  const { canvas } = viewer.parts;
  const stop = new AbortController();
  const on = (name, act, options = {}) =>
    canvas.addEventListener(name, act, { signal: stop.signal, ...options });
  const fingers = new Map();
  let drag = null;

  on("wheel", (event) => wheel(viewer, event), { passive: false });
  on("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(viewer, event));
    drag = { from: at(viewer, event), far: 0, pinch: apart(fingers) };
  });
  on("pointermove", (event) => {
    const here = at(viewer, event);
    if (!fingers.has(event.pointerId)) return hover(viewer, here);
    const before = fingers.get(event.pointerId);
    fingers.set(event.pointerId, here);
    drag.far += Math.abs(here.x - before.x) + Math.abs(here.y - before.y);
    if (drag.far <= CLICK) return undefined;
    leave(viewer);
    canvas.classList.add("kv-moving");
    if (fingers.size === 2) return pinch(viewer, fingers, drag);
    const { view, plot, shape } = viewer;
    return viewer.moveBy(pan(view, plot, shape, here.x - before.x, here.y - before.y));
  });
  const end = (event) => {
    const clicked = drag && drag.far <= CLICK && fingers.size === 1 && event.type === "pointerup";
    fingers.delete(event.pointerId);
    canvas.classList.remove("kv-moving");
    if (clicked && event.button === 0) click(viewer, at(viewer, event));
  };
  on("pointerup", end);
  on("pointercancel", end);
  on("pointerleave", () => leave(viewer));
  on("dblclick", (event) => {
    const { x, y } = at(viewer, event);
    viewer.zoomAt(event.shiftKey ? 1 / 4 : 4, x, y);
  });
  on("keydown", (event) => key(viewer, event));
  return () => stop.abort();
}

/** The pointer in plot pixels. */
function at(viewer, event) {
  const box = viewer.parts.canvas.getBoundingClientRect();
  return { x: event.clientX - box.left - viewer.plot.x, y: event.clientY - box.top - viewer.plot.y };
}

function wheel(viewer, event) {
  const { view, plot, shape } = viewer;
  const amount = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
  if (amount > 0 && isWhole(view, plot, shape)) return; // nothing to zoom out of: the page scrolls
  event.preventDefault();
  const factor = Math.exp(-Math.max(-240, Math.min(240, amount)) * (event.ctrlKey ? 0.01 : 0.0028));
  const { x, y } = at(viewer, event);
  viewer.moveBy(zoom(view, plot, shape, factor, x, y));
  hover(viewer, { x, y });
}

function apart(fingers) {
  if (fingers.size !== 2) return null;
  const [a, b] = [...fingers.values()];
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function pinch(viewer, fingers, drag) {
  const [a, b] = [...fingers.values()];
  const now = apart(fingers);
  const factor = drag.pinch ? now / drag.pinch : 1;
  drag.pinch = now;
  const { view, plot, shape } = viewer;
  viewer.moveBy(zoom(view, plot, shape, factor, (a.x + b.x) / 2, (a.y + b.y) / 2));
}

/** The cell of the picture at a point, and its number in the window that shows it. */
function cellAt(viewer, { x, y }) {
  const { view, shape, plot } = viewer;
  if (!view || x < 0 || y < 0 || x >= plot.w || y >= plot.h) return null;
  const col = Math.floor(view.x0 + x / view.sx);
  const row = Math.floor(view.y0 + y / view.sy);
  if (col < 0 || row < 0 || col >= shape.cols || row >= shape.rows) return null;
  const window = viewer.frame().windows.at(-1);
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

function hover(viewer, point) {
  const cell = cellAt(viewer, point);
  if (!cell) return leave(viewer);
  const same = viewer.hover && viewer.hover.r0 === cell.r0 && viewer.hover.c0 === cell.c0 &&
    viewer.hover.window === cell.window;
  if (!same) {
    clearTimeout(viewer.asking);
    viewer.askCell?.abort();
    viewer.known = null;
    if (cell.window.exact) viewer.asking = setTimeout(() => askCell(viewer, cell), STILL);
  }
  viewer.hover = cell;
  viewer.pointer = point;
  tip(viewer);
  return viewer.render();
}

function tip(viewer) {
  const { hover: cell, pointer, parts, plot, known } = viewer;
  if (!cell) return;
  const lines = cell.window.exact
    ? tooltip.weightLines(cell.window, cell.index, known, viewer.shape.cols, viewer.alone)
    : tooltip.cellLines(cell.window, viewer.layer, cell.index, viewer.alone);
  const room = { w: viewer.width, h: viewer.height };
  tooltip.show(parts.tip, tooltip.title(cell), lines, pointer.x + plot.x, pointer.y + plot.y, room);
}

async function askCell(viewer, cell) {
  const turn = new AbortController();
  viewer.askCell = turn;
  try {
    const known = await viewer.windows.cell(cell.row, cell.col, turn.signal);
    if (viewer.askCell !== turn || !viewer.hover) return;
    viewer.known = known;
    tip(viewer);
  } catch (error) {
    if (error.name !== "AbortError") console.warn("KEN_viz:", error.message);
  }
}

function leave(viewer) {
  clearTimeout(viewer.asking);
  viewer.askCell?.abort();
  viewer.parts.tip.hidden = true;
  if (!viewer.hover) return;
  viewer.hover = null;
  viewer.render();
}

function click(viewer, point) {
  const cell = cellAt(viewer, point);
  if (cell?.window.exact) viewer.select({ row: cell.row, col: cell.col });
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function key(viewer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = STEPS[event.key];
  if (step && event.shiftKey) stepCell(viewer, step);
  else if (step) {
    const { view, plot, shape } = viewer;
    viewer.moveBy(pan(view, plot, shape, -step[0] * plot.w * 0.15, -step[1] * plot.h * 0.15));
  } else if (event.key === "+" || event.key === "=") viewer.zoomMiddle(2);
  else if (event.key === "-" || event.key === "_") viewer.zoomMiddle(1 / 2);
  else if (event.key === "0") viewer.zoomMiddle(1e-9);
  else if (event.key === "Escape") viewer.up();
  else if (event.key === "Enter" || event.key === " ") stepCell(viewer, [0, 0]);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Select the next weight in a direction, or the one in the middle, and keep it in sight. */
function stepCell(viewer, [right, down]) {
  const { plot, shape, selected } = viewer;
  const seen = visible(viewer.view, plot, shape);
  const middle = { row: (seen.r0 + seen.r1) >> 1, col: (seen.c0 + seen.c1) >> 1 };
  const inSight = selected && selected.r0 >= seen.r0 && selected.r0 < seen.r1 &&
    selected.c0 >= seen.c0 && selected.c0 < seen.c1;
  const from = inSight ? { row: selected.r0, col: selected.c0 } : middle;
  const cell = {
    row: Math.min(shape.rows - 1, Math.max(0, from.row + (inSight ? down : 0))),
    col: Math.min(shape.cols - 1, Math.max(0, from.col + (inSight ? right : 0))),
  };
  if (cell.row < seen.r0 || cell.row >= seen.r1 || cell.col < seen.c0 || cell.col >= seen.c1) {
    viewer.centre(cell.col + 0.5, cell.row + 0.5);
  }
  viewer.select(cell);
}
