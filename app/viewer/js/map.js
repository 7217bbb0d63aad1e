// The map of a whole model: one plane from all blocks and roles down to one weight, for one run or
// for two side by side that move in step.

import * as address from "./address.js";
import { isDark, makeInk } from "./colors.js";
import { bandView, linkOf, matrixView, seenOf, viewOfLink } from "./map_link.js";
import { aloneAddress, crumbsOf, legendMore, matrixSays, viewSays } from "./map_words.js";
import { leave } from "./controls.js";
import { drawCrumbs } from "./crumbs.js";
import { plotOf } from "./draw.js";
import { settle, toward } from "./geometry.js";
import { drawLegend } from "./legend.js";
import { Pane } from "./pane.js";
import { nextWeight } from "./pick.js";
import { ahead } from "./prefetch.js";
import { downloadMap, downloadWeights } from "./save.js";
import { Stage } from "./stage.js";
import { readTable } from "./table.js";
import { joined } from "./tiles.js";
import { build, make, mark, offer } from "./toolbar.js";
import { beside, closestOf, inSight, layOut, nearest, pulled, viewOf, wholeWorld, worldFit, worldView } from "./world.js";

const APART = 40; // ms between two requests while moving
const BIG = 0.45; // of the plot: from here a matrix is what is looked at
const NARROW = 760; // pixels: below, the second map is under the first
const WORDS = {
  fit: "Whole model (0)",
  keys: "Wheel, pinch or + − zoom; drag or arrows move; click opens; Shift + arrows step from matrix to " +
    "matrix or weight to weight; Page Up and Down go through all matrices; Enter goes in, Esc goes up",
};

export class AtlasMap extends Stage {
  constructor(root) {
    super();
    this.root = root;
    this.parts = build(root, {
      layer: (layer) => this.change({ layer }),
      hide: () => this.change({ hide: !this.hide }),
      spread: () => this.change({ spread: !this.spread }),
      zoom: (factor) => this.zoomMiddle(factor),
      fit: () => this.top(),
      up: () => this.up(),
      png: () => downloadMap(this),
      csv: () => downloadWeights(this),
    }, WORDS);
    this.crumbs = make("nav", { class: "kv-crumbs", "aria-label": "Where you are in the model" });
    this.holder = make("div", { class: "kv-panes" });
    this.parts.stage.replaceWith(this.crumbs, this.holder);
    Object.assign(this, { panes: [], written: new Set(), selected: null, cursor: null, world: null });
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(root);
  }

  /** Take what Python sent; called again whenever the data or the theme changes. */
  update({ data, setStateValue, parentElement }) {
    this.setStateValue = setStateValue;
    const style = getComputedStyle(parentElement.host ?? parentElement);
    this.font = style.getPropertyValue("--st-font") || "sans-serif";
    const ink = makeInk(data.palettes[isDark(style.getPropertyValue("--st-background-color").trim()) ? "dark" : "light"]);
    if (this.ink?.name !== ink.name) this.ink = ink;
    this.root.dataset.theme = ink.name;
    this.root.style.setProperty("--kv-reset", ink.reset);
    this.root.style.setProperty("--kv-mark", ink.reset_mark);
    const sources = JSON.stringify([data.sources, data.api]);
    const asked = JSON.stringify(data.view);
    if (sources !== this.sourcesKey) this.open(data, sources);
    else if (asked !== this.askedKey && !this.written.has(asked)) this.look(data.view);
    this.askedKey = asked;
    this.render();
  }

  open(data, key) {
    this.sourcesKey = key;
    this.api = data.api;
    for (const pane of this.panes) pane.close();
    Object.assign(this, { world: null, view: null, plot: null, seen: null, link: data.view });
    this.panes = data.sources.map((source) => new Pane(this, source));
    this.holder.replaceChildren(...this.panes.map((pane) => pane.figure));
    this.holder.dataset.panes = this.panes.length;
    this.alone = this.panes.some((pane) => pane.alone);
    offer(this.parts, this.alone, false);
    this.takeLooks(data.view);
    for (const pane of this.panes) pane.load();
  }

