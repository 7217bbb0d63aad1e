// A page that holds the masks of a run itself, such as a report: answers in place of a server's.
// Held are {atlas, masks: {matrix: {rows, cols, cell, width, data}}}: `atlas` as the server answers it, `data` the kept
// weights of cells of cell x cell weights, row by row, in `width` bytes each; 0: single weights, a bit each, the lowest first,
// rows padded to bytes. Both are base64. See app/data/held.py.

import { ModelMap } from "./model.js";

const LAYERS = ["lost", "kept"]; // values of weights are in the checkpoints, which a page does not hold

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Draw the map of `held` below `root`, for as long as the page is there. */
export function show(root, { held, ...data }) {
  const map = new ModelMap(root.querySelector(".kv"));
  const host = { get: answers(held), layers: LAYERS };
  const component = { data: { ...data, host, api: "held://kenviz" }, setStateValue: () => {}, parentElement: root };
  const draw = () => map.update(component);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}

function answers({ atlas, masks }) {
  const read = new Map();
  return async (address) => {
    const { pathname, searchParams } = new URL(address);
    if (pathname.endsWith("/atlas")) return new Response(bytesOf(atlas));
    const asked = Object.fromEntries(searchParams);
    const mask = masks[asked.matrix];
    if (!pathname.endsWith("/window") || !mask) return Response.json({ message: "not in this file" }, { status: 404 });
    if (!read.has(mask)) read.set(mask, reader(mask));
    return new Response(windowOf(mask, read.get(mask), asked));
  };
}

/** What gives the kept weights of a held cell. */
function reader({ cols, cell, width, data }) {
  const held = bytesOf(data);
  if (!width) {
    const wide = Math.ceil(cols / 8);
    return (i, j) => (held[i * wide + (j >> 3)] >> (j & 7)) & 1;
  }
  const wide = Math.ceil(cols / cell);
  const numbers = width === 1 ? held : new Uint16Array(held.buffer);
  return (i, j) => numbers[i * wide + j];
}

/** Counts of one window as the server packs them, see app/data/payload.py. */
function windowOf({ rows, cols, cell }, at, asked) {
  const [r0, r1, c0, c1, h, w] = ["r0", "r1", "c0", "c1", "h", "w"].map((name) => Number(asked[name]));
  const size = [Math.ceil((r1 - r0) / h), Math.ceil((c1 - c0) / w)];
  const count = new Uint32Array(size[0] * size[1]);
  const [bottom, right] = [Math.ceil(r1 / cell), Math.ceil(c1 / cell)];
  for (let i = Math.floor(r0 / cell); i < bottom; i += 1) {
    const line = Math.floor((i * cell - r0) / h) * size[1];
    for (let j = Math.floor(c0 / cell); j < right; j += 1) count[line + Math.floor((j * cell - c0) / w)] += at(i, j);
  }
  return packed({ rows: [r0, r1], cols: [c0, c1], cell: [h, w], size, shape: [rows, cols] }, count);
}

function packed(header, count) {
  const planes = [{ name: "count", dtype: "u4", offset: 0 }];
  const text = new TextEncoder().encode(JSON.stringify({ ...header, planes }));
  const length = Math.ceil((8 + text.length) / 8) * 8 - 8;
  const answer = new Uint8Array(8 + length + count.byteLength).fill(32);
  const view = new DataView(answer.buffer);
  view.setUint32(0, 0x4b565731, false);
  view.setUint32(4, length, true);
  answer.set(text, 8);
  answer.set(new Uint8Array(count.buffer), 8 + length);
  return answer.buffer;
}
