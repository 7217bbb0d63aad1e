// One map on the page: holds what is shown, asks for what is missing, draws it.

import * as address from "./address.js";
import { isDark, isValues, makeInk } from "./colors.js";
import { bindControls } from "./controls.js";
import { Windows, scaleOf } from "./data.js";
import { draw, heightFor, plotOf } from "./draw.js";
import { count, mapLabel, span } from "./format.js";
import { around, closest, fit, isWhole, settle, showing, visible, zoom } from "./geometry.js";
import { cellSays, drawLegend } from "./legend.js";
import { Minimap } from "./minimap.js";
import { cellOf, nextWeight, weightAt } from "./pick.js";
import { Queries } from "./query.js";
import { savePicture, saveWeights } from "./save.js";
import { Stage } from "./stage.js";
import { build, complain, mark, offer } from "./toolbar.js";
import { readTable } from "./table.js";
import * as tooltip from "./tooltip.js";

const APART = 50; // ms between two requests while moving
const PATIENCE = 300; // ms that the picture of the matrix before may stay

export class Viewer extends Stage {
  constructor(root) {
    super();
    this.root = root;
    this.parts = build(root, {
      layer: (name) => this.setLayer(name),
      hide: () => this.change({ hide: !this.hide }),
      spread: () => this.change({ spread: !this.spread }),
      zoom: (factor) => this.zoomMiddle(factor),
      fit: () => this.moveTo(fit(this.plot, this.shape)),
      up: () => this.up(),
      png: () => savePicture(this),
      csv: () => saveWeights(this),
    });
    this.context = this.parts.canvas.getContext("2d", { alpha: false });
    this.minimap = new Minimap(this.parts.small, (col, row) => this.centre(col, row));
    this.written = new Set();
    this.unbind = bindControls(this);
    this.queries = new Queries(this);
    this.waitsFor = (message) => this.parts.where.replaceChildren(message);
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(root);
  }

  /** Take what Python sent; called again whenever the data or the theme changes. */
  update({ data, setStateValue, setTriggerValue, parentElement }) {
    this.tell = { setStateValue, setTriggerValue };
    const style = getComputedStyle(parentElement.host ?? parentElement);
    this.font = style.getPropertyValue("--st-font") || "sans-serif";
    const dark = isDark(style.getPropertyValue("--st-background-color").trim());
    const ink = makeInk(data.palettes[dark ? "dark" : "light"]);
    if (this.ink?.name !== ink.name) this.ink = ink;
    this.root.dataset.theme = ink.name;
    this.root.style.setProperty("--kv-reset", ink.reset);
    this.root.style.setProperty("--kv-mark", ink.reset_mark);
    const { query, title, ...fixed } = data.source;
    const source = JSON.stringify([fixed, data.api]);
    const asked = JSON.stringify(data.view);
    if (source !== this.sourceKey) this.open(data, source);
    else {
      if (asked !== this.askedKey && !this.written.has(asked)) this.look(data.view);
      this.queries.python(query);
      this.name(title);
    }
    this.askedKey = asked;
    this.render();
  }

  open(data, key) {
    this.sourceKey = key;
    this.source = { ...data.source, api: data.api };
    this.alone = this.source.restore === "zero"; // no base: no difference, and zeros
    if (this.alone && (this.layer === "base" || this.layer === "difference")) this.layer = "kept";
    offer(this.parts, this.alone, this.source.query?.other);
    this.windows?.newest?.abort();
    this.queries.reset(this.source.query);
    this.windows = new Windows(this.source, this.waitsFor);
    this.wholes = new Map();
    const shape = { rows: this.source.rows, cols: this.source.cols };
    const alike = this.shape?.rows === shape.rows && this.shape.cols === shape.cols;
    const linked = data.view.r0 !== null || data.view.row !== null;
    const stay = this.view && alike && !linked; // the same window of the next block
    this.shape = shape;
    this.name(this.source.title);
    const { layer, reset } = this.view ? this.looks() : data.view;
    if (stay) Object.assign(this, { selected: null, hover: null, linked: null });
    else {
      this.view = this.plot = null;
      this.look(linked ? data.view : { ...data.view, layer, reset });
      this.resize();
    }
    this.opened = performance.now();
    if (stay) this.moved();
  }

  name(title) {
    this.source.title = title;
    this.parts.canvas.setAttribute("aria-label", mapLabel(title, this.shape));
  }

  /** Another query's picture in place of the one before: same window, selection and layer. */
  swap(source, windows, ...wholes) {
    this.windows.newest?.abort();
    this.source = { ...source, title: this.source.title };
    Object.assign(this, { windows, wholes: new Map(wholes), askedFor: null, known: null });
    this.said = false;
    this.fail(null);
    this.request();
  }

  looks() {
    return { layer: this.layer, reset: this.hide ? "hidden" : "shown" };
  }