  takeLooks({ layer, reset, at, row, col }) {
    const lacking = this.alone && (layer === "base" || layer === "difference");
    this.layer = lacking ? "kept" : layer;
    this.hide = reset !== "shown";
    this.selected = row === null ? null : one(at, row, col);
  }

  /** An atlas has come: the first one lays out the plane. */
  loaded() {
    const { header } = this.panes[0];
    if (header && !this.world) {
      this.world = layOut(header.matrices, header.roles);
      this.shape = { rows: this.world.rows, cols: this.world.cols };
      this.resize();
    }
    if (this.view) this.moved();
  }

  look(view) {
    this.link = view;
    this.touched = false;
    this.takeLooks(view);
    if (this.plot) this.view = viewOfLink(view, this);
    if (this.view) this.moved();
  }

  resize() {
    const room = this.root.clientWidth;
    this.holder.classList.toggle("kv-stacked", room < NARROW);
    const width = this.panes[0]?.parts.stage.clientWidth;
    if (!width || !this.world) return;
    const many = this.panes.length > 1 && room < NARROW ? 0.42 : 0.66;
    const height = Math.round(Math.min(820, Math.max(320, window.innerHeight * many)));
    if (this.width === width && this.height === height && this.view) return;
    const whole = this.view && this.plot && this.atTop();
    Object.assign(this, { width, height, dpr: Math.min(3, window.devicePixelRatio || 1) });
    for (const { parts: { canvas } } of this.panes) {
      canvas.width = Math.round(width * this.dpr);
      canvas.height = Math.round(height * this.dpr);
      canvas.style.height = `${height}px`;
    }
    this.plot = plotOf(width, height);
    if (!this.view || !this.touched) this.view = viewOfLink(this.link, this);
    else this.view = whole ? wholeWorld(this.plot, this.world) : settle(this.view, this.plot, this.shape);
    this.render(true);
    this.moved();
  }

  // --- where we are -----------------------------------------------------------------------

  /** What the view holds: places in sight, the one in the middle, and how close we are. */
  find() {
    const { view, plot, world } = this;
    this.seen = inSight(world, view, plot);
    const centre = [view.x0 + plot.w / view.sx / 2, view.y0 + plot.h / view.sy / 2];
    this.focus = nearest(this.seen.length ? this.seen : world.places, ...centre).place;
    this.level = this.levelOf(this.focus);
    this.numbered = this.level === "matrix" || this.level === "window";
  }

  levelOf(place) {
    const { view, plot } = this;
    if (this.atTop()) return "model";
    const big = Math.max((place.w * view.sx) / plot.w, (place.h * view.sy) / plot.h) >= BIG;
    const { r0, r1, c0, c1 } = seenOf(this, place);
    const { rows, cols } = place.m;
    if (big && plot.h / view.sy < place.band.h * 2.5) {
      const all = r1 - r0 >= rows && c1 - c0 >= cols;
      const wide = plot.w / view.sx < this.world.cols * 0.98;
      if (!all) return "window";
      if (wide) return "matrix";
    }
    return plot.h / view.sy < place.band.h * 2.5 ? "block" : "part";
  }

  atTop() {
    const { view, plot, world } = this;
    const least = worldFit(plot, world);
    return view.sx < least.sx * 1.01 && view.sy < least.sy * 1.01;
  }

  // --- moving -----------------------------------------------------------------------------

  moveBy(view) {
    clearTimeout(this.clicking);
    this.cursor = null;
    for (const pane of this.panes) leave(pane); // a pointer that moves it comes back at once
    super.moveBy(view);
  }

  zoomed(factor, px, py) {
    const { view, plot, world } = this;
    if (factor <= 1) return settle(toward(view, worldFit(plot, world), factor, px, py), plot, this.shape);
    const [x, y] = [view.x0 + px / view.sx, view.y0 + py / view.sy];
    const { place } = nearest(world.places, x, y);
    const next = toward(view, closestOf(place), factor, px, py);
    const pull = pulled(place, x, y); // a pointer between matrices: no way ends in nothing
    return settle({ ...next, x0: next.x0 + pull.x, y0: next.y0 + pull.y }, plot, this.shape);
  }

