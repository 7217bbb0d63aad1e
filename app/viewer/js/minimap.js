// The whole matrix in a corner, with a frame around what is seen; click or drag to go there.

import { picture } from "./draw.js";

const LONG = 132;
const SHORT = 22;

export class Minimap {
  /** onMove(col, row): put that weight into the middle. */
  constructor(canvas, onMove) {
    this.canvas = canvas;
    const go = (event) => {
      const box = canvas.getBoundingClientRect();
      const { rows, cols } = this.shape;
      onMove(
        ((event.clientX - box.left) / box.width) * cols,
        ((event.clientY - box.top) / box.height) * rows,
      );
    };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      go(event);
    };
    canvas.onpointermove = (event) => {
      if (event.buttons) go(event);
    };
  }

  draw({ shape, seen, dpr, whole, layer, look, show }) {
    const { canvas } = this;
    this.shape = shape;
    canvas.hidden = !show || !whole;
    if (canvas.hidden) return;
    const scale = LONG / Math.max(shape.rows, shape.cols);
    const w = Math.max(SHORT, shape.cols * scale);
    const h = Math.max(SHORT, shape.rows * scale);
    canvas.width = Math.round(w * dpr);
    canvas.height = Math.round(h * dpr);
    canvas.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
    const context = canvas.getContext("2d");
    context.scale(dpr, dpr);
    context.imageSmoothingEnabled = true;
    context.drawImage(picture(whole, layer, look), 0, 0, w, h);
    const x = (seen.c0 / shape.cols) * w;
    const y = (seen.r0 / shape.rows) * h;
    const wide = Math.max(4, ((seen.c1 - seen.c0) / shape.cols) * w);
    const high = Math.max(4, ((seen.r1 - seen.r0) / shape.rows) * h);
    context.fillStyle = look.ink.background;
    context.globalAlpha = 0.45; // what is not seen steps back
    context.beginPath();
    context.rect(0, 0, w, h);
    context.rect(x, y, wide, high);
    context.fill("evenodd");
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeStyle = look.ink.text;
    context.strokeRect(Math.min(x, w - wide) + 1, Math.min(y, h - high) + 1, wide - 2, high - 2);
  }
}
