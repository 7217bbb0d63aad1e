// The viewer's own document: built once, with names for those who do not see it.

const LAYERS = [
  ["lost", "Change lost", "How much of its squared change from the base each matrix lost"],
  ["kept", "Kept", "Which weights were kept and which went back to the base value"],
  ["tuned", "Tuned", "Values of the tuned model"],
  ["base", "Base", "Values of the base model"],
  ["difference", "Difference", "Tuned minus base"],
  ["levels", "Levels", "How finely each change from the base is stored: 0 is none, ±1 the coarsest step"],
  ["neighbours", "Neighbors", "For each kept weight, how many of the 4 around it are kept"],
  ["overlap", "Overlap", "Which weights both runs keep, only one of them, or neither"],
];

const ALONE = {
  lost: "How much of its squared weights each matrix lost",
  kept: "Which weights were kept and which were set to zero",
  tuned: "Values before pruning",
};

const CODED = {
  kept: "Which weights have a change in the file and which stay at the base value",
  neighbours: "For each changed weight, how many of the 4 around it are changed",
  overlap: "Which weights both runs change, only one of them, or neither",
};

const ICONS = {
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3",
  up: "M8 13V3M4 7l4-4 4 4",
  save: "M8 2v8M5 7l3 3 3-3M3 13h10",
};

export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function icon(name) {
  const holder = make("span", { class: "kv-icon", "aria-hidden": "true" });
  holder.innerHTML = `<svg viewBox="0 0 16 16" width="16" height="16" fill="none"
    stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"
    ><path d="${ICONS[name]}"/></svg>`;
  return holder;
}

function button(name, label, act, shown = null) {
  const made = make("button", { type: "button", title: label, "aria-label": label, class: "kv-button" });
  made.append(icon(name), ...(shown ? [shown] : []));
  made.onclick = act;
  return made;
}

function save(label, act, shown) {
  const made = button("save", label, act, shown);
  made.classList.add("kv-save");
  return made;
}

/** The part of a map that is drawn on. */
export function buildStage() {
  const canvas = make("canvas", {
    class: "kv-canvas", tabindex: "0", role: "application", "data-testid": "kv-canvas",
  });
  const small = make("canvas", { class: "kv-minimap", "aria-hidden": "true" });
  const tip = make("div", { class: "kv-tip", role: "tooltip", hidden: true, "data-testid": "kv-tip" });
  const message = make("div", { class: "kv-message", role: "alert", hidden: true });
  const veil = make("div", { class: "kv-veil", role: "status", hidden: true, "data-testid": "kv-veil" });
  const stage = make("div", { class: "kv-stage" }, canvas, small, tip, veil, message);
  return { canvas, small, tip, message, veil, stage };
}

/** Build everything below `root`, with a `holder` for what is drawn on. acts: layer, hide, spread,
 * zoom, fit, up, png, csv; words: fit, keys. */
export function build(root, acts, words) {
  const layers = make("div", { class: "kv-segments", role: "radiogroup", "aria-label": "Layer" });
  const segments = new Map();
  for (const [name, label, hint] of LAYERS) {
    const hidden = ["overlap", "lost", "levels"].includes(name); // until `offer` says otherwise
    const role = { role: "radio", "aria-checked": "false" }; // until `mark` says otherwise
    const made = make("button", { type: "button", ...role, title: hint, hidden, "data-layer": name }, label);
    made.onclick = () => acts.layer(name);
    segments.set(name, made);
    layers.append(made);
  }
  layers.onkeydown = (event) => moveChoice(event, segments, acts.layer);
  const hide = make("button", { type: "button", class: "kv-toggle", hidden: true, "data-toggle": "reset" });
  hide.onclick = acts.hide;
  const spread = make("button", { type: "button", class: "kv-toggle", hidden: true, "data-toggle": "spread" });
  spread.onclick = acts.spread;
  const csv = save("Save the weights of this window as CSV", acts.csv, "CSV");
  const tools = make(
    "div",
    { class: "kv-tools" },
    button("minus", "Zoom out (-)", () => acts.zoom(1 / 2)),
    button("plus", "Zoom in (+)", () => acts.zoom(2)),
    button("up", "Up one level (Esc)", acts.up),
    button("fit", words.fit, acts.fit),
    save("Save this picture as PNG", acts.png, "PNG"),
    csv,
  );
  const holder = make("div", { class: "kv-panes" });
  const legend = make("div", { class: "kv-legend", "data-testid": "kv-legend" });
  const where = make("div", { class: "kv-where", "aria-live": "polite", "data-testid": "kv-where" });
  const table = make("div", { class: "kv-only-read", "data-testid": "kv-table" });
  const keys = make("div", { class: "kv-keys" }, words.keys);
  root.replaceChildren(
    make("div", { class: "kv-bar" }, layers, tools),
    holder,
    make("div", { class: "kv-foot" }, legend, hide, spread),
    where,
    keys,
    table,
  );
  return { layers: segments, hide, spread, holder, legend, where, table, csv };
}

function moveChoice(event, segments, choose) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const names = [...segments.keys()].filter((name) => !segments.get(name).hidden);
  const now = names.findIndex((name) => segments.get(name).getAttribute("aria-checked") === "true");
  const next = names[(now + step + names.length) % names.length];
  choose(next);
  segments.get(next).focus();
}

/** Offer the layers that there are: without a base there is neither it nor a difference, without
 * another run no overlap; what was lost only on the map of a model that knows it; levels only of coded changes; without the app around the map
 * only those that `host` knows. */
export function offer(parts, { alone, coded, host }, { beside = false, lost = false }) {
  Object.assign(parts, { alone, coded });
  parts.csv.hidden = Boolean(host.get);
  for (const [layer, label, hint] of LAYERS) {
    const made = parts.layers.get(layer);
    const lacks = alone && ["base", "difference"].includes(layer);
    const unknown = host.layers && !host.layers.includes(layer);
    made.hidden = unknown || ({ overlap: !beside, lost: !lost, levels: !coded }[layer] ?? lacks);
    const other = alone ? { tuned: "Dense", lost: "Weight lost" } : coded ? { kept: "Changed" } : {};
    made.textContent = other[layer] ?? label;
    made.title = (alone ? ALONE : coded ? CODED : {})[layer] ?? hint;
  }
}

/** Show which layer and switches are on. */
export function mark(parts, { layer, hide, spread, exact }) {
  for (const [name, made] of parts.layers) {
    made.setAttribute("aria-checked", String(name === layer));
    made.tabIndex = name === layer ? 0 : -1;
  }
  const values = ["tuned", "base", "difference", "levels"].includes(layer);
  set(parts.hide, values, hide, parts.alone ? "Blank zeros" : parts.coded ? "Blank base values" : "Blank resets");
  set(parts.spread, ["kept", "overlap", "lost"].includes(layer) && !exact, spread, "Stretch colors");
}

/** Say why there is no picture, with a way to try again; no error takes it away. */
export function complain(message, error, again) {
  message.hidden = !error;
  if (!error) return;
  const button = make("button", { class: "kv-button" }, "Try again");
  button.onclick = again;
  message.replaceChildren(`The weights could not be read: ${error.message}`, button);
}

function set(made, shown, on, label) {
  made.hidden = !shown;
  made.textContent = label;
  made.setAttribute("aria-pressed", String(on));
}