  zoomAt(factor, px, py) {
    clearTimeout(this.clicking);
    super.zoomAt(factor, px, py);
  }

  top() {
    this.selected = null;
    this.moveTo(wholeWorld(this.plot, this.world), 280);
  }

  go(place) {
    this.moveTo(matrixView(place, this), 280);
  }

  up() {
    if (this.selected && this.level === "window") this.select(null);
    else if (this.level === "window") this.go(this.focus);
    else if (this.level === "matrix") this.moveTo(bandView(this.focus.band, this), 280);
    else this.top();
  }

  enter() {
    const front = this.panes[0].frames.get(this.focus.m.name);
    if (!this.numbered) this.go(this.cursor ?? this.focus);
    else if (!front?.exact.length || this.panes[0].matrices.get(this.focus.m.name).reason !== null) this.zoomMiddle(4);
    else this.select(nextWeight(this.front(), [0, 0]));
  }

  /** The matrix in the middle as a map of its own. */
  front() {
    const { plot, focus, selected } = this;
    const shape = { rows: focus.m.rows, cols: focus.m.cols };
    const own = selected?.matrix === focus.m.name ? selected : null;
    return { view: viewOf(this.view, focus), plot, shape, selected: own };
  }

  step(way) {
    const front = this.front();
    if (this.level === "window" && front.selected) {
      const next = nextWeight(front, way);
      if (!next.seen) this.show(next);
      return this.select(next);
    }
    return this.visit(beside(this.world, this.cursor ?? this.focus, way));
  }

  /** All matrices one after the other. */
  turn(way) {
    const { places } = this.world;
    this.visit(places[places.indexOf(this.cursor ?? this.focus) + way]);
  }

  visit(place) {
    if (!place) return;
    if (this.numbered) this.moveTo(this.sameWindow(place));
    else {
      const { view, plot } = this;
      const right = Math.min(Math.max(view.x0, place.x + place.w - plot.w / view.sx), place.x);
      const down = Math.min(Math.max(view.y0, place.y + place.h - plot.h / view.sy), place.y);
      this.moveBy(settle({ ...view, x0: right, y0: down }, plot, this.shape));
      this.cursor = place;
    }
  }

  /** The window of the matrix in the middle on another matrix; all of it where shapes differ. */
  sameWindow(place) {
    const { m } = this.focus;
    const alike = place.m.rows === m.rows && place.m.cols === m.cols;
    if (!alike || this.level !== "window") return matrixView(place, this);
    return settle(worldView(viewOf(this.view, this.focus), place), this.plot, this.shape);
  }

  /** Let go of the selected weight, stay where we are. */
  release() {
    if (this.selected) this.select(null);
  }

  show({ row, col }, place = this.focus) {
    const { plot } = this;
    const view = viewOf(this.view, place);
    const own = { ...view, x0: col + 0.5 - plot.w / view.sx / 2, y0: row + 0.5 - plot.h / view.sy / 2 };
    this.moveBy(settle(worldView(own, place), plot, this.shape));
  }

  clicked(cell) {
    clearTimeout(this.clicking);
    if (!cell) return;
    const { place, window } = cell;
    if (window?.exact) this.select(cell, place);
    else if (!this.numbered || place !== this.focus) this.clicking = setTimeout(() => this.go(place), 230);
  }

  /** Outline one weight and tell Python; null takes the outline away. */
  select(cell, place = this.focus) {
    this.selected = cell && one(place.m.name, cell.row, cell.col);
    this.settled(); // the address first: Python reads it in the run that the next line starts
    this.tell();
    this.moved();
  }

  tell() {
    const { matrix = null, r0: row = null, c0: col = null } = this.selected ?? {};
    const now = { matrix: matrix ?? (this.numbered ? this.focus.m.name : null), row, col };
    const text = JSON.stringify(now);
    if (text === this.told) return;
    this.told = text;
    this.setStateValue("cell", now);
  }

  // --- asking -----------------------------------------------------------------------------

