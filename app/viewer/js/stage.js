// How a map moves: it draws, asks for what is missing, then writes the address.
// A map has view, plot, shape, world and panes, and the methods draw, request, settled, least and home.

import { leave } from "./controls.js";
import { between, pan, settle, toward } from "./geometry.js";
import { closestOf, nearest, pulled, viewOf, worldView } from "./world.js";

const SETTLED = 220; // ms without movement until the address is written

export class Stage {
  /** Something about the view changed. */
  moved() {
    this.render();
    this.request();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settled(), SETTLED);
  }

  change(fields) {
    Object.assign(this, fields);
    this.moved();
  }

  render(now = false) {
    if (now) this.draw();
    else this.drawing ??= requestAnimationFrame(() => this.draw());
  }

  moveBy(view) {
    clearTimeout(this.clicking);
    cancelAnimationFrame(this.flight);
    Object.assign(this, { touched: true, cursor: null });
    for (const pane of this.panes) leave(pane); // a pointer that moves it comes back at once
    this.view = view;
    this.moved();
  }

  /** Fly to a view; at once for those who asked their system for less motion. */
  moveTo(target, took = 190) {
    const from = this.view;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still) return this.moveBy(target);
    this.moveBy(from);
    const began = performance.now();
    const frame = (now) => {
      const part = Math.min(1, Math.max(0, (now - began) / took));
      this.view = part === 1 ? target : between(from, target, 1 - (1 - part) ** 3);
      this.moved();
      if (part < 1) this.flight = requestAnimationFrame(frame);
    };
    this.flight = requestAnimationFrame(frame);
    return undefined;
  }

  zoomBy(factor, px, py) {
    this.moveBy(this.zoomed(factor, px, py));
  }

  /** The view closer to the matrix at a point, or on the way back to the least scales. */
  zoomed(factor, px, py) {
    const { view, plot, world } = this;
    if (factor <= 1) return settle(toward(view, this.least(), factor, px, py), plot, this.shape);
    const [x, y] = [view.x0 + px / view.sx, view.y0 + py / view.sy];
    const { place } = nearest(world.places, x, y);
    const next = toward(view, closestOf(place), factor, px, py);
    const pull = pulled(place, x, y); // a pointer between matrices: no way ends in nothing
    return settle({ ...next, x0: next.x0 + pull.x, y0: next.y0 + pull.y }, plot, this.shape);
  }

  zoomAt(factor, px, py) {
    this.moveTo(this.zoomed(factor, px, py));
  }

  zoomMiddle(factor) {
    this.zoomAt(factor, this.plot.w / 2, this.plot.h / 2);
  }

  panBy(dx, dy) {
    this.moveBy(pan(this.view, this.plot, this.shape, dx, dy));
  }

  top() {
    this.moveTo(this.home());
  }

  /** Put a weight into the middle. */
  show({ row, col }, place = this.focus) {
    const { plot } = this;
    const view = viewOf(this.view, place);
    const own = { ...view, x0: col + 0.5 - plot.w / view.sx / 2, y0: row + 0.5 - plot.h / view.sy / 2 };
    this.moveBy(settle(worldView(own, place), plot, this.shape));
  }

  rest() {
    clearTimeout(this.clicking);
    clearTimeout(this.settling);
    clearTimeout(this.waiting);
    cancelAnimationFrame(this.drawing);
    cancelAnimationFrame(this.flight);
  }
}
