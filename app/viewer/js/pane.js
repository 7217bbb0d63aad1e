// One run's half of the map of a model: its canvas, its tiles, what is under the pointer.

import { isValues } from "./colors.js";
import { bindControls } from "./controls.js";
import { clear, drawAxes, drawMatrix, drawOutlines, matrixArea } from "./draw.js";
import { count, percent } from "./format.js";
import { visible } from "./geometry.js";
import { drawLabels, drawName, drawNotice } from "./labels.js";
import { cellOf } from "./pick.js";
import { Tiles, levelOf } from "./tiles.js";
import { buildStage, complain, make } from "./toolbar.js";
import * as tooltip from "./tooltip.js";
import { nearest, viewOf } from "./world.js";

const READ_AT_ONCE = 1 << 23; // weights: larger ones are read for values from closer, or if few
const READ_FEW = 6;
const DIRECT = 1 << 22; // weights that the server reads for one tile without the whole matrix
const SMALL = 90; // pixels: below, the matrix is told, not its cell
const FAR = "Values of large matrices are shown from closer: zoom in";
const FULL = 6; // times the RMS at which a difference has its full colour

export class Pane {
  /** `map`: what holds view, plot, world, layer and hide; `source`: {run, stamp, title, restore}. */
  constructor(map, source) {
    Object.assign(this, { map, source, hover: null, known: null, parts: buildStage() });
    this.parts.small.hidden = true;
    this.heading = make("div", { class: "kv-pane-title" }, source.title);
    this.figure = make("div", { class: "kv-pane", "data-run": source.run }, this.heading, this.parts.stage);
    this.context = this.parts.canvas.getContext("2d", { alpha: false });
    this.alone = source.restore === "zero";
    this.matrices = new Map();
    this.frames = new Map();
    this.tiles = new Tiles({ ...source, api: map.api }, (error) => this.came(error));
    this.unbind = bindControls(this);
  }

  async load() {
    try {
      this.header = await this.tiles.atlas();
    } catch (error) {
      this.fail(error, () => this.load());
      return;
    }
    this.matrices = new Map(this.header.matrices.map((m) => [m.name, m]));
    this.fail(null);
    this.map.loaded();
  }

  came(error) {
    if (error) {
      this.fail(error, () => {
        this.tiles.again();
        this.fail(null);
        this.map.moved();
      });
    } else if (this.tiles.failed.size === 0) this.fail(null);
    this.map.arrived();
  }

  fail(error, again) {
    complain(this.parts.message, error, again);
  }

  // --- what a map's controls ask for ------------------------------------------------------

  get plot() { return this.map.plot; }
  get layer() { return this.map.layer; }
  get width() { return this.map.width; }
  get height() { return this.map.height; }
  atTop() { return this.map.atTop(); }
  zoomBy(...how) { this.map.zoomBy(...how); }
  zoomAt(...how) { this.map.zoomAt(...how); }
  zoomMiddle(factor) { this.map.zoomMiddle(factor); }
  panBy(dx, dy) { this.map.panBy(dx, dy); }
  top() { this.map.top(); }
  up() { this.map.up(); }
  enter() { this.map.enter(); }
  step(way) { this.map.step(way); }
  turn(way) { this.map.turn(way); }
  clicked(cell) { this.map.clicked(cell); }

  render() {
    this.map.pointed(this);
  }

  facts({ matrix, row, col }, signal) {
    return this.tiles.cell(matrix, row, col, signal);
  }

  cellAt({ x, y }) {
    const { view, plot, seen } = this.map;
    if (!view || !seen || x < 0 || y < 0 || x >= plot.w || y >= plot.h) return null;
    const { place, inside } = nearest(seen, view.x0 + x / view.sx, view.y0 + y / view.sy);
    if (!place || !inside) return null;
    const { m } = place;
    const own = viewOf(view, place);
    const row = Math.min(m.rows - 1, Math.max(0, Math.floor(own.y0 + y / own.sy)));
    const col = Math.min(m.cols - 1, Math.max(0, Math.floor(own.x0 + x / own.sx)));
    const windows = this.frames.get(m.name)?.windows ?? [];
    const found = windows.toReversed().map((w) => cellOf(w, { row, col }, m)).find(Boolean);
    const whole = { row, col, r0: 0, r1: m.rows, c0: 0, c1: m.cols, window: null };
    return { ...(found ?? whole), matrix: m.name, place };
  }

  tipLines(cell) {
    const { place, window } = cell;
    const m = this.matrices.get(place.m.name);
    const heading = `${place.m.group} ${place.m.label}`;
    if (!m) return [heading, [["Not in this run", "–"]]];
    const { view } = this.map;
    const small = Math.max(place.w * view.sx, place.h * view.sy) < SMALL;
    if (!window || small || m.reason !== null) return [heading, wholeLines(m)];
    const { layer, known, alone } = this;
    const shape = { rows: m.rows, cols: m.cols };
    return [`${heading} · ${tooltip.title(cell)}`, tooltip.lines(cell, { layer, known, shape, alone })];
  }

  // --- drawing ----------------------------------------------------------------------------

