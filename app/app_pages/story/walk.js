// How a row was chosen, entry by entry: a canvas, a slider, play and step.

const SECONDS = 12; // that playing takes, however long the row is
const CALM = 10; // jumps where a person asked for less motion
const LANES = 64; // pixels of the two lanes below
const INSET = 12; // pixels beside the least and the largest value
const NAME = 18; // pixels for the name of the weight that is looked at
const PAD = { left: 70, right: 14, top: 12, bottom: 34 };

const clip = (value, low, high) => Math.min(Math.max(value, low), high);
const isDark = (color) => {
  const [red, green, blue] = (color.match(/[\da-f]{2}/gi) ?? ["ff", "ff", "ff"])
    .map((part) => parseInt(part, 16));
  return 0.3 * red + 0.59 * green + 0.11 * blue < 128;
};
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const short = (value) => Number(value.toPrecision(3)).toString().replace("-", "\u2212");

/** What is said of a step; plain text. */
export function sentence(walk, step) {
  const { order, values, grid, height, kind } = walk;
  const all = order.length;
  if (step === 0) return `Nothing is kept yet: ${values.length} weights are free.`;
  if (step >= all) {
    return `Done: ${all} of ${values.length} weights are kept, exactly as the run stores them.`;
  }
  const value = short(values[order[step - 1]]);
  const start = `${step} of ${all}: `;
  if (kind === "grid") {
    return `${start}the grid point at ${short(grid[step - 1])} takes the nearest free value, ${value}.`;
  }
  if (kind === "listed") return `${start}the value ${value} is kept.`;
  const what = kind === "density" ? "density" : "score";
  return `${start}${what} ${short(height[order[step - 1]])}, the next highest; the value ${value} is kept.`;
}

/** Which entries are kept after a step: the last one is the stored mask. */
export function taken(walk, step) {
  const mask = new Uint8Array(walk.values.length);
  for (let i = 0; i < step; i += 1) mask[walk.order[i]] = 1;
  return mask;
}

class Player {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.slider = root.querySelector("input");
    this.said = root.querySelector(".said");
    this.play = root.querySelector(".play");
    this.step = 0;
    this.timer = 0;
    root.querySelector(".back").onclick = () => this.pausedAt(this.step - 1);
    root.querySelector(".on").onclick = () => this.pausedAt(this.step + 1);
    this.play.onclick = () => (this.playing ? this.pause() : this.start());
    this.slider.oninput = () => this.pausedAt(Number(this.slider.value));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
  }

  /** Show a walk; the same one again stays where it is. */
  show(walk) {
    const fresh = !this.walk || this.walk.id !== walk.id;
    this.walk = walk;
    if (fresh) {
      this.pause();
      this.slider.max = walk.order.length;
      this.canvas.setAttribute("aria-label", walk.alt);
      this.go(walk.focus?.step ?? 0);
    } else {
      this.draw();
    }
  }

  get playing() { return this.timer !== 0; }

  start() {
    const all = this.walk.order.length;
    if (this.step >= all) this.go(0);
    this.said.removeAttribute("role"); // a reader is not told of every frame
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const from = performance.now() - (this.step / all) * SECONDS * 1000;
    const tick = (now) => {
      const share = clip((now - from) / (SECONDS * 1000), 0, 1);
      const place = calm ? Math.floor(share * CALM) / CALM : share;
      this.go(Math.max(this.step, Math.floor(place * all)));
      if (share >= 1) this.pause();
      else this.timer = requestAnimationFrame(tick);
    };
    this.timer = requestAnimationFrame(tick);
    this.label("Pause");
  }

  pause() {
    cancelAnimationFrame(this.timer);
    this.timer = 0;
    this.said.setAttribute("role", "status");
    this.label("Play");
  }

  pausedAt(step) { this.pause(); this.go(step); }

  label(text) { this.play.textContent = text; }

  go(step) {
    this.step = clip(step, 0, this.walk.order.length);
    this.slider.value = this.step;
    const text = sentence(this.walk, this.step);
    this.slider.setAttribute("aria-valuetext", text);
    this.said.textContent = text;
    this.draw();
  }

  draw() {
    const { canvas, walk } = this;
    if (!walk || !canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const dark = isDark(style.getPropertyValue("--st-background-color").trim());
    new Picture(pen, width, height, walk, walk.palettes[dark ? "dark" : "light"], style)
      .draw(this.step);
  }

  end() { this.pause(); this.observer.disconnect(); }
}

