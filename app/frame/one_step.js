// What the menu leaves out of an address and the app puts back takes no step of the history of its own.

const PUT_BACK = new Set(["run", "matrix", "sweep"]); // `STICKY` of links.py
const OURS = Symbol.for("kenviz.one_step");

/** Is `next` the page that is open, with no more than what was put back into an address that said nothing? */
export function putsBack(here, next) {
  if (here.search !== "" || next.origin !== here.origin || next.pathname !== here.pathname) return false;
  const names = [...next.searchParams.keys()];
  return names.length > 0 && names.every((name) => PUT_BACK.has(name));
}

export default function () {
  if (history[OURS]) return;
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => {
    const here = new URL(location.href);
    const next = url == null ? here : new URL(url, here);
    if (putsBack(here, next)) history.replaceState(state, unused, url);
    else push(state, unused, url);
  };
  history[OURS] = true;
}
