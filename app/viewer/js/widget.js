// The map as a widget of a notebook, bundled into one module: the kernel answers in place of a server, see
// app/data/widget.py. Model: `data` as `MatrixMap` takes it, `budget` {keep, rest} of a slider or null, `cell` what is looked at.

import { isDark } from "./colors.js";
import { percent } from "./format.js";
import { MatrixMap } from "./matrix.js";
import { ModelMap } from "./model.js";
import { make } from "./toolbar.js";

const NOWHERE = "kernel://kenviz"; // an address that nothing but the kernel answers
const REST = 250; // ms without a move of the slider until the kernel counts what the setting keeps

export function render({ model, el }) {
  const root = make("div", { class: "kv" });
  const place = make("div", { class: "kv-widget" }, root);
  el.append(place);
  const data = model.get("data");
  const kernel = new Kernel(model);
  const map = data.sources[0].matrix === null ? new ModelMap(root) : new MatrixMap(root);
  const component = {
    data: { ...data, host: { get: kernel.get }, api: NOWHERE },
    setStateValue: (name, value) => {
      model.set(name, value);
      model.save_changes();
    },
    parentElement: place,
  };
  const draw = () => {
    place.dataset.theme = darkAround(el) ? "dark" : "light";
    map.update(component);
  };
  const watch = new MutationObserver(draw); // notebooks change their theme by an attribute
  watch.observe(document.body, { attributes: true });
  const budget = model.get("budget");
  if (budget) place.prepend(slider(map, kernel, data.sources[0], budget));
  draw();
  return () => {
    watch.disconnect();
    kernel.close();
    map.close();
  };
}

/** Whether the first background around an element that is not transparent is dark. */
function darkAround(element) {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (color && color !== "transparent" && !/, 0\)$/.test(color)) return isDark(color);
  }
  return false;
}

/** Questions to the kernel and its answers, by number. */
class Kernel {
  constructor(model) {
    Object.assign(this, { model, asked: new Map(), next: 0 });
    this.hear = (message, buffers) => {
      this.asked.get(message.id)?.(new Response(bytesOf(buffers[0]), { status: message.status }));
      this.asked.delete(message.id);
    };
    model.on("msg:custom", this.hear);
  }

  get = (address, { signal } = {}) => {
    const { pathname, searchParams } = new URL(address);
    const id = this.next++;
    const answer = new Promise((done, fail) => {
      this.asked.set(id, done);
      signal?.addEventListener("abort", () => {
        this.asked.delete(id);
        fail(signal.reason);
      });
    });
    this.model.send({ id, path: pathname.split("/").at(-1), query: Object.fromEntries(searchParams) });
    return answer;
  };

  close() {
    this.model.off("msg:custom", this.hear);
    this.asked.clear();
  }
}

const bytesOf = (buffer) => (buffer instanceof DataView
  ? buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength)
  : buffer);

/** How much of every row would be kept: the map follows the hand, what it comes to is counted when it rests. */
function slider(map, kernel, source, { keep, rest }) {
  const input = make("input", {
    type: "range", min: "0.01", max: "1", step: "0.01", value: keep, "aria-label": "Kept share",
  });
  const said = make("output", {}, percent(keep));
  let waiting = 0;
  input.oninput = () => {
    const share = Number(input.value);
    said.textContent = percent(share);
    const own = share === keep;
    const live = [String(share), ...rest].join("~");
    map.queries.hear({ run: source.run, matrix: source.matrix, query: own ? {} : { live } });
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const answer = await kernel.get(`${NOWHERE}/setting?live=${encodeURIComponent(live)}`);
      const { said: words, message } = await answer.json();
      if (Number(input.value) === share) said.textContent = words ?? message;
    }, REST);
  };
  return make("label", { class: "kv-slider" }, "Kept share", input, said);
}
