// What is known of the cell under the pointer.

import { isValues, layerValue } from "./colors.js";
import { count, exact, percent, span } from "./format.js";
import { WHO, overlapLines, whoKeeps } from "./overlap.js";

/** Lines of a cell of the map: `known` is the answer of /kenviz/cell, or null. */
export function lines({ window, index }, { layer, known, shape, alone, coded }) {
  if (layer === "overlap" && !window.exact) return overlapLines(window, index, percent);
  if (!window.exact) return cellLines(window, layer, index, alone, coded);
  const who = window.other ? [[coded ? "Changed by" : "Kept by", WHO[whoKeeps(window, index)]]] : [];
  return [...who, ...weightLines(window, index, known, shape.cols, alone)];
}

/** Lines of a single weight: [[name, text]]; `more` is the answer of /kenviz/cell, or null. */
function weightLines(window, index, more, cols, alone) {
  const kept = Boolean(window.kept[index]);
  const tuned = window.tuned[index];
  const base = window.base[index];
  if (alone) return aloneLines(window, index, more, cols);
  return [
    ["Base", exact(base)],
    ["Tuned", exact(tuned)],
    ["Difference", exact(layerValue("difference", window, index))],
    ...(window.levels ? codedLines(window, index) : [
      ["In the pruned model", kept ? "● kept, tuned value" : "○ reset to base"],
    ]),
    [
      window.levels ? "Changed neighbors" : "Kept neighbors",
      more ? `${more.neighbours} of 4` : kept ? `${window.neighbours[index]} of 4` : "…",
    ],
    ["Rank of |tuned| in its row", more ? `${count(more.rank_value)} of ${count(cols)}` : "…"],
    ["Rank of |difference|", more ? `${count(more.rank_difference)} of ${count(cols)}` : "…"],
  ];
}

/** What became of a weight whose change is stored in a code: its value, and at which level. */
function codedLines(window, index) {
  const kept = Boolean(window.kept[index]);
  const level = window.levels[index];
  return [
    ["In the pruned model", kept ? `● ${exact(window.pruned[index])}` : "○ base value"],
    ["Level", level > 0 ? `+${level}` : String(level).replace("-", "−")],
  ];
}

/** The same without a base: nothing to compare with, but the pruned value may be another one. */
function aloneLines(window, index, more, cols) {
  const kept = Boolean(window.kept[index]);
  const pruned = window.pruned ? window.pruned[index] : kept ? window.tuned[index] : 0;
  const updated = kept && pruned !== window.tuned[index];
  return [
    ["Dense", exact(window.tuned[index])],
    ["In the pruned model", kept ? `● kept${updated ? ", updated" : ""}` : "○ set to zero"],
    ...(updated ? [["Pruned value", exact(pruned)]] : []),
    ["Kept neighbors", more ? `${more.neighbours} of 4` : kept ? `${window.neighbours[index]} of 4` : "…"],
    ["Rank of |weight| in its row", more ? `${count(more.rank_value)} of ${count(cols)}` : "…"],
  ];
}

/** Lines of a cell of many weights. */
function cellLines(window, layer, index, alone, coded) {
  const [high, wide] = window.cell;
  const kept = coded ? "changed" : "kept";
  const gone = alone ? "set to zero" : coded ? "base value" : "reset to base";
  const lines = high * wide === 1
    ? [["In the pruned model", window.share[index] ? `● ${kept}` : `○ ${gone}`]]
    : [[coded ? "Share changed" : "Share kept", percent(window.share[index])]];
  const named = alone && layer === "tuned" ? "dense" : layer;
  if (layer === "levels" && high * wide > 1) lines.unshift(["Mean size of the level", exact(window.data[index])]);
  else if (isValues(layer)) lines.unshift([`Largest |${named}|`, exact(window.data[index])]);
  if (layer === "neighbours") {
    const mean = window.data[index];
    lines.unshift([`Mean of ${kept} neighbors`, Number.isNaN(mean) ? `none ${kept}` : mean.toFixed(2)]);
  }
  return lines;
}

export function title(cell) {
  const { r0, r1, c0, c1 } = cell;
  const many = (r1 - r0) * (c1 - c0);
  const where = `${span("row", r0, r1)}, ${span("column", c0, c1)}`;
  return where[0].toUpperCase() + where.slice(1) + (many > 1 ? ` · ${count(many)} weights` : "");
}

export function show(tip, heading, lines, x, y, room) {
  const head = document.createElement("b");
  head.textContent = heading;
  const list = document.createElement("dl");
  for (const [name, text] of lines) {
    const key = document.createElement("dt");
    key.textContent = name;
    const value = document.createElement("dd");
    value.textContent = text;
    list.append(key, value);
  }
  tip.replaceChildren(head, list);
  tip.hidden = false;
  const { offsetWidth: w, offsetHeight: h } = tip;
  const left = x + 18 + w > room.w ? x - 18 - w : x + 18;
  const top = Math.min(Math.max(4, y - h / 2), Math.max(4, room.h - h - 4));
  tip.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
}
