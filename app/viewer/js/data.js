// Windows of the matrix: asked for, decoded, kept, and found again.

import { cellSide } from "./geometry.js";

const MOST_KEPT = 24; // windows held
const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };
const AGAIN = 250; // ms until a server that is still getting ready is asked again

/** {header, planes: {name: typed array}} of an answer, see app/data/payload.py. */
export function unpack(buffer) {
  const bytes = new DataView(buffer);
  if (bytes.getUint32(0, false) !== 0x4b565731) throw new Error("not a window of weights");
  const length = bytes.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const [h, w] = header.size;
  const planes = Object.fromEntries(
    header.planes.map((p) => [p.name, new KINDS[p.dtype](buffer, 8 + length + p.offset, h * w)]),
  );
  return { header, planes };
}

/** Bytes of /kenviz/window as an object with typed arrays. */
export function decode(buffer) {
  const { header, planes } = unpack(buffer);
  const [h, w] = header.size;
  const exact = header.cell[0] === 1 && header.cell[1] === 1;
  const [r0, r1] = header.rows;
  const [c0, c1] = header.cols;
  const window = { layer: header.layer, r0, r1, c0, c1, cell: header.cell, h, w, exact, ...planes };
  if (!exact && !window.share) window.share = window.data;
  return window;
}

export class Windows {
  /** `waits(message)` is called while the server says that it is getting ready. */
  constructor(source, waits = () => {}) {
    this.source = source; // {api, run, matrix, query, stamp, rows, cols}
    this.waits = waits;
    this.held = [];
    this.newest = null;
  }

  address(path, params) {
    const { api, run, matrix, query, stamp } = this.source;
    const all = new URLSearchParams({ run, matrix, ...query, ...params, v: stamp });
    return new URL(`${api}/${path}?${all}`, document.baseURI).href;
  }

  /** Windows of a layer that overlap `seen`, the coarsest first. */
  over(layer, seen) {
    return this.held
      .filter((w) => w.exact || w.layer === layer)
      .filter((w) => w.r0 < seen.r1 && w.r1 > seen.r0 && w.c0 < seen.c1 && w.c1 > seen.c0)
      .sort((a, b) => b.cell[0] * b.cell[1] - a.cell[0] * a.cell[1]);
  }

  /** A window that holds all of `seen` at least as finely as `limits` allow. */
  covering(layer, seen, limits) {
    const high = cellSide(seen.r1 - seen.r0, limits.rows);
    const wide = cellSide(seen.c1 - seen.c0, limits.cols);
    return this.held.find(
      (w) =>
        (w.exact || w.layer === layer) &&
        w.r0 <= seen.r0 && w.r1 >= seen.r1 && w.c0 <= seen.c0 && w.c1 >= seen.c1 &&
        w.cell[0] <= high && w.cell[1] <= wide,
    );
  }

  /** Fetch what `seen` needs, with room to move; a newer call aborts an older one. */
  async fetch(layer, seen, limits) {
    this.newest?.abort();
    const turn = new AbortController();
    this.newest = turn;
    const { rows, cols } = this.source;
    const [r0, r1] = widen(seen.r0, seen.r1, rows, limits.rows);
    const [c0, c1] = widen(seen.c0, seen.c1, cols, limits.cols);
    const window = await this.get(layer, { r0, r1, c0, c1 }, limits, turn.signal);
    if (this.newest === turn) this.newest = null;
    return window;
  }

  /** The whole matrix in few cells: colours are scaled by it and the small map shows it. */
  whole(layer, signal) {
    const { rows, cols } = this.source;
    return this.get(layer, { r0: 0, r1: rows, c0: 0, c1: cols }, { rows: 256, cols: 512 }, signal);
  }

  async get(layer, window, limits, signal) {
    const params = { layer, ...window, max_rows: limits.rows, max_cols: limits.cols };
    const answer = await this.ask("window", params, signal);
    const found = decode(await answer.arrayBuffer());
    this.held = [found, ...this.held].slice(0, MOST_KEPT);
    return found;
  }

  async cell(row, col, signal) {
    return (await this.ask("cell", { row, col }, signal)).json();
  }

  /** The server's answer; asked again for as long as it says that it is getting ready. */
  async ask(path, params, signal) {
    const answer = await fetch(this.address(path, params), { signal });
    if (answer.ok) return answer;
    const message = await messageOf(answer);
    if (answer.status !== 503) throw new Error(message);
    this.waits(message);
    await new Promise((done) => setTimeout(done, AGAIN));
    signal?.throwIfAborted();
    return this.ask(path, params, signal);
  }
}

export async function messageOf(answer) {
  try {
    return (await answer.json()).message;
  } catch {
    return `the server answered ${answer.status}`;
  }
}

/** A span with a quarter more on each side, as long as that costs no finer cells. */
function widen(first, last, count, most) {
  const room = last - first <= most ? Math.min(most - (last - first), (last - first) / 2) : 0;
  const side = Math.floor(room / 2);
  return [Math.max(0, first - side), Math.min(count, last + side)];
}

/** What the layer's colours span over the whole matrix. */
export function scaleOf(window, layer, shareRange) {
  let largest = 0;
  const n = window.h * window.w;
  for (let i = 0; i < n; i += 1) {
    let value = 0;
    if (!window.exact) value = window.data[i];
    else if (layer === "base") value = window.base[i];
    else value = layer === "difference" ? window.tuned[i] - window.base[i] : window.tuned[i];
    if (Math.abs(value) > largest) largest = Math.abs(value);
  }
  return { largest: Math.fround(largest), share: shareRange ? sharesOf(window, layer) : [0, 1] };
}

function sharesOf(window, layer) {
  if (window.exact) return [0, 1];
  let [low, high] = [1, 0];
  for (const share of layer === "overlap" ? window.data : window.share) {
    if (share < low) low = share;
    if (share > high) high = share;
  }
  return high > low ? [low, high] : [0, 1];
}