class Picture {
  constructor(pen, width, height, walk, ink, style) {
    Object.assign(this, { pen, width, height, walk, ink });
    this.font = `${style.fontSize} ${style.fontFamily}`;
    this.size = parseFloat(style.fontSize);
    const wide = walk.curve_x.length ? walk.curve_x : walk.values;
    const [low, high] = walk.focus?.ends ?? [least(wide), most(wide)];
    const span = high - low || 1;
    const [start, room] = [PAD.left + INSET, width - PAD.left - PAD.right - 2 * INSET];
    this.x = (value) => start + ((value - low) / span) * room;
    this.ends = [low, high];
    const bottom = PAD.bottom + (walk.focus ? NAME : 0);
    this.floor = height - bottom - LANES - 14; // of the upper picture
    const tall = walk.kind === "ranked" ? walk.height : walk.curve_y;
    const inside = (at) => walk.curve_x[at] >= low && walk.curve_x[at] <= high;
    const seen = walk.focus?.ends && tall === walk.curve_y ? tall.filter((_, at) => inside(at)) : tall;
    const top = 1.08 * Math.max(most(seen), most(walk.focus?.ends ? [] : walk.grid_density), 0) || 1;
    this.y = (value) => this.floor - (value / top) * (this.floor - PAD.top);
    this.lane = { kept: height - bottom - LANES, gone: height - bottom - LANES / 2 };
  }

  draw(step) {
    const mask = taken(this.walk, step);
    this.words(step);
    const { pen, walk } = this;
    pen.save();
    pen.beginPath();
    pen.rect(PAD.left - 8, 0, this.width - PAD.left - PAD.right + 16, this.height);
    pen.clip();
    if (walk.kind !== "listed") this.upper(step, mask);
    this.lanes(mask);
    if (step > 0 && (step < walk.order.length || walk.kind === "grid" && walk.focus)) this.current(step);
    if (walk.focus) this.mark(mask);
    pen.restore();
  }

  /** The weight that is looked at: a ring around it in its lane, and where it ranks above. */
  mark(mask) {
    const { pen, ink, walk } = this;
    const { column } = walk.focus;
    const x = this.x(walk.values[column]);
    const kept = mask[column] === 1;
    const y = (kept ? this.lane.kept : this.lane.gone) + LANES / 4;
    pen.strokeStyle = ink.text;
    pen.lineWidth = 2;
    this.ring(x, y, 12);
    if (walk.height.length) this.ring(x, this.y(walk.height[column]), 8);
    pen.lineWidth = 1;
    pen.font = `600 ${this.font}`;
    pen.fillStyle = ink.text;
    pen.textAlign = "center";
    const half = pen.measureText("this weight").width / 2;
    const at = clip(x, PAD.left + half - 6, this.width - PAD.right - half + 6);
    pen.fillText("this weight", at, this.lane.gone + LANES / 2 + NAME - 4);
    if (kept) this.line(x, y + 12, x, this.lane.gone + LANES / 2 + 2);
    pen.font = this.font;
  }

  ring(x, y, reach) {
    this.pen.beginPath();
    this.pen.arc(x, y, reach, 0, 2 * Math.PI);
    this.pen.stroke();
  }

