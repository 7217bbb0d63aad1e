// The view in the address bar: r0 r1 c0 c1 row col layer reset range. Replaced, never pushed, so that
// "back" leaves the map in one step.

const NUMBERS = ["r0", "r1", "c0", "c1", "row", "col"];

/** Write `view` ({r0.., row, col, layer, reset, range}); null removes, a default is left out.
 * `usual`: what the page shows where the address says nothing; `more` are further names. */
export function write(view, usual, more = []) {
  const url = new URL(window.location.href);
  for (const name of [...more, ...NUMBERS]) {
    if (view[name] === null || view[name] === undefined) url.searchParams.delete(name);
    else url.searchParams.set(name, view[name]);
  }
  for (const [name, said] of Object.entries(usual)) {
    if (view[name] === said) url.searchParams.delete(name);
    else url.searchParams.set(name, view[name]);
  }
  if (url.href !== window.location.href) {
    window.history.replaceState(window.history.state, "", url);
  }
}
