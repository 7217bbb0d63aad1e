// Windows of the matrices of a run: asked for, cut into tiles, kept by bytes, and found again.
// A level is {h, w, exact}: weights per cell, and whether all values of single weights are there.

import { cellSide } from "./geometry.js";
import { ask, unpack } from "./wire.js";

export const SIDE = 64; // cells of a tile
const MOST_BYTES = 96 << 20;
const AT_ONCE = 5;
const PIXELS = 1.6; // the least side of a cell

const power = (least) => 2 ** Math.max(0, Math.ceil(Math.log2(least) - 1e-9));

/** The level that a scale (CSS pixels per weight) is drawn with, exact where a weight has at least
 * `exactFrom` pixels. */
export function levelOf({ sx, sy }, exactFrom) {
  const [h, w] = [power(PIXELS / sy), power(PIXELS / sx)];
  return { h, w, exact: h * w === 1 && Math.min(sx, sy) >= exactFrom };
}

/** A level, or what comes nearest to it of a matrix of which only cells are held: `finest` {h, w}. */
export function heldAt(level, { finest }) {
  if (!finest) return level;
  return { h: Math.max(level.h, finest.h), w: Math.max(level.w, finest.w), exact: false };
}

/** The level of a whole matrix in few cells. */
export function wholeLevel({ rows, cols }) {
  const [h, w] = [cellSide(rows, 256), cellSide(cols, 512)];
  return { h, w, exact: h * w === 1 };
}

/** Tiles of a level that rows and columns lie in, end exclusive. */
export function tilesOf({ r0, r1, c0, c1 }, { h, w }) {
  return {
    i0: Math.floor(r0 / (SIDE * h)), i1: Math.ceil(r1 / (SIDE * h)),
    j0: Math.floor(c0 / (SIDE * w)), j1: Math.ceil(c1 / (SIDE * w)),
  };
}

const levelKey = (layer, { h, w, exact }) => `${exact ? "exact" : layer}|${h}x${w}`;
const keyOf = (want) =>
  [want.name, levelKey(want.layer, want.level), want.i0, want.i1, want.j0, want.j1].join("|");

const meet = (a, b) => a.i0 < b.i1 && b.i0 < a.i1 && a.j0 < b.j1 && b.j0 < a.j1;
const touch = (a, b) =>
  a.name === b.name && levelKey(a.layer, a.level) === levelKey(b.layer, b.level) &&
  a.whole === b.whole && (a.whole || meet(a, b));

export class Tiles {
  /** source: {api, run, matrix, query, stamp}, and `get` where something else than the server answers; `changed(error)` is called when something has come,
   * or not; `waits(message)` while the server says that it is getting ready. */
  constructor(source, changed, waits) {
    Object.assign(this, { source, changed, waits, bytes: 0 });
    this.wholes = new Map(); // level key -> window
    this.levels = new Map(); // matrix -> level key -> {layer, level, tiles: "i,j" -> window}
    this.recent = new Map(); // tile id -> where it is, the least lately used first
    this.coming = new Map(); // key -> {want, turn}
    this.failed = new Set();
  }

  address(path, params) {
    const { api, run, query, stamp } = this.source;
    const all = new URLSearchParams({ run, ...query, ...params, v: stamp });
    return new URL(`${api}/${path}?${all}`, document.baseURI).href;
  }

  get(path, params, signal) {
    return ask(this.address(path, params), signal, this.waits, this.source.get);
  }

  /** Every matrix in few cells: the header's lines, each with the window `whole`. */
  async atlas() {
    const { header, planes } = unpack(await (await this.get("atlas", {})).arrayBuffer());
    for (const m of header.matrices) {
      if (m.reason !== null) continue;
      const share = Float32Array.from(planes.share.subarray(m.offset, m.offset + m.size[0] * m.size[1]), (v) => v / 255);
      m.whole = {
        layer: "kept", r0: 0, r1: m.rows, c0: 0, c1: m.cols, cell: m.cell, h: m.size[0], w: m.size[1],
        exact: false, data: share, share,
      };
    }
    return header;
  }

  async cell(matrix, row, col, signal) {
    return (await this.get("cell", { matrix, row, col }, signal)).json();
  }

