// What Streamlit calls: once per mount, and again whenever the data or the theme changes.

import { MatrixMap } from "./matrix.js";
import { ModelMap } from "./model.js";

const maps = new WeakMap(); // the mount's element -> its map

export default function main(component) {
  const { parentElement } = component;
  const root = parentElement.querySelector(".kv");
  let map = maps.get(parentElement);
  if (map && map.root !== root) {
    map.close();
    map = null;
  }
  if (!map) {
    map = component.data.sources[0].matrix === null ? new ModelMap(root) : new MatrixMap(root);
    maps.set(parentElement, map);
  }
  map.update(component);
  return () => {
    map.close();
    maps.delete(parentElement);
  };
}
