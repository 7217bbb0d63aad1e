// The map of a whole model: one plane from all blocks and roles down to one weight, for one run or
// for two side by side that move in step.

import { drawCrumbs } from "./crumbs.js";
import { settle } from "./geometry.js";
import { drawLabels } from "./labels.js";
import { WeightMap } from "./map.js";
import { bandView, guidedView, linkOf, matrixView, seenOf, viewOfLink } from "./map_link.js";
import { aloneAddress, crumbsOf, legendMore, mapAddress, matrixSays, viewSays } from "./map_words.js";
import { make, offer } from "./toolbar.js";
import { beside, fitted, layOut, viewOf, wholeWorld, worldFit, worldView } from "./world.js";

const BIG = 0.45; // of the plot: from here a matrix is what is looked at
const EXACT_FROM = 6; // pixels of a weight: nearer by, all values of single weights are asked for
const FLIGHT = 280; // ms from level to level
const WORDS = {
  fit: "Whole model (0)",
  keys: "Wheel, pinch or + − zoom; drag or arrows move; click opens; Shift + arrows step from matrix to " +
    "matrix or weight to weight; Page Up and Down go through all matrices; Enter goes in, Esc goes up",
};

export class ModelMap extends WeightMap {
  constructor(root) {
    super(root, WORDS);
    this.exactFrom = EXACT_FROM;
    this.crumbs = make("nav", { class: "kv-crumbs", "aria-label": "Where you are in the model" });
    this.parts.holder.before(this.crumbs);
  }

  open({ sources, view }) {
    Object.assign(this, { ranges: null, world: null, view: null, plot: null, seen: null, link: view });
    this.stand(sources);
    offer(this.parts, this, { lost: this.lost });
    this.takeLooks(view);
    for (const pane of this.panes) pane.load();
  }

  /** An atlas has come: that of the first run lays out the plane. */
  loaded(pane, { matrices, roles }) {
    this.ranges = null;
    if (pane === this.panes[0]) {
      this.lay(layOut(matrices, roles));
      this.resize();
    }
    if (this.view) this.moved();
  }

  labelOf(title) {
    return `Map of ${title}. ${WORDS.keys}`;
  }

  heightFor(width, narrow) {
    if (this.guided) return Math.round(Math.min(640, Math.max(300, window.innerHeight * 0.38)));
    const many = this.panes.length > 1 && narrow ? 0.42 : 0.66;
    return Math.round(Math.min(820, Math.max(320, window.innerHeight * many)));
  }

  // --- where we are -----------------------------------------------------------------------

  least() {
    return worldFit(this.plot, this.world);
  }

  home() {
    return wholeWorld(this.plot, this.world);
  }

  atTop() {
    const { view } = this;
    const least = this.least();
    return view.sx < least.sx * 1.01 && view.sy < least.sy * 1.01;
  }

  levelOf(place) {
    const { view, plot } = this;
    if (this.atTop()) return "model";
    const big = Math.max((place.w * view.sx) / plot.w, (place.h * view.sy) / plot.h) >= BIG;
    const { r0, r1, c0, c1 } = this.spanOf(place);
    const { rows, cols } = place.m;
    const near = plot.h / view.sy < place.band.h * 2.5;
    if (big && near) {
      const all = r1 - r0 >= rows && c1 - c0 >= cols;
      const close = this.guided?.near === "block" ? 0.5 : 0.98; // a guided zoom shows a block without what is outside
      const wide = plot.w / view.sx < this.world.cols * close;
      if (!all) return "window";
      if (wide) return "matrix";
    }
    return near ? "block" : "part";
  }

  spanOf(place) {
    return seenOf(this, place);
  }

  /** From far the pictures of matrices have their proportions; those of one colour fill their cell. */
  standOf(place) {
    return this.numbered || this.shown === "lost" ? place : fitted(place, this.view);
  }

  aim(link) {
    return this.guided ? guidedView(this.guided, this) : viewOfLink(link, this);
  }

  /** The matrix or the row that a guided zoom is at. */
  get guideMark() {
    const { near, matrix, row } = this.guided ?? {};
    const place = ["matrix", "row"].includes(near) && this.world.byName.get(matrix);
    if (!place) return null;
    const [r0, r1] = near === "row" ? [row, row + 1] : [0, place.m.rows];
    return { matrix, r0, r1, c0: 0, c1: place.m.cols };
  }

  /** The matrix that a guided zoom is at, as long as it is in sight: at the model's edge it is not in the middle. */
  guidedPlace() {
    const { near, matrix } = this.guided ?? {};
    if (!matrix || near === "model") return null;
    return this.seen.find((place) => place.m.name === matrix) ?? null;
  }

  here() {
    const { at, r0, r1, c0, c1 } = this.link;
    return { ...linkOf(this), ...(this.touched ? {} : { at, r0, r1, c0, c1 }) };
  }

  usual() {
    return this.usualLayer;
  }

  // --- moving -----------------------------------------------------------------------------

  top() {
    this.selected = null;
    this.moveTo(this.home(), FLIGHT);
  }

  go(place) {
    this.moveTo(matrixView(place, this), FLIGHT);
  }

  up() {
    if (this.selected && this.numbered) this.select(null);
    else if (this.level === "window") this.go(this.focus);
    else if (this.level === "matrix") this.moveTo(bandView(this.focus.band, this), FLIGHT);
    else this.top();
  }

  enter() {
    const { exact } = this.panes[0].frames.get(this.focus.m.name) ?? { exact: [] };
    if (!this.numbered) this.go(this.cursor ?? this.focus);
    else if (exact.length) this.stepWeight([0, 0]);
    else this.zoomMiddle(4);
  }

  step(way) {
    if (this.numbered && this.front().selected) this.stepWeight(way);
    else this.visit(beside(this.world, this.cursor ?? this.focus, way));
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

  settled() {
    super.settled();
    if (this.plot && this.view && !this.guided) this.tell();
  }

  // --- drawing and saying -----------------------------------------------------------------

  edges(context, edge) {
    drawLabels(context, edge, this.world, this.numbered);
  }

  drawn() {
    const there = this.numbered && !this.host.get ? aloneAddress(this) : null;
    drawCrumbs(this.crumbs, crumbsOf(this), this.guided ? mapAddress(this) : there);
  }

  legendMore() {
    return legendMore(this);
  }

  says(frame) {
    return this.cursor ? matrixSays(this, this.cursor) : viewSays(this, frame);
  }

  fileName() {
    return `${this.panes[0].source.run}.map.png`;
  }
}