  /** The whole of the source's matrix in few cells, null before it has come. */
  whole(layer, level) {
    return this.wholes.get(levelKey(layer, level)) ?? null;
  }

  /** What there is to draw of a matrix, the coarsest first, and what is missing of `level`. */
  find(m, layer, level, seen) {
    const wanted = tilesOf(seen, level);
    const held = this.levels.get(m.name);
    const target = held?.get(levelKey(layer, level));
    const found = [];
    const gap = { i0: Infinity, i1: -1, j0: Infinity, j1: -1 };
    for (let i = wanted.i0; i < wanted.i1; i += 1) {
      for (let j = wanted.j0; j < wanted.j1; j += 1) {
        const tile = target?.tiles.get(`${i},${j}`);
        if (tile) found.push(this.used(tile));
        else {
          gap.i0 = Math.min(gap.i0, i);
          gap.i1 = Math.max(gap.i1, i + 1);
          gap.j0 = Math.min(gap.j0, j);
          gap.j1 = Math.max(gap.j1, j + 1);
        }
      }
    }
    if (gap.i1 < 0) return { windows: found, tiles: found, missing: null };
    return { windows: [...this.others(held, layer, level, seen), ...found], tiles: found, missing: gap };
  }

  /** Tiles of other levels over what is seen, the coarsest first. */
  others(held, layer, level, seen) {
    const found = [];
    for (const one of held?.values() ?? []) {
      const same = one.level.h === level.h && one.level.w === level.w && one.level.exact === level.exact;
      if (same || !(one.level.exact || one.layer === layer)) continue;
      const finer = (level.h * level.w) / (one.level.h * one.level.w);
      if (finer > 64) continue; // too fine to be looked at from here
      for (const tile of one.tiles.values()) {
        if (tile.r0 < seen.r1 && tile.r1 > seen.r0 && tile.c0 < seen.c1 && tile.c1 > seen.c0) found.push(tile);
      }
    }
    return found.sort((a, b) => b.cell[0] * b.cell[1] - a.cell[0] * a.cell[1]);
  }

  used(tile) {
    this.recent.delete(tile.id);
    this.recent.set(tile.id, tile);
    return tile;
  }

  /** Ask for what is wanted, the first first; what is no longer wanted is given up. What is on
   * its way and holds a part of a wish stays: a map that moves without a stop is still served. */
  ask(wants) {
    const open = wants.filter((want) => !this.failed.has(keyOf(want)));
    for (const [key, { want, turn }] of this.coming) {
      if (open.some((one) => touch(one, want))) continue;
      turn.abort();
      this.coming.delete(key);
    }
    for (const want of open) {
      if (this.coming.size >= AT_ONCE) break;
      if (![...this.coming.values()].some((one) => touch(one.want, want))) this.load(want);
    }
  }

  async load(want) {
    const turn = new AbortController();
    const key = keyOf(want);
    this.coming.set(key, { want, turn });
    try {
      await this.bring(want, turn.signal);
      if (this.coming.get(key)?.turn === turn) this.coming.delete(key);
      this.changed(null);
    } catch (error) {
      if (this.coming.get(key)?.turn === turn) this.coming.delete(key);
      if (error.name === "AbortError") return;
      this.failed.add(key);
      this.changed(error);
    }
  }

  async bring(want, signal) {
    const answer = await this.get("window", requestOf(want), signal);
    const found = unpack(await answer.arrayBuffer());
    const key = levelKey(want.layer, want.level);
    if (want.whole) this.wholes.set(key, partOf(found, want, 0, 0, ...found.header.size));
    else this.keep(want, found);
  }

  keep(want, found) {
    const { name, layer, level, i0, i1, j0, j1 } = want;
    if (!this.levels.has(name)) this.levels.set(name, new Map());
    const levels = this.levels.get(name);
    const key = levelKey(layer, level);
    if (!levels.has(key)) levels.set(key, { layer, level, tiles: new Map() });
    const { tiles } = levels.get(key);
    for (let i = i0; i < i1; i += 1) {
      for (let j = j0; j < j1; j += 1) {
        if (tiles.has(`${i},${j}`)) continue;
        const tile = tileOf(found, want, i, j);
        Object.assign(tile, { id: `${name}|${key}|${i},${j}`, drop: () => tiles.delete(`${i},${j}`) });
        tiles.set(`${i},${j}`, tile);
        this.recent.set(tile.id, tile);
        this.bytes += tile.bytes;
      }
    }
    for (const tile of this.recent.values()) {
      if (this.bytes <= MOST_BYTES) break;
      tile.drop();
      this.recent.delete(tile.id);
      this.bytes -= tile.bytes;
    }
  }

