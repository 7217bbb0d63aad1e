// One run on a map: its canvas, its weights, what is under the pointer.

import { bindControls, leave } from "./controls.js";
import { clear, drawAxes, drawMatrix, drawOutlines, matrixArea } from "./draw.js";
import { count, percent } from "./format.js";
import { framesOf, wantsOf } from "./frames.js";
import { drawName, drawNotice } from "./labels.js";
import { cellOf } from "./pick.js";
import { Tiles } from "./tiles.js";
import { buildStage, complain, make } from "./toolbar.js";
import * as tooltip from "./tooltip.js";
import { Veil } from "./veil.js";
import { nearest, viewOf } from "./world.js";

const SMALL = 90; // pixels: below, the matrix is told, not its cell
const FAR = "Values of large matrices are shown from closer: zoom in";

export class Pane {
  /** `map`: what holds view, plot, world, layer and hide; `source`: as `Source` in Python. */
  constructor(map, source) {
    Object.assign(this, { map, hover: null, known: null, parts: buildStage() });
    this.parts.small.hidden = true;
    this.veil = new Veil(this.parts.veil);
    this.heading = make("div", { class: "kv-pane-title" });
    this.figure = make("div", { class: "kv-pane", "data-run": source.run }, this.heading, this.parts.stage);
    this.context = this.parts.canvas.getContext("2d", { alpha: false });
    this.unbind = bindControls(this);
    this.take(source);
  }

  /** Show another matrix, or another query's answers, in place of what there is. */
  take(source, tiles = this.tilesOf(source)) {
    leave(this);
    this.tiles?.close();
    Object.assign(this, { source, tiles, matrices: new Map(), frames: new Map(), range: null });
    this.alone = source.restore === "zero";
    const { matrix: name, rows, cols } = source;
    if (name !== null) this.matrices.set(name, { name, rows, cols, reason: null });
    this.map.said = false;
    this.name(source.title);
    this.fail(null);
  }

  tilesOf(source) {
    const waits = (message) => {
      this.map.parts.where.replaceChildren(message);
      this.map.queries.waits(message);
    };
    const tiles = new Tiles({ ...source, api: this.map.api, get: this.map.host.get }, (error) => {
      if (tiles === this.tiles) this.came(error);
    }, waits);
    return tiles;
  }

  name(title) {
    this.source = { ...this.source, title };
    this.heading.textContent = title;
    this.parts.canvas.setAttribute("aria-label", this.map.labelOf(title));
  }

  /** Ask what matrices there are. */
  async load() {
    let header = null;
    try {
      header = await this.tiles.atlas();
    } catch (error) {
      this.fail(error, () => this.load());
      return;
    }
    this.matrices = new Map(header.matrices.map((m) => [m.name, m]));
    this.fail(null);
    this.map.loaded(this, header);
  }

  /** All that a picture of what is seen now needs, from other tiles. */
  async picture(tiles, signal) {
    const wants = wantsOf(this, framesOf(this, this.map.seen, tiles));
    await Promise.all(wants.map((want) => tiles.bring(want, signal)));
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
  get layer() { return this.map.shown; }
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
  get turns() { return Boolean(this.map.turn) && !this.map.guided; }
  get guided() { return Boolean(this.map.guided); }
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
    const own = viewOf(view, this.map.standOf(place));
    const row = Math.min(m.rows - 1, Math.max(0, Math.floor(own.y0 + y / own.sy)));
    const col = Math.min(m.cols - 1, Math.max(0, Math.floor(own.x0 + x / own.sx)));
    const windows = this.frames.get(m.name)?.windows ?? [];
    const found = windows.toReversed().map((w) => cellOf(w, { row, col }, m)).find(Boolean);
    if (this.map.single && !found) return null;
    const whole = { row, col, r0: 0, r1: m.rows, c0: 0, c1: m.cols, window: null };
    return { ...(found ?? whole), matrix: m.name, place };
  }