  /** Show the view of a link: {r0, r1, c0, c1 or null, row, col or null, layer, reset}. */
  look(view) {
    this.layer = view.layer;
    this.hide = view.reset !== "shown";
    this.selected = view.row === null ? null : one(view.row, view.col);
    this.hover = null;
    this.linked = view.r0 === null ? null : view;
    this.parts.tip.hidden = true;
    if (this.plot) this.view = this.fromLink();
    this.moved();
  }

  fromLink() {
    if (this.linked) return showing(this.linked, this.plot, this.shape);
    const { selected, plot, shape } = this;
    return selected ? around(closest(), selected, plot, shape) : fit(plot, shape);
  }

  resize() {
    const width = this.parts.stage.clientWidth;
    if (!width || !this.shape) return;
    const height = heightFor(width, this.shape);
    const stays = this.view && this.plot && !isWhole(this.view, this.plot, this.shape);
    if (this.width === width && this.height === height && this.view) return;
    [this.width, this.height] = [width, height];
    this.dpr = Math.min(3, window.devicePixelRatio || 1);
    const { canvas } = this.parts;
    canvas.width = Math.round(width * this.dpr);
    canvas.height = Math.round(height * this.dpr);
    canvas.style.height = `${height}px`;
    this.plot = plotOf(width, height);
    if (!this.view || (this.linked && !this.touched)) this.view = this.fromLink();
    else this.view = stays ? settle(this.view, this.plot, this.shape) : fit(this.plot, this.shape);
    this.render(true);
    this.request();
  }

  // --- what is shown ---------------------------------------------------------------------

  setLayer(layer) {
    this.change({ layer });
  }

  zoomed(factor, px, py) {
    return zoom(this.view, this.plot, this.shape, factor, px, py);
  }

  atTop() {
    return isWhole(this.view, this.plot, this.shape);
  }

  top() {
    this.zoomMiddle(1e-9);
  }

  up() {
    if (this.atTop()) this.select(null);
    else this.zoomMiddle(1 / 4);
  }

  centre(col, row) {
    this.moveBy(around(this.view, { row: row - 0.5, col: col - 0.5 }, this.plot, this.shape));
  }

  enter() {
    this.step([0, 0]);
  }

  /** Select the next weight in a direction, or the one in the middle, and keep it in sight. */
  step(way) {
    const next = nextWeight(this, way);
    if (!next.seen) this.centre(next.col + 0.5, next.row + 0.5);
    this.select({ row: next.row, col: next.col });
  }

  clicked(cell) {
    if (cell?.window.exact) this.select({ row: cell.row, col: cell.col });
  }

  cellAt(point) {
    const weight = weightAt(this, point);
    return weight && cellOf(this.frame().windows.at(-1), weight, this.shape);
  }

  tipLines(cell) {
    return [tooltip.title(cell), tooltip.lines(cell, this)];
  }

  facts({ row, col }, signal) {
    return this.windows.cell(row, col, signal);
  }

  /** Outline one weight and tell Python; null takes the outline away. */
  select(cell) {
    this.selected = cell && one(cell.row, cell.col);
    this.settled(); // the address first: Python reads it in the run that the next line starts
    const { matrix } = this.source;
    this.tell.setStateValue("cell", { matrix, row: cell?.row ?? null, col: cell?.col ?? null });
    this.moved();
  }

  // --- asking ----------------------------------------------------------------------------

  limits() {
    const cells = (pixels, most) => Math.min(most, Math.max(64, Math.ceil(pixels / 1.6)));
    return { rows: cells(this.plot.h, 512), cols: cells(this.plot.w, 768) };
  }

  request() {
    if (!this.plot || !this.view || this.waiting) return;
    const rest = APART - (performance.now() - (this.asked ?? 0));
    if (rest > 0) {
      this.waiting = setTimeout(() => {
        this.waiting = null;
        this.request();
      }, rest);
      return;
    }
    this.askWhole();
    this.askWindow();
  }

  async askWhole() {
    const { layer, windows } = this;
    if (this.wholes.has(layer)) return;
    this.wholes.set(layer, null);
    try {
      const whole = await windows.whole(layer);
      if (windows === this.windows) this.wholes.set(layer, whole);
      this.fail(null);
    } catch (error) {
      if (windows !== this.windows) return;
      this.wholes.delete(layer);
      this.fail(error);
    }
    this.render();
  }

  async askWindow() {
    const seen = visible(this.view, this.plot, this.shape);
    const limits = this.limits();
    const { layer, windows } = this;
    if (windows.covering(layer, seen, limits)) return;
    const key = JSON.stringify([layer, seen]);
    if (windows.newest && key === this.askedFor) return;
    this.askedFor = key;
    this.asked = performance.now();
    try {
      await windows.fetch(layer, seen, limits);
      this.parts.canvas.dataset.fetchMs = (performance.now() - this.asked).toFixed(1);
      this.fail(null);
    } catch (error) {
      if (error.name !== "AbortError" && windows === this.windows) this.fail(error);
    }
    if (windows === this.windows) this.render();
  }

