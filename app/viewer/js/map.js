// A map of weights: what is shown, asked for and drawn, and how it moves. One run or two side by
// side lie on one plane of matrices (`world`): a whole model (model.js), or one matrix (matrix.js).
// Those two say where the map can go (least, home, atTop, levelOf), what a link means (aim, here),
// what keys do (up, enter, step), and what stands around the picture (edges, drawn, says).

import * as address from "./address.js";
import { isDark, makeInk } from "./colors.js";
import { leave } from "./controls.js";
import { plotOf } from "./draw.js";
import { settle } from "./geometry.js";
import { drawLegend } from "./legend.js";
import { Pane } from "./pane.js";
import { nextWeight } from "./pick.js";
import { ahead } from "./prefetch.js";
import { Queries } from "./query.js";
import { savePicture, saveWeights } from "./save.js";
import { Stage } from "./stage.js";
import { readTable } from "./table.js";
import { build, mark } from "./toolbar.js";
import { inSight, nearest, viewOf } from "./world.js";

const APART = 40; // ms between two requests while moving
const NARROW = 760; // pixels: below, the second map is under the first
const GUIDED = 900; // ms from place to place of a guided zoom
const PATIENCE = 300; // ms that the picture of the matrix before may stay

export class WeightMap extends Stage {
  constructor(root, words) {
    super();
    this.root = root;
    this.parts = build(root, {
      layer: (layer) => this.change({ layer }),
      hide: () => this.change({ hide: !this.hide }),
      spread: () => this.change({ spread: !this.spread }),
      zoom: (factor) => this.zoomMiddle(factor),
      fit: () => this.top(),
      up: () => this.up(),
      png: () => savePicture(this),
      csv: () => saveWeights(this),
    }, words);
    Object.assign(this, { panes: [], written: new Set(), selected: null, cursor: null, world: null });
    this.queries = new Queries(this);
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(root);
  }

  /** Take what Python sent; called again whenever the data or the theme changes. `data.host` stands where there is
   * no app around the map: {get, layers}, what answers in place of its server and which layers that knows. */
  update({ data, setStateValue, parentElement }) {
    Object.assign(this, { setStateValue, api: data.api, host: data.host ?? {} });
    this.takeTheme(data.palettes, getComputedStyle(parentElement.host ?? parentElement));
    const fixed = data.sources.map(({ query, title, ...source }) => source);
    const sources = JSON.stringify([fixed, data.api]);
    const asked = JSON.stringify(data.view);
    const turn = JSON.stringify(data.guided);
    Object.assign(this, { usualLayer: data.usual, lost: data.lost, guided: data.guided ?? null });
    this.root.dataset.guided = data.guided ? data.guided.bare ? "bare" : "plain" : "no";
    if (sources !== this.sourcesKey) {
      this.sourcesKey = sources;
      this.queries.reset(data.sources[0].query);
      this.open(data);
    } else {
      if (this.guided && turn !== this.guidedBy) this.follow(data.view);
      else if (!this.guided && asked !== this.askedKey && !this.written.has(asked)) this.look(data.view);
      this.queries.python(data.sources[0].query);
      this.panes.forEach((pane, i) => pane.name(data.sources[i].title));
    }
    this.askedKey = asked;
    this.queries.owed(data.due);
    this.guidedBy = turn;
    this.render();
  }

  /** The next place of a guided zoom: fly there. */
  follow(view) {
    this.link = view;
    this.takeLooks(view);
    if (this.plot && this.view) this.moveTo(this.aim(view), GUIDED);
  }

  takeTheme(palettes, style) {
    this.font = style.getPropertyValue("--st-font") || "sans-serif";
    const dark = isDark(style.getPropertyValue("--st-background-color").trim());
    const ink = makeInk(palettes[dark ? "dark" : "light"]);
    if (this.ink?.name !== ink.name) this.ink = ink;
    this.root.dataset.theme = ink.name;
    this.root.style.setProperty("--kv-reset", ink.reset);
    this.root.style.setProperty("--kv-mark", ink.reset_mark);
  }

  /** A pane for each run, in place of those that there are. */
  stand(sources) {
    for (const pane of this.panes) pane.close();
    this.panes = sources.map((source) => new Pane(this, source));
    this.parts.holder.replaceChildren(...this.panes.map((pane) => pane.figure));
    this.parts.holder.dataset.panes = this.panes.length;
  }

  /** Without a base there is neither it nor a difference, and entries become zero. */
  get alone() {
    return this.panes.some((pane) => pane.alone);
  }

  /** Changes that are stored in a code have levels. */
  get coded() {
    return this.panes.every((pane) => pane.source.coded);
  }

  lay(world) {
    this.world = world;
    this.shape = { rows: world.rows, cols: world.cols };
  }

  /** Show the view of a link: {at, r0, r1, c0, c1, row, col, layer, reset}. */
  look(view) {
    Object.assign(this, { link: view, touched: false });
    this.takeLooks(view);
    if (this.plot) this.view = this.aim(view);
    if (this.view) this.moved();
  }

  takeLooks({ layer, reset, range, at, row, col }) {
    const lacking = this.alone && (layer === "base" || layer === "difference");
    const unknown = (layer === "lost" && !this.lost) || (layer === "levels" && !this.coded);
    this.layer = lacking || unknown ? "kept" : layer;
    if (!this.single) this.spread = range !== "full";
    this.hide = reset !== "shown";
    this.selected = row === null ? null : one(at ?? this.panes[0].source.matrix, row, col);
    for (const pane of this.panes) leave(pane);
  }

