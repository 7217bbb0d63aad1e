// What every map does when it is moved: draw, ask for what is missing, then write the address.
// A map has view, plot and shape, and the methods draw, request, settled and zoomed.

import { between, pan } from "./geometry.js";

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
    this.touched = true;
    cancelAnimationFrame(this.flight);
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

  zoomAt(factor, px, py) {
    this.moveTo(this.zoomed(factor, px, py));
  }

  zoomMiddle(factor) {
    this.zoomAt(factor, this.plot.w / 2, this.plot.h / 2);
  }

  panBy(dx, dy) {
    this.moveBy(pan(this.view, this.plot, this.shape, dx, dy));
  }

  rest() {
    clearTimeout(this.settling);
    clearTimeout(this.waiting);
    cancelAnimationFrame(this.drawing);
    cancelAnimationFrame(this.flight);
  }
}