  fail(error, retry = () => this.request()) {
    complain(this.parts.message, error, () => {
      this.askedFor = null;
      retry();
    });
  }

  // --- drawing ---------------------------------------------------------------------------

  /** All that one picture needs, or null where nothing has arrived yet. */
  frame() {
    const whole = this.wholes.get(this.layer);
    const seen = visible(this.view, this.plot, this.shape);
    const scale = whole ? this.scale(whole) : null;
    const windows = scale ? this.windows.over(this.layer, seen) : [];
    if (scale && !windows.includes(whole)) windows.unshift(whole);
    const finest = this.windows.covering(this.layer, seen, this.limits());
    const shown = finest ? [...windows.filter((w) => coarser(w, finest)), finest] : windows;
    const cell = (shown.at(-1) ?? { cell: [1, 1] }).cell;
    const ready = Boolean(scale && finest);
    const { ink, alone } = this;
    const look = { ink, alone, scale: scale ?? { largest: 0, share: [0, 1] }, hide: this.hidden() };
    const { width, height, dpr, plot, view, shape, layer, font, hover, selected } = this;
    return {
      width, height, dpr, plot, view, shape, seen, windows: shown, layer, look, font, hover,
      selected, cell, whole, ready,
    };
  }

  hidden() {
    return isValues(this.layer) && this.hide;
  }

  scale(whole) {
    const key = `${this.layer}|${this.spread}`;
    if (whole.scaleKey !== key) {
      whole.scaleKey = key;
      whole.scale = scaleOf(whole, this.layer, this.spread);
    }
    return whole.scale;
  }

  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = null;
    if (!this.plot || !this.view || !this.ink) return;
    const began = performance.now();
    const frame = this.frame();
    const fresh = performance.now() - this.opened < PATIENCE;
    if (fresh && !frame.windows.length) return; // the picture before stays for this moment
    draw(this.context, frame);
    const whole = isWhole(this.view, this.plot, this.shape);
    this.minimap.draw({ ...frame, show: !whole });
    const exact = frame.cell[0] * frame.cell[1] === 1;
    mark(this.parts, { layer: this.layer, hide: this.hide, spread: this.spread, exact });
    drawLegend(this.parts.legend, this.layer, frame.look, frame.cell);
    this.note(frame);
    if (frame.ready && !this.said) this.say(frame);
    this.parts.stage.classList.toggle("kv-busy", !frame.ready);
    this.parts.canvas.dataset.drawMs = (performance.now() - began).toFixed(1);
  }

  /** What is shown, for tests and for whoever inspects the page. */
  note({ seen, cell, ready: drawn }) {
    const { dataset } = this.parts.canvas;
    const query = new URLSearchParams(this.source.query).toString();
    const state = { cell: cell.join("x"), ready: drawn && !this.queries.busy, query };
    Object.assign(dataset, seen, { layer: this.layer, ...state });
    dataset.selected = this.selected ? `${this.selected.r0},${this.selected.c0}` : "";
  }

  settled() {
    clearTimeout(this.settling);
    if (!this.plot || !this.view) return;
    const frame = this.frame();
    this.writeAddress(frame.seen);
    this.say(frame);
  }

  /** Where we are, in words; and the weights in sight as a table. */
  say(frame) {
    const { r0, r1, c0, c1 } = frame.seen;
    const { rows, cols } = this.shape;
    const where = isWhole(this.view, this.plot, this.shape)
      ? `All ${count(rows)} × ${count(cols)} weights`
      : `${span("row", r0, r1)} of ${count(rows)}, ${span("column", c0, c1)} of ${count(cols)}`;
    const says = frame.ready ? ` · ${cellSays(this.layer, frame.cell)}` : "";
    this.parts.where.textContent = `${where[0].toUpperCase()}${where.slice(1)}${says}`;
    readTable(this.parts.table, frame);
    this.said = frame.ready;
  }

  writeAddress(seen) {
    const whole = isWhole(this.view, this.plot, this.shape);
    const none = { r0: null, r1: null, c0: null, c1: null };
    const view = {
      ...(whole ? none : seen),
      row: this.selected ? this.selected.r0 : null,
      col: this.selected ? this.selected.c0 : null,
      ...this.looks(),
    };
    if (!this.touched && this.linked) Object.assign(view, pick(this.linked));
    this.written.add(JSON.stringify(view));
    address.write(view, this.source.query?.other ? "overlap" : "kept");
  }

  close() {
    this.unbind();
    this.queries.close();
    this.watch.disconnect();
    this.windows?.newest?.abort();
    this.rest();
  }
}

const one = (row, col) => ({ row, col, r0: row, r1: row + 1, c0: col, c1: col + 1 });
const pick = ({ r0, r1, c0, c1 }) => ({ r0, r1, c0, c1 });
const coarser = (a, b) => a !== b && a.cell[0] * a.cell[1] >= b.cell[0] * b.cell[1];