  tipLines(cell) {
    const { place, window } = cell;
    const m = this.matrices.get(place.m.name);
    const { layer, known, alone } = this;
    const lines = () => tooltip.lines(cell, { layer, known, shape: place.m, alone, coded: this.source.coded });
    if (this.map.single) return [tooltip.title(cell), lines()];
    const heading = `${place.m.group} ${place.m.label}`;
    if (!m) return [heading, [["Not in this run", "–"]]];
    const { view } = this.map;
    const small = Math.max(place.w * view.sx, place.h * view.sy) < SMALL;
    if (!window || small || m.reason !== null) return [heading, wholeLines(m, this.source.coded)];
    return [`${heading} · ${tooltip.title(cell)}`, lines()];
  }

  // --- drawing ----------------------------------------------------------------------------

  prepare(seen) {
    this.frames = framesOf(this, seen);
    const open = [...this.frames.values()];
    this.ready = this.matrices.size > 0 && open.every(({ missing, lacks }) => !missing && !lacks);
    this.empty = open.every(({ windows, flat }) => !windows.length && flat === undefined);
  }

  /** What is not there yet of what is seen. */
  wants() {
    return wantsOf(this, this.frames);
  }

  draw() {
    this.paint(this.context, this.map.dpr, this.hover);
  }

  /** The picture on a canvas of `dpr` pixels for each pixel of the page. */
  paint(context, dpr, hover) {
    const { map } = this;
    const { ink, width, height, plot, view, focus, font } = map;
    const frames = [...this.frames.values()].map((frame) => ({ ...frame, dpr }));
    const edge = { width, height, dpr, plot, view, font, look: { ink } };
    clear(context, edge);
    context.save();
    context.beginPath();
    context.rect(plot.x - 1, plot.y - 1, plot.w + 2, plot.h + 2);
    context.clip();
    let area = null;
    for (const frame of frames) {
      area = drawMatrix(context, frame);
      const { m } = frame.place;
      const reason = frame.m ? frame.m.reason : "not in this run";
      if (frame.place === focus && map.numbered && reason === null) continue; // the edges say it
      if (frame.place.band.x !== undefined && !map.numbered) continue; // it stands above
      if (frame.flat !== undefined && frame.place.column?.slots.length === 1) continue; // its column says it
      drawName(context, frame, area, reason ? `${m.label}: ${reason}` : m.label);
    }
    context.restore();
    if (frames.some(({ far }) => far)) drawNotice(context, edge, FAR);
    map.edges(context, edge, frames, area);
    this.drawMarks(context, frames, hover);
  }

  drawMarks(context, frames, hover) {
    const { focus, plot, selected, cursor, numbered, single } = this.map;
    const frameOf = (name) => frames.find(({ place }) => place.m.name === name);
    const front = frameOf(focus.m.name);
    if (numbered && front) {
      const [own, one] = [hover?.matrix === focus.m.name && hover.window, selected?.matrix === focus.m.name];
      const area = single ? matrixArea(front) : plot;
      drawAxes(context, { ...front, hover: own ? hover : null, selected: one ? selected : null }, area);
    }
    const marks = [
      [hover, "hover"], [selected, "selected"], [cursor && all(cursor), "selected"], [this.map.guideMark, "selected"],
    ];
    for (const [cell, kind] of marks) {
      const frame = cell && frameOf(cell.matrix);
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
    this.veil.close();
    this.tiles.close();
  }
}

const all = (place) => ({ matrix: place.m.name, r0: 0, r1: place.m.rows, c0: 0, c1: place.m.cols });

function wholeLines(m, coded) {
  const size = ["Size", `${count(m.rows)} × ${count(m.cols)}`];
  if (m.reason !== null) return [size, ["Not pruned", m.reason]];
  const lost = m.lost === null ? [] : [["Lost", percent(m.lost)]];
  const share = `${percent(m.kept / (m.rows * m.cols))} of ${count(m.rows * m.cols)}`;
  return [size, [coded ? "Changed" : "Kept", share], ...lost];
}

