// Sliders that set how much a run would keep. Each move goes to the map at once (an event that
// `viewer/js/query.js` hears) and to the server for its totals; Python is told when they rest.

const REST = 450; // ms without a move until Python is told
const STEP = 4; // steps of a balance slider that double its factor
const SPAN = 12; // steps to each side
const FINE = 8; // steps of the slider of bits that double them
const MOVED = "kenviz:query";
const LATE = ".st-key-late-title, .st-key-late-measured"; // on the page: of the setting before, until Python answers

const sorted = (text) => text.split("~").sort().join("~");
const clean = (number) => Number(number.toPrecision(6));
const factorOf = (step) => clean(Number((2 ** (step / STEP)).toPrecision(3)));
const stepOf = (factor) => Math.round(Math.log2(factor) * STEP);
const percent = (share) => `${(100 * share).toFixed(1).replace(/\.0$/, "")} %`;
const count = (number) => number.toLocaleString("en-US");

function size(bytes) {
  for (const [step, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (bytes >= step) return `${Number((bytes / step).toPrecision(3))} ${unit}`;
  }
  return `${bytes} bytes`;
}

/** A setting as `kencore.live.setting.Setting.text` writes it, but for the order of its parts. */
export function textOf({ keep, k, bits, rule, slope, spread, balance }) {
  const parts = [bits !== null ? `bits${clean(bits)}` : k === null ? String(clean(keep)) : `k${k}`];
  if (rule) parts.push(`rule*${rule}`);
  if (slope !== null) parts.push(`slope*${clean(slope)}`);
  if (spread !== null) parts.push(`spread*${clean(spread)}`);
  const names = Object.keys(balance).filter((name) => balance[name] !== 1).sort();
  return [...parts, ...names.map((name) => `${name}*${clean(balance[name])}`)].join("~");
}

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

class Strip {
  constructor(root) {
    this.root = root;
    this.kind = null; // what the controls were built for
    this.sent = null; // told to Python, which has not answered yet
    this.rest = 0;
    root.addEventListener("pointerenter", () => this.warm());
    root.addEventListener("focusin", () => this.warm());
    this.back = () => this.expectNothing();
    window.addEventListener("popstate", this.back);
  }

  /**
   * Back or forward: the address is right from now on, whatever was still on its way to Python. Where Python had not
   * answered yet it will say again what it said last, of which the browser does not tell: that is taken over here.
   */
  expectNothing() {
    clearTimeout(this.rest);
    this.rest = 0;
    this.sent = null;
    this.follow();
  }

  /** Take over what Python said last, where no hand is on the sliders; whether that was something else. */
  follow() {
    const { data } = this;
    if (this.rest || data.text === textOf(this.now)) return false;
    this.now = { ...data.setting, balance: { ...data.setting.balance } };
    this.moved(false);
    return true;
  }

  /** A hand nears the sliders: have the server rank the open matrix before the first move. */
  warm() {
    const { data } = this;
    const about = `${data.run}|${data.matrix}|${this.now.rule}`;
    if (!data.live || this.warmed === about) return;
    this.warmed = about;
    this.ask();
  }

  update({ data, setStateValue }) {
    this.data = data;
    this.tell = (text) => setStateValue("setting", text);
    const kind = JSON.stringify([data.run, data.groups, data.rules, data.slopes, data.spreads, data.bits]);
    if (kind !== this.kind) {
      this.kind = kind;
      this.sent = null;
      this.now = { ...data.setting, balance: { ...data.setting.balance } };
      this.build();
      this.show();
      this.ask();
    } else if (this.sent !== null) {
      if (data.text === this.sent) this.sent = null; // its echo
    } else if (!this.follow() && data.matrix !== this.matrix) this.ask(); // followed: back, or a point clicked
    this.matrix = data.matrix;
    this.mark();
  }

  /** What the page says beside the sliders is of the setting before until Python has answered. */
  mark() {
    const late = sorted(textOf(this.now)) !== sorted(this.data.text);
    for (const part of document.querySelectorAll(LATE)) part.toggleAttribute("data-late", late);
  }

  // --- controls ----------------------------------------------------------------------------

  build() {
    const { data } = this;
    this.controls = { balance: new Map() };
    const main = make("div", { class: "main" }, ...(data.bits ? this.bits() : this.keep()), ...this.rule());
    this.totals = make("p", { class: "totals", role: "status" });
    const lambdas = ["slope", "spread"].filter((name) => data[`${name}s`].length);
    const parts = [main, ...lambdas.map((name) => this.lambda(name)), this.totals];
    if (data.balance) parts.push(this.balance());
    this.root.replaceChildren(...parts);
  }

  keep() {
    const { data } = this;
    const range = make("input", { type: "range", id: "keep", class: "wide" });
    const box = make("input", { type: "number", id: "keep-number", "aria-label": "Keep, as a number" });
    const unit = make(
      "select", { "aria-label": "Unit of what is kept" },
      make("option", { value: "share" }, data.words.share),
      make("option", { value: "k" }, data.words.k),
    );
    unit.hidden = !data.most;
    const set = (value) => {
      const number = Number(value);
      if (!(number > 0)) return;
      if (this.now.k === null) this.now.keep = clean(Math.min(number, 100) / 100);
      else this.now.k = Math.max(1, Math.min(Math.round(number), data.most));
      this.moved(true, box);
    };
    range.oninput = () => set(range.value);
    box.oninput = () => set(box.value);
    box.onchange = () => this.show();
    unit.onchange = () => {
      const { most } = this.data;
      // a first guess that a person moves on from; what is kept is what kencore/allocate/budget.py says
      if (unit.value === "k") Object.assign(this.now, { k: Math.max(1, Math.round(this.now.keep * most)), keep: null });
      else Object.assign(this.now, { keep: clean(this.now.k / most), k: null });
      this.moved(true);
    };
    Object.assign(this.controls, { range, box, unit });
    return [make("label", { for: "keep" }, "Keep"), range, box, unit];
  }

  /** Bits per weight: as far to the right for twice as many, wherever the slider stands. */
  bits() {
    const [low, high] = this.data.bits;
    const range = make("input", {
      type: "range", id: "keep", class: "wide", step: 1, min: Math.ceil(FINE * Math.log2(low)), max: FINE * Math.log2(high),
    });
    const box = make("input", { type: "number", id: "keep-number", "aria-label": "Size, as a number", step: "any" });
    const set = (value) => {
      if (!(value > 0)) return;
      this.now.bits = clean(Math.min(value, high));
      this.moved(true, box);
    };
    range.oninput = () => set(Number((2 ** (Number(range.value) / FINE)).toPrecision(2)));
    box.oninput = () => set(Number(box.value));
    box.onchange = () => this.show();
    Object.assign(this.controls, { range, box });
    return [make("label", { for: "keep" }, "Size"), range, box, make("span", {}, this.data.words.bits)];
  }

  rule() {
    const { rules } = this.data;
    if (!rules.length) return [];
    const options = rules.map(([value, label]) => make("option", { value }, label));
    const choice = make("select", { id: "rule" }, ...options);
    choice.onchange = () => {
      this.now.rule = choice.value === this.data.own_rule ? null : choice.value;
      this.moved(true);
    };
    this.controls.rule = choice;
    return [make("span", { class: "pair" }, make("label", { for: "rule" }, "Rule"), choice)];
  }

  lambda(name) {
    const values = this.data[`${name}s`];
    const range = make("input", { type: "range", id: name, min: 0, max: values.length - 1, class: "wide" });
    const said = make("output", { for: name });
    range.oninput = () => {
      this.now[name] = values[Number(range.value)].value;
      this.moved(true);
    };
    this.controls[name] = { range, said, values };
    return make("div", { class: "main" }, make("label", { for: name }, this.data.words[name]), range, said);
  }

  balance() {
    const { groups } = this.data;
    const reset = make("button", { type: "button" }, "Reset balance");
    reset.onclick = () => {
      this.now.balance = {};
      this.moved(true);
    };
    this.controls.reset = reset;
    this.held = make("p", { class: "held" });
    const parts = groups.map(({ title, names }) =>
      make("fieldset", {}, make("legend", {}, title), make("div", { class: "factors" }, ...names.map((n) => this.slider(n)))),
    );
    const open = Object.keys(this.now.balance).length > 0 || this.data.open;
    const summary = make("summary", {}, "Balance: more for a role or block, less for the rest");
    const box = make("details", { open }, summary, ...parts, make("div", { class: "foot" }, reset, this.held));
    return box;
  }

  slider([name, short, label]) {
    const range = make("input", {
      type: "range", min: -SPAN, max: SPAN, step: 1, orient: "vertical", "aria-label": label, title: label,
    });
    const said = make("span", { class: "share", "aria-hidden": "true" });
    range.oninput = () => {
      const factor = factorOf(Number(range.value));
      if (factor === 1) delete this.now.balance[name];
      else this.now.balance[name] = factor;
      this.moved(true);
    };
    range.ondblclick = () => {
      delete this.now.balance[name];
      this.moved(true);
    };
    this.controls.balance.set(name, { range, said, label });
    return make("div", { class: "factor" }, make("span", { class: "name", "aria-hidden": "true" }, short), range, said);
  }

  // --- moves -------------------------------------------------------------------------------

  /** Something moved: by hand, or because the address says so. */
  moved(byHand, typing = null) {
    const text = textOf(this.now);
    this.show(typing);
    const { run, matrix, own, live, words } = this.data;
    const news = live
      ? { query: text === own ? {} : { live: text } }
      : { due: { setting: text, words: text === own ? null : words.due } };
    window.dispatchEvent(new CustomEvent(MOVED, { detail: { run, matrix, ...news } }));
    this.ask();
    if (!byHand) return;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.rest = 0;
      if (text === this.data.text) return;
      this.sent = text;
      setTimeout(() => {
        if (this.sent === text) this.sent = null; // Python said it in other words
      }, 4000);
      this.tell(text);
    }, REST);
  }

  show(typing = null) {
    const { rule, balance, reset } = this.controls;
    const { now, data } = this;
    if (data.bits) this.showBits(typing);
    else this.showKeep(typing);
    if (rule) rule.value = now.rule ?? data.own_rule;
    for (const name of ["slope", "spread"]) this.showLambda(name);
    for (const [name, { range: slider, label }] of balance) {
      const factor = now.balance[name] ?? 1;
      slider.value = stepOf(factor);
      slider.setAttribute("aria-valuetext", `${label}, times ${factor}`);
      slider.closest(".factor").classList.toggle("set", factor !== 1);
    }
    if (reset) reset.disabled = !Object.keys(now.balance).length;
    this.root.dataset.setting = textOf(now);
    this.mark();
  }

  showBits(typing) {
    const { range, box } = this.controls;
    const { bits } = this.now;
    range.value = Math.round(FINE * Math.log2(bits));
    range.setAttribute("aria-valuetext", `${bits} ${this.data.words.bits}`);
    if (box !== typing || !box.matches(":focus")) box.value = bits;
  }

  showKeep(typing) {
    const { range, box, unit } = this.controls;
    const { now, data } = this;
    const share = now.k === null;
    const limits = share ? { min: 0.5, max: 100, step: 0.5 } : { min: 1, max: data.most, step: 1 };
    const value = share ? clean(100 * now.keep) : now.k;
    Object.assign(range, limits, { value });
    range.setAttribute("aria-valuetext", share ? `${value} percent` : `${value} weights per row`);
    Object.assign(box, { min: share ? 0.01 : 1, max: limits.max, step: share ? "any" : 1 });
    if (box !== typing || !box.matches(":focus")) box.value = value;
    unit.value = share ? "share" : "k";
  }

  showLambda(name) {
    const control = this.controls[name];
    if (!control) return;
    const { values, range, said } = control;
    const wanted = this.now[name] ?? this.data[`own_${name}`];
    const place = values.reduce((best, item, i) =>
      Math.abs(item.value - wanted) < Math.abs(values[best].value - wanted) ? i : best, 0);
    range.value = place;
    const text = `λ = ${values[place].value}${values[place].note}`;
    range.setAttribute("aria-valuetext", text);
    said.textContent = text;
  }

  /** The totals of the setting; one question at a time, the newest wins. */
  async ask() {
    this.wanted = textOf(this.now);
    this.root.toggleAttribute("data-late", this.root.dataset.said !== this.wanted);
    if (this.asking) return;
    this.asking = true;
    while (this.wanted !== null) {
      const { api, run, matrix } = this.data;
      const text = this.wanted;
      this.wanted = null;
      const ready = this.warmed ? { warm: 1 } : {};
      const query = new URLSearchParams({ run, matrix, live: text, ...ready });
      try {
        const answer = await fetch(new URL(`${api}/setting?${query}`, document.baseURI));
        const found = await answer.json();
        if (this.wanted === null) this.say(found, answer.ok);
      } catch {
        if (this.wanted === null) this.say({ message: "The server does not answer." }, false);
      }
    }
    this.asking = false;
  }

  say(found, fine) {
    this.root.dataset.said = fine ? textOf(this.now) : "error";
    this.root.removeAttribute("data-late");
    this.totals.classList.toggle("wrong", !fine);
    if (!fine) {
      this.totals.textContent = found.message;
      return;
    }
    const { words } = this.data;
    const why = (what) => (textOf(this.now) === this.data.own ? "" : ` A worker finds out ${what}: ${found.worker}.`);
    if (found.bytes !== undefined) {
      this.totals.textContent = `At most ${size(found.bytes)} for ${count(found.params)} weights.${why("how")}`;
      return;
    }
    const share = found.kept / found.pruned;
    const kept = `Keeps ${count(found.kept)} of ${count(found.pruned)} weights (${percent(share)})`;
    if (found.worker) {
      this.totals.textContent = `${kept}.${why("which")}`;
      return;
    }
    const own = found.matrix === null ? "" : ` · ${count(found.matrix)} of this matrix`;
    const bytes = `${size(found.bytes_stored)} stored, ${size(found.bytes_dense)} dense`;
    this.totals.textContent = `${kept}${own} · ${bytes}`;
    for (const [name, { range, said, label }] of this.controls.balance) {
      const part = found.shares[name];
      said.textContent = part === undefined ? "" : percent(part);
      const factor = this.now.balance[name] ?? 1;
      range.setAttribute("aria-valuetext", `times ${factor}, keeps ${said.textContent} of ${label}`);
    }
    if (!this.held) return;
    const full = found.whole.length ? ` Already kept whole: ${found.whole.join(", ")}.` : "";
    const off = found.asked - found.kept;
    const held = off === 0 ? "Total held exactly." : `Total off by ${count(off)} weights.`;
    this.held.textContent = `${held} ${words.balance}${full}`;
  }

  close() {
    window.removeEventListener("popstate", this.back);
    clearTimeout(this.rest);
    this.wanted = null;
  }
}

const strips = new WeakMap();

export default function main(component) {
  const { parentElement } = component;
  const root = parentElement.querySelector(".strip");
  let strip = strips.get(parentElement);
  if (!strip || strip.root !== root) {
    strip?.close();
    strip = new Strip(root);
    strips.set(parentElement, strip);
  }
  strip.update(component);
  return () => {
    strip.close();
    strips.delete(parentElement);
  };
}
