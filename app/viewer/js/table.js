// The weights in sight as a table, for those who hear the page.

import { cellText } from "./draw.js";
import { joined } from "./tiles.js";
import { make } from "./toolbar.js";

/** Fill `holder` where the weights can be read one by one, else empty it. */
export function readTable(holder, frame) {
  const lines = linesOf(frame);
  if (!lines) {
    holder.replaceChildren();
    return;
  }
  const table = make("table", {}, make("caption", {}, "Weights in sight"));
  for (const line of lines) {
    const row = make("tr");
    line.forEach((text, i) => row.append(make(i === 0 ? "th" : "td", {}, text)));
    table.append(row);
  }
  holder.replaceChildren(table);
}

function linesOf({ seen, view, exact, missing, layer, look }) {
  if (!exact.length || missing || view.sx < 46 || view.sy < 18) return null;
  const window = joined(exact, seen);
  const cols = Array.from({ length: seen.c1 - seen.c0 }, (_, i) => seen.c0 + i);
  const lines = [["row", ...cols.map((col) => `column ${col}`)]];
  for (let row = seen.r0; row < seen.r1; row += 1) {
    const at = (col) => (row - window.r0) * window.w + col - window.c0;
    const gone = layer === "overlap" ? "" : look.alone ? " zero" : look.coded ? " base" : " reset";
    const text = (col) =>
      cellText(window, layer, at(col), look) + (window.kept[at(col)] ? "" : gone);
    lines.push([String(row), ...cols.map(text)]);
  }
  return lines;
}
