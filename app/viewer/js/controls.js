// Wheel, pointer, fingers, keys: what they ask of a map.

import * as tooltip from "./tooltip.js";

const STILL = 110; // ms on one weight before its ranks are asked for
const CLICK = 4; // pixels that a click may move
const TWICE = 320; // ms between the two taps of a double tap

/** Bind a map: parts {canvas, tip}, plot, cellAt, tipLines, facts, and what moves it. */
export function bindControls(map) {
  const { canvas } = map.parts;
  const stop = new AbortController();
  const on = (name, act, options = {}) =>
    canvas.addEventListener(name, act, { signal: stop.signal, ...options });
  const fingers = new Map();
  let drag = null;
  let tapped = null;
  let touch = false;

  on("wheel", (event) => wheel(map, event), { passive: false });
  on("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    touch = event.pointerType === "touch";
    fingers.set(event.pointerId, at(map, event));
    drag = { far: 0, pinch: apart(fingers) };
  });
  on("pointermove", (event) => {
    const here = at(map, event);
    if (!fingers.has(event.pointerId)) return hover(map, here);
    const before = fingers.get(event.pointerId);
    fingers.set(event.pointerId, here);
    drag.far += Math.abs(here.x - before.x) + Math.abs(here.y - before.y);
    if (drag.far <= CLICK) return undefined;
    leave(map);
    canvas.classList.add("kv-moving");
    if (fingers.size === 2) return pinch(map, fingers, drag);
    return map.panBy(here.x - before.x, here.y - before.y);
  });
  const end = (event) => {
    const clicked = drag && drag.far <= CLICK && fingers.size === 1 && event.type === "pointerup";
    fingers.delete(event.pointerId);
    canvas.classList.remove("kv-moving");
    if (!clicked || event.button !== 0) return;
    const here = at(map, event);
    const double = touch && tapped && event.timeStamp - tapped.when < TWICE &&
      Math.hypot(here.x - tapped.x, here.y - tapped.y) < 30;
    tapped = double ? null : { ...here, when: event.timeStamp };
    if (double) map.zoomAt(4, here.x, here.y);
    else map.clicked(map.cellAt(here));
  };
  on("pointerup", end);
  on("pointercancel", end);
  on("pointerleave", () => leave(map));
  on("dblclick", (event) => {
    if (touch) return; // told apart above: not every browser sends this for fingers
    const { x, y } = at(map, event);
    map.zoomAt(event.shiftKey ? 1 / 4 : 4, x, y);
  });
  on("keydown", (event) => key(map, event));
  return () => stop.abort();
}

/** The pointer in plot pixels. */
function at(map, event) {
  const box = map.parts.canvas.getBoundingClientRect();
  return { x: event.clientX - box.left - map.plot.x, y: event.clientY - box.top - map.plot.y };
}

function wheel(map, event) {
  const amount = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
  if (amount > 0 && map.atTop()) return; // nothing to zoom out of: the page scrolls
  if (map.guided && !event.ctrlKey) return; // a story is a page to read: it scrolls
  event.preventDefault();
  const factor = Math.exp(-Math.max(-240, Math.min(240, amount)) * (event.ctrlKey ? 0.01 : 0.0028));
  const { x, y } = at(map, event);
  map.zoomBy(factor, x, y);
  hover(map, { x, y });
}

function apart(fingers) {
  if (fingers.size !== 2) return null;
  const [a, b] = [...fingers.values()];
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function pinch(map, fingers, drag) {
  const [a, b] = [...fingers.values()];
  const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  const now = apart(fingers);
  const factor = drag.pinch ? now / drag.pinch : 1;
  const { from } = drag;
  Object.assign(drag, { pinch: now, from: middle });
  if (from) map.panBy(middle.x - from.x, middle.y - from.y);
  map.zoomBy(factor, middle.x, middle.y);
}

function hover(map, point) {
  const cell = map.cellAt(point);
  if (!cell) return leave(map);
  const before = map.hover;
  const same = before && before.r0 === cell.r0 && before.c0 === cell.c0 &&
    before.window === cell.window && before.matrix === cell.matrix;
  if (!same) {
    clearTimeout(map.asking);
    map.askCell?.abort();
    map.known = null;
    if (cell.window?.exact) map.asking = setTimeout(() => askCell(map, cell), STILL);
  }
  map.hover = cell;
  map.pointer = point;
  tip(map);
  return map.render();
}

function tip(map) {
  const { hover: cell, pointer, parts, plot } = map;
  if (!cell) return;
  const [heading, lines] = map.tipLines(cell);
  const room = { w: map.width, h: map.height };
  tooltip.show(parts.tip, heading, lines, pointer.x + plot.x, pointer.y + plot.y, room);
}

async function askCell(map, cell) {
  const turn = new AbortController();
  map.askCell = turn;
  try {
    const known = await map.facts(cell, turn.signal);
    if (map.askCell !== turn || !map.hover) return;
    map.known = known;
    tip(map);
  } catch (error) {
    if (error.name !== "AbortError") console.warn("KEN_viz:", error.message);
  }
}

/** The pointer is nowhere on the map, or what was under it has moved away. */
export function leave(map) {
  clearTimeout(map.asking);
  map.askCell?.abort();
  map.parts.tip.hidden = true;
  if (!map.hover) return;
  map.hover = null;
  map.render();
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function key(map, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = STEPS[event.key];
  if (step && event.shiftKey) map.step(step);
  else if (step) map.panBy(-step[0] * map.plot.w * 0.15, -step[1] * map.plot.h * 0.15);
  else if (event.key === "+" || event.key === "=") map.zoomMiddle(2);
  else if (event.key === "-" || event.key === "_") map.zoomMiddle(1 / 2);
  else if (event.key === "0" || event.key === "Home") map.top();
  else if (event.key === "Escape") map.up();
  else if (event.key === "Enter" || event.key === " ") map.enter();
  else if (event.key === "PageDown" && map.turns) map.turn(1);
  else if (event.key === "PageUp" && map.turns) map.turn(-1);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