  words(step) {
    const { pen, ink, walk } = this;
    pen.font = this.font;
    pen.fillStyle = ink.muted;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.fillText("kept", PAD.left - 8, this.lane.kept + LANES / 4);
    pen.fillText(step < walk.order.length ? "free" : walk.gone, PAD.left - 8, this.lane.gone + LANES / 4);
    pen.textBaseline = "alphabetic";
    this.ends.forEach((end, i) => {
      pen.textAlign = i ? "right" : "left";
      pen.fillText(short(end), this.x(end), this.height - 8);
    });
    this.what();
    if (walk.kind === "listed") return;
    pen.save();
    pen.translate(14, (this.floor + PAD.top) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(walk.what, 0, 4);
    pen.restore();
  }

  /** What the values are, between the two ends, in as many words as there is room for. */
  what() {
    const { pen, walk } = this;
    const [left, right] = this.ends.map((end, i) => this.x(end) + (i ? -1 : 1) * (pen.measureText(short(end)).width + 8));
    const words = [...(walk.focus?.ends ? ["value of the weight, from close"] : []), "value of the weight", "value"];
    const said = words.find((text) => pen.measureText(text).width <= right - left) ?? "";
    pen.textAlign = "center";
    pen.fillText(said, (left + right) / 2, this.height - 8);
  }

  upper(step, mask) {
    const { pen, ink, walk } = this;
    pen.strokeStyle = ink.border;
    this.line(PAD.left, this.floor, this.width - PAD.right, this.floor);
    if (walk.curve_x.length) this.curve();
    if (walk.kind === "grid") {
      for (let i = 0; i < walk.grid.length; i += 1) {
        pen.fillStyle = i < step ? ink.kept : ink.reset_mark;
        const reach = (i < step ? 4 : 2.5) + (walk.focus?.ends ? 2 : 0);
        this.diamond(this.x(walk.grid[i]), this.y(walk.grid_density[i]), reach);
      }
      return;
    }
    const reach = walk.values.length > 600 ? 1.5 : 3;
    walk.values.forEach((value, i) => {
      pen.beginPath();
      pen.arc(this.x(value), this.y(walk.height[i]), reach, 0, 2 * Math.PI);
      pen.fillStyle = ink.kept;
      pen.strokeStyle = ink.reset_mark;
      if (mask[i]) pen.fill(); else pen.stroke();
    });
    if (step === 0) return;
    const level = this.y(walk.height[walk.order[step - 1]]);
    pen.strokeStyle = ink.text;
    pen.setLineDash([5, 4]);
    this.line(PAD.left, level, this.width - PAD.right, level);
    pen.setLineDash([]);
  }

  curve() {
    const { pen, ink, walk } = this;
    pen.beginPath();
    walk.curve_x.forEach((x, i) => pen.lineTo(this.x(x), this.y(walk.curve_y[i])));
    pen.strokeStyle = ink.primary;
    pen.lineWidth = 2;
    pen.stroke();
    pen.lineWidth = 1;
  }

  lanes(mask) {
    const { pen, ink, walk } = this;
    pen.lineWidth = walk.focus?.ends ? 2.5 : walk.values.length > 600 ? 1 : 1.6;
    for (const [side, top, color] of [
      [1, this.lane.kept, ink.kept], [0, this.lane.gone, ink.reset_mark],
    ]) {
      pen.strokeStyle = color;
      pen.beginPath();
      walk.values.forEach((value, i) => {
        if (mask[i] !== side) return;
        pen.moveTo(this.x(value), top + 4);
        pen.lineTo(this.x(value), top + LANES / 2 - 4);
      });
      pen.stroke();
    }
    pen.lineWidth = 1;
  }

  current(step) {
    const { pen, ink, walk } = this;
    const to = this.x(walk.values[walk.order[step - 1]]);
    pen.strokeStyle = ink.text;
    pen.fillStyle = ink.text;
    pen.lineWidth = 1.5;
    if (walk.kind === "grid") {
      const from = this.x(walk.grid[step - 1]);
      const top = this.y(walk.grid_density[step - 1]);
      this.diamond(from, top, 6);
      this.line(from, top + 6, from, this.floor);
      this.line(from, this.floor, to, this.lane.kept + 2);
    } else if (walk.kind !== "listed") {
      this.line(to, this.y(walk.height[walk.order[step - 1]]), to, this.lane.kept + 2);
    }
    pen.lineWidth = 3;
    this.line(to, this.lane.kept + 2, to, this.lane.kept + LANES / 2 - 2);
    pen.lineWidth = 1;
  }

  line(x0, y0, x1, y1) {
    this.pen.beginPath();
    this.pen.moveTo(x0, y0);
    this.pen.lineTo(x1, y1);
    this.pen.stroke();
  }

  diamond(x, y, reach) {
    const { pen } = this;
    pen.beginPath();
    pen.moveTo(x, y - reach);
    pen.lineTo(x + reach, y);
    pen.lineTo(x, y + reach);
    pen.lineTo(x - reach, y);
    pen.fill();
  }
}

const players = new WeakMap();

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".walk");
  let player = players.get(root);
  if (!player) {
    player = new Player(root);
    players.set(root, player);
  }
  player.show(data.walk);
  return () => { player.end(); players.delete(root); };
}
