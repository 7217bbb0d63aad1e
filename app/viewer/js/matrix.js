// The map of one matrix by itself: all of it, a window of it, one weight.

import { drawTitles, heightFor } from "./draw.js";
import { count, mapLabel, span } from "./format.js";
import { roughOf } from "./frames.js";
import { around, closest, fit, fitScale, isWhole, showing, stretchOf, visible } from "./geometry.js";
import { cellSays } from "./legend.js";
import { WeightMap } from "./map.js";
import { Minimap } from "./minimap.js";
import { offer } from "./toolbar.js";
import { alone } from "./world.js";

const WORDS = {
  fit: "Whole matrix (0)",
  keys: "Wheel or + − zoom, drag or arrows move, click selects, Shift + arrows step by weight, Esc goes up",
};

export class MatrixMap extends WeightMap {
  constructor(root) {
    super(root, WORDS);
    Object.assign(this, { single: true, exactFrom: 0 });
  }

  open({ sources: [source], view }) {
    const linked = view.r0 !== null || view.row !== null;
    const link = linked || !this.view ? view : { ...view, ...this.looks() };
    const world = alone(source);
    const stays = !linked && this.view && this.shape.rows === world.rows && this.shape.cols === world.cols;
    this.lay(world);
    if (this.panes.length) this.panes[0].take(source);
    else {
      this.stand([source]);
      const go = (col, row) => this.show({ row: row - 0.5, col: col - 0.5 });
      this.minimap = new Minimap(this.panes[0].parts.small, go);
    }
    Object.assign(this, { told: null, opened: performance.now() });
    offer(this.parts, this, { beside: Boolean(source.query.other) });
    if (stays) { // the same window of the next block
      this.touched = true;
      this.takeLooks(link);
      this.moved();
    } else {
      this.view = this.plot = null;
      this.look(link);
      this.resize();
    }
  }

  labelOf(title) {
    return mapLabel(title, this.shape);
  }

  heightFor(width) {
    return heightFor(width, this.shape);
  }

  // --- where we are -----------------------------------------------------------------------

  least() {
    return fitScale(this.plot, this.shape);
  }

  home() {
    return fit(this.plot, this.shape);
  }

  atTop() {
    return isWhole(this.view, this.plot, this.shape);
  }

  levelOf() {
    return this.atTop() ? "matrix" : "window";
  }

  spanOf() {
    return visible(this.view, this.plot, this.shape);
  }

  aim(link) {
    if (link.r0 !== null) return showing(link, this.plot, this.shape);
    return link.row === null ? this.home() : around(closest(), link, this.plot, this.shape);
  }

  here() {
    const { link, selected } = this;
    const none = { at: null, r0: null, r1: null, c0: null, c1: null };
    const asked = !this.touched && link.r0 !== null;
    const { r0, r1, c0, c1 } = asked ? link : this.atTop() ? none : this.spanOf();
    return { at: null, r0, r1, c0, c1, row: selected?.r0 ?? null, col: selected?.c0 ?? null };
  }

  /** The layer that the page shows where the address says nothing. */
  usual() {
    if (this.panes[0].source.query.other) return "overlap";
    return this.coded ? "levels" : "kept";
  }

  // --- moving -----------------------------------------------------------------------------

  up() {
    if (this.atTop()) this.select(null);
    else this.zoomMiddle(1 / 4);
  }

  enter() {
    this.stepWeight([0, 0]);
  }

  step(way) {
    this.stepWeight(way);
  }

  // --- drawing and saying -----------------------------------------------------------------

  edges(context, edge, [frame], area) {
    drawTitles(context, frame, area);
  }

  drawn(frame) {
    this.minimap.draw({ ...frame, whole: roughOf(this.panes[0], frame.m).window, show: !this.atTop() });
  }

  says(frame) {
    const { rows, cols } = this.shape;
    const { r0, r1, c0, c1 } = this.spanOf();
    const stretched = stretchOf(this.view);
    const where = this.atTop()
      ? `All ${count(rows)} × ${count(cols)} weights${stretched ? `, drawn ${stretched}` : ""}`
      : `${span("Row", r0, r1)} of ${count(rows)}, ${span("column", c0, c1)} of ${count(cols)}`;
    return this.panes[0].ready ? `${where} · ${cellSays(this.layer, frame.cell, this.coded)}` : where;
  }

  fileName({ layer, seen: { r0, r1, c0, c1 } }) {
    return `${this.focus.m.name}.${layer}.r${r0}-${r1}.c${c0}-${c1}.png`;
  }
}
