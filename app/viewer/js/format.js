// Numbers and names as people read them.

/** The shortest decimal that is this float32 again: what is shown equals what is stored. */
export function exact(value) {
  if (Number.isNaN(value)) return "none";
  for (let digits = 1; digits <= 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return String(short);
  }
  return String(value);
}

/** A few digits, for a cell of the map. */
export function short(value) {
  if (Number.isNaN(value)) return "";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e5) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

export function percent(share) {
  const value = share * 100;
  return `${value.toFixed(value === 0 || value === 100 ? 0 : 1)} %`;
}

export const count = (value) => value.toLocaleString("en-US");

/** "rows 3 to 9" or "row 3"; `end` is exclusive. */
export function span(name, first, end) {
  return end - first === 1 ? `${name} ${count(first)}` : `${name}s ${count(first)} to ${count(end - 1)}`;
}

/** What a screen reader says of the map. */
export function mapLabel(title, { rows, cols }) {
  return (
    `Map of ${title}: ${count(rows)} rows by ${count(cols)} columns. Arrows move, plus and minus ` +
    "zoom, 0 shows all, Enter selects the weight in the middle, Shift and arrows step from weight " +
    "to weight, Escape goes up one level."
  );
}

/** A tick distance of 1, 2 or 5 times a power of ten, at least `least`, never below 1. */
export function tickStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  for (const factor of [1, 2, 5, 10]) if (power * factor >= least) return power * factor;
  return power * 10;
}