  look(m) {
    const { ink, layer, map } = { ink: this.map.ink, layer: this.layer, map: this.map };
    const largest = layer === "difference"
      ? FULL * (m?.diff_rms ?? 0)
      : Math.max(Math.abs(m?.tuned_min ?? 0), Math.abs(m?.tuned_max ?? 0));
    const share = map.spread ? this.shares() : [0, 1];
    return { ink, alone: this.alone, hide: isValues(layer) && map.hide, scale: { largest, share } };
  }

  /** The least and largest share of a cell of the whole model. */
  shares() {
    if (!this.range) {
      let [low, high] = [1, 0];
      for (const { whole } of this.matrices.values()) {
        for (const share of whole?.share ?? []) [low, high] = [Math.min(low, share), Math.max(high, share)];
      }
      this.range = high > low ? [low, high] : [0, 1];
    }
    return this.range;
  }

  /** What one matrix is drawn with; `missing`: tiles that are not there yet, or null. */
  frame(place) {
    const { map } = this;
    const { width, height, dpr, plot, layer, font } = map;
    const m = this.matrices.get(place.m.name);
    const view = viewOf(map.view, place);
    const shape = { rows: place.m.rows, cols: place.m.cols };
    const seen = visible(view, plot, shape);
    const base = { width, height, dpr, plot, view, shape, seen, layer, font, look: this.look(m), m, place };
    if (!m || m.reason !== null) return { ...base, windows: [], exact: [], cell: [1, 1], missing: null };
    const level = levelOf(view);
    const cell = [level.h, level.w];
    const { whole } = m;
    const enough = layer === "kept" && !level.exact && whole.cell[0] <= level.h && whole.cell[1] <= level.w;
    if (enough) return { ...base, windows: [whole], exact: [], cell: whole.cell, missing: null };
    if (!this.readable(m, level)) return { ...base, windows: [], exact: [], cell, missing: null, far: true };
    const found = this.tiles.find(m, layer, level, seen);
    const windows = layer === "kept" && found.missing ? [whole, ...found.windows] : found.windows;
    const exact = level.exact ? found.tiles : [];
    return { ...base, level, windows, exact, tiles: found.tiles, cell, missing: found.missing };
  }

  /** Whether values of a matrix are asked for at this level: from far that would read all of it. */
  readable(m, level) {
    if (this.layer === "kept" || m.rows * m.cols <= READ_AT_ONCE) return true;
    return level.h * level.w * 4096 <= DIRECT || this.map.seen.length <= READ_FEW;
  }

  prepare(seen) {
    this.frames = new Map(seen.map((place) => [place.m.name, this.frame(place)]));
    const open = [...this.frames.values()];
    this.ready = Boolean(this.header) && open.every(({ missing }) => !missing);
  }

  draw() {
    const { context, map } = this;
    const { ink, width, height, dpr, plot, view, focus, font } = map;
    const edge = { width, height, dpr, plot, view, font, look: { ink } };
    clear(context, edge);
    context.save();
    context.beginPath();
    context.rect(plot.x - 1, plot.y - 1, plot.w + 2, plot.h + 2);
    context.clip();
    for (const frame of this.frames.values()) {
      const area = drawMatrix(context, frame);
      const { m } = frame.place;
      const reason = frame.m ? frame.m.reason : "not in this run";
      if (frame.place === focus && map.numbered && reason === null) continue; // the edges say it
      drawName(context, frame, area, reason ? `${m.label}: ${reason}` : m.label);
    }
    context.restore();
    if ([...this.frames.values()].some(({ far }) => far)) drawNotice(context, edge, FAR);
    drawLabels(context, edge, map.world, map.numbered);
    this.drawMarks();
  }

  drawMarks() {
    const { context, map, hover } = this;
    const { focus, plot, selected, cursor } = map;
    const front = focus && this.frames.get(focus.m.name);
    if (map.numbered && front) {
      const [own, one] = [hover?.matrix === focus.m.name && hover.window, selected?.matrix === focus.m.name];
      const area = { x: plot.x, y: plot.y, w: plot.w, h: plot.h };
      drawAxes(context, { ...front, hover: own ? hover : null, selected: one ? selected : null }, area);
    }
    const marks = [[hover, "hover"], [selected, "selected"], [cursor && all(cursor), "selected"]];
    for (const [cell, kind] of marks) {
      const frame = cell && this.frames.get(cell.matrix);
      if (!frame) continue;
      const area = matrixArea(frame);
      const small = kind === "hover" && Math.max(area.w, area.h) < SMALL;
      drawOutlines(context, { ...frame, [kind]: small ? all(frame.place) : cell });
    }
  }

  close() {
    clearTimeout(this.asking);
    this.askCell?.abort();
    this.unbind();
    this.tiles.close();
  }
}

const all = (place) => ({ matrix: place.m.name, r0: 0, r1: place.m.rows, c0: 0, c1: place.m.cols });

function wholeLines(m) {
  const size = ["Size", `${count(m.rows)} × ${count(m.cols)}`];
  if (m.reason !== null) return [size, ["Not pruned", m.reason]];
  return [size, ["Kept", `${percent(m.kept / (m.rows * m.cols))} of ${count(m.rows * m.cols)}`]];
}

