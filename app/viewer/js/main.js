// What Streamlit calls: once per mount, and again whenever the data or the theme changes.

import { AtlasMap } from "./map.js";
import { Viewer } from "./viewer.js";

const viewers = new WeakMap(); // the mount's element -> its viewer

export default function main(component) {
  const { parentElement } = component;
  const root = parentElement.querySelector(".kv");
  let viewer = viewers.get(parentElement);
  if (viewer && viewer.root !== root) {
    viewer.close();
    viewer = null;
  }
  if (!viewer) {
    viewer = component.data.sources ? new AtlasMap(root) : new Viewer(root);
    viewers.set(parentElement, viewer);
  }
  viewer.update(component);
  return () => {
    viewer.close();
    viewers.delete(parentElement);
  };
}
