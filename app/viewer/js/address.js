// The view in the address bar: r0 r1 c0 c1 row col layer reset. Replaced, never pushed, so that
// "back" leaves the map in one step.

const NUMBERS = ["r0", "r1", "c0", "c1", "row", "col"];
const DEFAULTS = { layer: "kept", reset: "hidden" };

/** Write `view` ({r0.., row, col, layer, reset}); null removes, a default is left out. */
export function write(view) {
  const url = new URL(window.location.href);
  for (const name of NUMBERS) {
    if (view[name] === null || view[name] === undefined) url.searchParams.delete(name);
    else url.searchParams.set(name, view[name]);
  }
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (view[name] === usual) url.searchParams.delete(name);
    else url.searchParams.set(name, view[name]);
  }
  if (url.href !== window.location.href) {
    window.history.replaceState(window.history.state, "", url);
  }
}
