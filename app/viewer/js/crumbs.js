// Where we are in the model, level by level, each a click away.

import { make } from "./toolbar.js";

/** `levels`: [{label, go}], the last one being where we are; `alone`: {href, text} of another page, or null. */
export function drawCrumbs(nav, levels, alone) {
  const key = JSON.stringify([levels.map(({ label }) => label), alone]);
  if (nav.dataset.key === key) return;
  nav.dataset.key = key;
  const had = nav.contains(nav.getRootNode().activeElement);
  const items = levels.map(({ label, go }, i) => {
    const here = i === levels.length - 1;
    const made = make("button", { type: "button", "aria-current": here ? "location" : null }, label);
    made.onclick = go;
    return make("li", {}, made);
  });
  const parts = [make("ol", {}, ...items)];
  if (alone) parts.push(make("a", { href: alone.href, class: "kv-alone" }, alone.text));
  nav.replaceChildren(...parts);
  const [path] = nav.children;
  path.onscroll = () => path.classList.toggle("kv-cut", path.scrollLeft > 0);
  path.scrollLeft = path.scrollWidth; // on a narrow page: where we are
  if (had) nav.querySelector("li:last-child button").focus({ preventScroll: true });
}