  request() {
    if (!this.view || !this.plot || this.waiting) return;
    const rest = APART - (performance.now() - (this.asked ?? -APART));
    if (rest > 0) {
      this.waiting = setTimeout(() => {
        this.waiting = null;
        this.request();
      }, rest);
      return;
    }
    this.asked = performance.now();
    this.find();
    for (const pane of this.panes) {
      if (!pane.header) continue;
      pane.prepare(this.seen);
      const open = [...pane.frames.values()].filter(({ missing }) => missing);
      const wants = open.map(({ m, level, missing, shape }) => ({ name: m.name, layer: this.layer, level, shape, ...missing }));
      const first = (want) => (want.name === this.focus.m.name ? 0 : 1);
      wants.sort((a, b) => first(a) - first(b));
      pane.tiles.ask(wants.length ? wants : ahead(this, pane));
    }
    this.before = this.view;
  }

  /** Something has come. */
  arrived() {
    this.render();
    this.request();
  }

  // --- drawing ----------------------------------------------------------------------------

  /** The pointer is elsewhere on a pane: the other one shows the same place. */
  pointed(pane) {
    pane.parts.canvas.dataset.hover = pane.hover?.matrix ?? "";
    for (const other of this.panes) {
      if (other !== pane) other.hover = pane.hover && { ...pane.hover, window: null };
    }
    this.render();
  }

  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = null;
    if (!this.plot || !this.view || !this.world || !this.ink) return;
    const began = performance.now();
    this.find();
    for (const pane of this.panes) {
      pane.prepare(this.seen);
      pane.draw();
      pane.parts.stage.classList.toggle("kv-busy", !pane.ready);
      this.note(pane);
    }
    const frame = this.panes[0].frames.get(this.focus.m.name);
    const exact = Boolean(frame?.level?.exact);
    mark(this.parts, { layer: this.layer, hide: this.hide, spread: this.spread, exact });
    if (frame) drawLegend(this.parts.legend, this.layer, frame.look, frame.cell, legendMore(this));
    drawCrumbs(this.crumbs, crumbsOf(this), this.numbered ? aloneAddress(this) : null);
    if (!this.said && this.panes.every((pane) => pane.ready)) this.say();
    this.panes[0].parts.canvas.dataset.drawMs = (performance.now() - began).toFixed(1);
  }

  /** What is shown, for tests and for whoever inspects the page. */
  note({ parts: { canvas }, ready, frames }) {
    const { focus, level, layer, selected } = this;
    const cell = frames.get(focus.m.name)?.cell ?? [];
    const state = { level, layer, ready, matrix: focus.m.name, cell: cell.join("x"), ...seenOf(this, focus) };
    Object.assign(canvas.dataset, state);
    canvas.dataset.selected = selected ? `${selected.matrix},${selected.r0},${selected.c0}` : "";
  }

  settled() {
    clearTimeout(this.settling);
    if (!this.plot || !this.view) return;
    this.find();
    const view = { ...linkOf(this), layer: this.layer, reset: this.hide ? "hidden" : "shown" };
    if (!this.touched) Object.assign(view, pick(this.link));
    this.written.add(JSON.stringify(view));
    address.write(view, "kept", ["at"]);
    this.tell();
    this.say();
  }

  /** What is in view, in words, and its weights as a table. */
  say() {
    const { focus, level } = this;
    const frame = this.panes[0].frames.get(focus.m.name);
    this.said = this.panes.every((one) => one.ready);
    this.parts.where.textContent = this.cursor ? matrixSays(this, this.cursor) : viewSays(this, frame);
    const exact = level === "window" && frame?.level?.exact && !frame.missing;
    if (exact) readTable(this.parts.table, { ...frame, windows: [joined(frame.tiles, frame.seen)] });
    else this.parts.table.replaceChildren();
  }

  close() {
    for (const pane of this.panes) pane.close();
    this.watch.disconnect();
    clearTimeout(this.clicking);
    this.rest();
  }
}

const one = (matrix, row, col) => ({ matrix, row, col, r0: row, r1: row + 1, c0: col, c1: col + 1 });
const pick = ({ at, r0, r1, c0, c1 }) => ({ at, r0, r1, c0, c1 });