  looks() {
    const range = this.single || this.spread ? "present" : "full";
    return { layer: this.layer, reset: this.hide ? "hidden" : "shown", range };
  }

  /** The layer that is drawn: what was lost is one number per matrix, from close it is told by what was kept. */
  get shown() {
    return this.layer === "lost" && this.numbered ? "kept" : this.layer;
  }

  resize() {
    const room = this.root.clientWidth;
    const narrow = room < NARROW;
    this.parts.holder.classList.toggle("kv-stacked", narrow);
    const width = this.panes[0]?.parts.stage.clientWidth;
    if (!width || !this.world) return;
    const height = this.heightFor(width, narrow);
    if (this.width === width && this.height === height && this.view) return;
    const whole = this.view && this.plot && this.atTop();
    Object.assign(this, { width, height, dpr: Math.min(3, window.devicePixelRatio || 1) });
    for (const { parts: { canvas }, context } of this.panes) {
      canvas.width = Math.round(width * this.dpr);
      canvas.height = Math.round(height * this.dpr);
      canvas.style.height = `${height}px`;
      context.fillStyle = this.ink.background; // black until the first picture has come, else
      context.fillRect(0, 0, canvas.width, canvas.height);
    }
    this.plot = plotOf(width, height);
    if (!this.view || !this.touched) this.view = this.aim(this.link);
    else this.view = whole ? this.home() : settle(this.view, this.plot, this.shape);
    this.render(true);
    this.moved();
  }

  // --- where we are -----------------------------------------------------------------------

  /** What the view holds: places in sight, the one in the middle, and how close we are. */
  find() {
    const { view, plot, world } = this;
    this.seen = inSight(world, view, plot);
    const centre = [view.x0 + plot.w / view.sx / 2, view.y0 + plot.h / view.sy / 2];
    this.focus = this.guidedPlace?.() ?? nearest(this.seen.length ? this.seen : world.places, ...centre).place;
    this.level = this.levelOf(this.focus);
    this.numbered = this.level === "matrix" || this.level === "window";
  }

  /** Where a matrix is drawn. */
  standOf(place) {
    return place;
  }

  /** The matrix in the middle as a map of its own. */
  front() {
    const { plot, focus, selected } = this;
    const shape = { rows: focus.m.rows, cols: focus.m.cols };
    const own = selected?.matrix === focus.m.name ? selected : null;
    return { view: viewOf(this.view, focus), plot, shape, selected: own };
  }

  // --- one weight -------------------------------------------------------------------------

  /** Select the next weight in a direction, or the one in the middle, and keep it in sight. */
  stepWeight(way) {
    const next = nextWeight(this.front(), way);
    if (!next.seen) this.show(next);
    this.select(next);
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

  /** Tell Python which matrix and weight are looked at. */
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
      if (!pane.matrices.size) continue;
      pane.prepare(this.seen);
      const wants = pane.wants();
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
    for (const pane of this.panes) pane.prepare(this.seen);
    const fresh = performance.now() - this.opened < PATIENCE;
    if (fresh && this.panes.every((pane) => pane.empty)) return; // what was there stays for a moment
    for (const pane of this.panes) {
      pane.draw();
      pane.parts.stage.classList.toggle("kv-busy", !pane.ready);
      pane.veil.say(this.queries.late, Boolean(this.queries.owing));
      this.note(pane);
    }
    const frame = this.panes[0].frames.get(this.focus.m.name);
    const exact = Boolean(frame?.level?.exact);
    mark(this.parts, { layer: this.layer, hide: this.hide, spread: this.spread, exact });
    if (frame) drawLegend(this.parts.legend, this.shown, frame.look, frame.cell, this.legendMore?.());
    this.drawn(frame);
    if (!this.said && this.panes.every((pane) => pane.ready)) this.say();
    this.panes[0].parts.canvas.dataset.drawMs = (performance.now() - began).toFixed(1);
  }

  /** What is shown, for tests and for whoever inspects the page. */
  note({ parts: { canvas }, ready: drawn, frames, source }) {
    const { focus, level, layer, selected, single } = this;
    const cell = (frames.get(focus.m.name)?.cell ?? []).join("x");
    const query = new URLSearchParams(source.query).toString();
    const ready = drawn && !this.queries.busy;
    const weight = selected ? [...(single ? [] : [selected.matrix]), selected.r0, selected.c0] : [];
    const state = { level, layer, ready, query, cell, matrix: focus.m.name, selected: weight.join() };
    Object.assign(canvas.dataset, state, this.spanOf(focus));
  }

  settled() {
    clearTimeout(this.settling);
    if (!this.plot || !this.view) return;
    this.find();
    const view = { ...this.here(), ...this.looks() };
    this.written.add(JSON.stringify(view));
    const usual = { layer: this.usual(), reset: "hidden", ...(this.single ? {} : { range: "present" }) };
    if (!this.host.get && !this.guided) address.write(view, usual, this.single ? [] : ["at"]);
    this.say();
  }

  /** What is in view, in words, and its weights as a table. */
  say() {
    const frame = this.panes[0].frames.get(this.focus.m.name);
    if (!frame) return;
    this.said = this.panes.every((one) => one.ready);
    this.parts.where.textContent = this.says(frame);
    readTable(this.parts.table, frame);
  }

  close() {
    for (const pane of this.panes) pane.close();
    this.queries.close();
    this.watch.disconnect();
    this.rest();
  }
}

const one = (matrix, row, col) => ({ matrix, row, col, r0: row, r1: row + 1, c0: col, c1: col + 1 });
