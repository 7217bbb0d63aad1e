// Two runs' masks in one picture: which weights both, one or none of them keeps.

export const WHO = ["neither", "only B", "only A", "both"];

/** Who keeps a weight of an exact window: a place in WHO. */
export const whoKeeps = (window, index) => window.kept[index] * 2 + window.other[index];

/** Colours in the order of WHO. */
export const whoColors = (ink) => [ink.reset, ink.only_b, ink.only_a, ink.kept];

/** Lines that mark who keeps a weight, so that colour is not all that tells it: [WHO, kind]. */
export const MARKS = [[0, "diagonal"], [1, "horizontal"], [2, "vertical"]];

/** Boxes of the legend; the marks are those of the map. */
export function overlapBoxes(ink) {
  const colors = whoColors(ink);
  const box = (who, kind) => ({ kind: "box", color: colors[who], lines: kind, label: WHO[who] });
  return [box(3), box(2, "vertical"), box(1, "horizontal"), { kind: "reset", label: WHO[0] }];
}

/** A box's lines as a CSS background over its colour. */
export function linesCss(kind, ink) {
  const angle = kind === "vertical" ? "90deg" : "0deg";
  return `repeating-linear-gradient(${angle}, ${ink.background} 0 1px, transparent 1px 5px)`;
}

/** Lines of the tip of a cell of many weights: the share of each, the most first. */
export function overlapLines(window, index, percent) {
  const { both, only_a: a, only_b: b } = window;
  const neither = Math.max(0, 1 - both[index] - a[index] - b[index]);
  return [
    ["Only one keeps", percent(window.data[index])],
    ["Both keep", percent(both[index])],
    ["Only A keeps", percent(a[index])],
    ["Only B keeps", percent(b[index])],
    ["Neither keeps", percent(neither)],
  ];
}
