// What colours and marks mean, in words and numbers.

import { LEVELS, isSingle, isValues, place } from "./colors.js";
import { count, exact, percent, short } from "./format.js";
import { linesCss, overlapBoxes } from "./overlap.js";

const SAYS = {
  lost: "Squared change lost",
  kept: "Kept or reset",
  tuned: "Tuned value",
  base: "Base value",
  difference: "Tuned minus base",
  levels: "Level of the change",
  neighbours: "Kept among the 4 neighbours",
  overlap: "Kept by A and B",
};
const SAYS_CODED = {
  ...SAYS,
  kept: "Changed or base value",
  neighbours: "Changed among the 4 neighbours",
  overlap: "Changed by A and B",
};
const SAYS_ALONE = { ...SAYS, lost: "Squared weights lost", kept: "Kept or set to zero", tuned: "Dense value" };

/** What a layer shows; without a base entries become zero, and of coded changes there are more than two kinds. */
export const says = (layer, { alone, coded }) => (alone ? SAYS_ALONE : coded ? SAYS_CODED : SAYS)[layer];

const gradient = (colors) => `linear-gradient(to right, ${colors.join(", ")})`;

/** Swatches and bars of a layer: [{kind, color or colors, label or ticks}]. */
export function legendParts(layer, look, cell) {
  const { ink, scale, alone, coded } = look;
  const kept = coded ? "changed" : "kept";
  const single = isSingle(cell);
  const reset = { kind: "reset", label: alone ? "set to zero" : coded ? "base value" : "reset to base" };
  if (layer === "lost") {
    const bar = shares(ink, scale);
    return [{ ...bar, said: `${bar.said}; one color per matrix, not to scale` }];
  }
  if (layer === "kept" && single) return [{ kind: "box", color: ink.kept, label: kept }, reset];
  if (layer === "overlap" && single) return overlapBoxes(ink);
  if (layer === "kept" || layer === "overlap") {
    const only = coded ? "only one changes" : "only one keeps";
    return [{ ...shares(ink, scale), label: layer === "kept" ? `share ${kept}` : only }];
  }
  if (layer === "neighbours") {
    const boxes = ink.neighbours.map((color, i) => ({ kind: "box", color, label: String(i) }));
    return single ? [...boxes, reset] : [...boxes, { kind: "plain", color: ink.reset, label: `none ${kept}` }];
  }
  if (layer === "levels" && !single) {
    const ticks = [0, 1, LEVELS].map((level) => ({ at: level / LEVELS, text: String(level) }));
    return [{ kind: "bar", colors: ink.sequential, ticks }];
  }
  const m = scale.largest;
  const ticks = layer === "levels" ? levelTicks(m) : [
    { at: 0, text: short(-m), title: exact(-m) },
    { at: 0.25, text: short(-m / 4) },
    { at: 0.5, text: "0" },
    { at: 0.75, text: short(m / 4) },
    { at: 1, text: short(m), title: exact(m) },
  ];
  return [{ kind: "bar", colors: ink.diverging, ticks }, ...(single ? [reset] : [])];
}

/** Levels are whole numbers: the largest, and 1 where there is room. */
function levelTicks(largest) {
  const sizes = largest > 1 ? [largest, 1] : [Math.max(largest, 1)];
  const ends = sizes.flatMap((size) => [-size, size]);
  return [...ends, 0].map((level) => ({ at: place(level, sizes[0]), text: String(level).replace("-", "−") }));
}

/** A bar of shares with both its ends. */
function shares(ink, scale) {
  const ticks = scale.share.map((share, at) => ({ at, text: percent(share) }));
  const said = { true: "stretched to the range of the blocks' matrices", false: "0 to 100 %" }[scale.stretched];
  return { kind: "bar", colors: ink.sequential, ticks, said };
}

/** What one cell of the picture holds. */
export function cellSays(layer, cell, coded) {
  const kept = coded ? "changed" : "kept";
  const [h, w] = cell;
  if (h * w === 1) return "1 cell = 1 weight";
  const holds = `1 cell = ${h} × ${w} = ${count(h * w)} weights`;
  if (layer === "kept") return `${holds}, shown: share ${kept}`;
  if (layer === "overlap") return `${holds}, shown: share that only one of the two ${coded ? "changes" : "keeps"}`;
  if (layer === "levels") return `${holds}, shown: the mean size of their levels`;
  if (isValues(layer)) return `${holds}, shown: the one of largest magnitude`;
  return `${holds}, shown: the mean over ${kept} ones`;
}

/** `more`: a last remark, such as whose range the colours have. */
export function drawLegend(element, layer, look, cell, more = null) {
  const nodes = [text("span", "kv-legend-title", says(layer, look))];
  for (const part of legendParts(layer, look, cell)) nodes.push(node(part, look.ink));
  for (const { said } of legendParts(layer, look, cell)) if (said) nodes.push(text("span", "kv-legend-more", said));
  if (more) nodes.push(text("span", "kv-legend-more", more));
  element.replaceChildren(...nodes);
}

function text(tag, name, content) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = content;
  return made;
}

function node(part, ink) {
  const made = document.createElement("span");
  made.className = `kv-legend-${part.kind}`;
  const swatch = document.createElement("i");
  made.append(swatch);
  if (part.color) swatch.style.backgroundColor = part.color;
  if (part.lines) swatch.style.backgroundImage = linesCss(part.lines, ink);
  if (part.kind === "bar") {
    swatch.style.background = gradient(part.colors);
    const scale = document.createElement("span");
    scale.className = "kv-ticks";
    for (const { at, text: label, title } of part.ticks) {
      const tick = text("span", "", label);
      tick.style.left = `${at * 100}%`;
      if (title) tick.title = title;
      scale.append(tick);
    }
    made.append(scale);
  } else made.append(part.label);
  return made;
}
