// What the menu leaves out of an address and the app puts back takes no step of the history of its own.

const OURS = Symbol.for("kenviz.one_step");

/** Is `next` the page that is open, with no more than what was put back into an address that said nothing?
 *  names: what may be put back. */
export function putsBack(here, next, names) {
  if (here.search !== "" || next.origin !== here.origin || next.pathname !== here.pathname) return false;
  const said = [...next.searchParams.keys()];
  return said.length > 0 && said.every((name) => names.includes(name));
}

export default function ({ data }) {
  if (history[OURS]) return;
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => {
    const here = new URL(location.href);
    const next = url == null ? here : new URL(url, here);
    if (putsBack(here, next, data.names)) history.replaceState(state, unused, url);
    else push(state, unused, url);
  };
  history[OURS] = true;
}