  again() {
    this.failed.clear();
  }

  close() {
    for (const { turn } of this.coming.values()) turn.abort();
    this.coming.clear();
  }
}

/** The window that holds what is wanted. */
function requestOf({ name, layer, level: { h, w, exact }, shape: { rows, cols }, whole, i0, i1, j0, j1 }) {
  const size = { matrix: name, ...(exact ? {} : { layer, h, w }) };
  if (whole) return { ...size, r0: 0, r1: rows, c0: 0, c1: cols };
  const [tall, wide] = [SIDE * h, SIDE * w];
  return { ...size, r0: i0 * tall, r1: Math.min(rows, i1 * tall), c0: j0 * wide, c1: Math.min(cols, j1 * wide) };
}

/** One tile out of an answer that holds several. */
function tileOf(found, want, i, j) {
  const { size: [h, w], rows: [r0], cols: [c0] } = found.header;
  const { level } = want;
  const [top, left] = [i * SIDE - r0 / level.h, j * SIDE - c0 / level.w];
  return partOf(found, want, top, left, Math.min(SIDE, h - top), Math.min(SIDE, w - left));
}

/** h x w cells of an answer from its cell (top, left) on. */
function partOf({ header: { size, rows, cols }, planes }, { level, layer }, top, left, h, w) {
  const [r0, c0] = [rows[0] + top * level.h, cols[0] + left * level.w];
  const part = {
    layer, r0, c0, cell: [level.h, level.w], h, w, exact: level.exact,
    r1: Math.min(rows[1], r0 + h * level.h), c1: Math.min(cols[1], c0 + w * level.w),
  };
  let bytes = 4 * h * w; // of its picture
  for (const [name, plane] of Object.entries(planes)) {
    part[name] = cut(plane, size[1], top, left, part);
    bytes += part[name].byteLength;
  }
  if (!level.exact) {
    part.share = shares(part);
    part.data ??= part.share;
    if (level.h * level.w === 1) part.kept = part.count;
    bytes += part.share.byteLength;
  }
  return Object.assign(part, { bytes });
}

function cut(plane, wide, top, left, { h, w }) {
  const part = new plane.constructor(h * w);
  for (let row = 0; row < h; row += 1) {
    const from = (top + row) * wide + left;
    part.set(plane.subarray(from, from + w), row * w);
  }
  return part;
}

/** Kept share of each cell: those at the edge of a matrix hold fewer weights. */
function shares({ count, h, w, r0, r1, c0, c1, cell: [high, wide] }) {
  const part = new Float32Array(h * w);
  for (let i = 0; i < h; i += 1) {
    const tall = Math.min(high, r1 - r0 - i * high);
    for (let j = 0; j < w; j += 1) {
      part[i * w + j] = count[i * w + j] / (tall * Math.min(wide, c1 - c0 - j * wide));
    }
  }
  return part;
}

/** Tiles of single weights as one window over `seen`. */
export function joined(tiles, { r0, r1, c0, c1 }) {
  const [h, w] = [r1 - r0, c1 - c0];
  const window = { r0, r1, c0, c1, cell: [1, 1], h, w, exact: true };
  for (const tile of tiles) {
    for (const name of ["kept", "tuned", "base", "neighbours", "pruned", "levels", "other"]) {
      if (!tile[name]) continue;
      window[name] ??= new tile[name].constructor(h * w);
      const [left, right] = [Math.max(c0, tile.c0), Math.min(c1, tile.c1)];
      for (let row = Math.max(r0, tile.r0); row < Math.min(r1, tile.r1); row += 1) {
        const from = (row - tile.r0) * tile.w - tile.c0;
        window[name].set(tile[name].subarray(from + left, from + right), (row - r0) * w + left - c0);
      }
    }
  }
  return window;
}
