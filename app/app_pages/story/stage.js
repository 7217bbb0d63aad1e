// Dots of a story, arrow keys, and the full screen of its presentation.

const BUTTONS = {
  ArrowRight: "story_next", PageDown: "story_next", ArrowLeft: "story_back", PageUp: "story_back",
};
const OWN_KEYS = "input, textarea, select, canvas, [contenteditable], [role=slider], "
  + "[role=listbox], [role=option], [role=combobox], [role=radiogroup], [role=radio], [role=tab], "
  + "[role=grid], [role=menu]";

const button = (key) => document.querySelector(`.st-key-${key} button:not(:disabled)`);
const stages = new WeakMap();

/** Whether what has the focus uses these keys itself. */
const usesKeys = (event) =>
  event.composedPath().some((part) => part instanceof Element && part.matches(OWN_KEYS));

class Stage {
  constructor(root) {
    this.root = root;
    this.keys = (event) => this.onKey(event);
    this.click = (event) => this.onClick(event);
    this.screen = () => this.onScreen();
    document.addEventListener("keydown", this.keys);
    document.addEventListener("click", this.click, true);
    document.addEventListener("fullscreenchange", this.screen);
  }

  show(data, go) {
    const moved = this.data && this.data.step !== data.step;
    this.data = data;
    const list = this.root.querySelector("ol");
    const focused = [...list.querySelectorAll("button")].indexOf(this.root.getRootNode().activeElement);
    list.replaceChildren(...data.titles.map((title, i) => {
      const dot = document.createElement("button");
      dot.type = "button";
      dot.title = title;
      dot.setAttribute("aria-label", `Step ${i + 1} of ${data.titles.length}: ${title}`);
      if (i + 1 === data.step) dot.setAttribute("aria-current", "step");
      if (i + 1 < data.step) dot.className = "seen";
      dot.onclick = () => go(i + 1);
      const item = document.createElement("li");
      item.append(dot);
      return item;
    }));
    if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
    this.root.querySelector(".count").textContent = `${data.step} of ${data.titles.length}`;
    if (moved) {
      const title = data.titles[data.step - 1];
      this.root.querySelector(".told").textContent = `Step ${data.step}: ${title}`;
    }
  }

  onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape" && this.data.present && !document.fullscreenElement) {
      button("story_present")?.click();
    }
    const key = BUTTONS[event.key];
    if (!key || usesKeys(event)) return;
    event.preventDefault();
    button(key)?.click();
  }

  /** The browser gives its full screen only while a click is being answered. */
  onClick(event) {
    if (!(event.target instanceof Element) || !event.target.closest(".st-key-story_present")) return;
    if (!this.data.present) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  }

  onScreen() {
    if (document.fullscreenElement) this.full = true;
    else if (this.full && this.data.present) button("story_present")?.click();
    if (!document.fullscreenElement) this.full = false;
  }

  end() {
    document.removeEventListener("keydown", this.keys);
    document.removeEventListener("click", this.click, true);
    document.removeEventListener("fullscreenchange", this.screen);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("nav");
  let stage = stages.get(root);
  if (!stage) {
    stage = new Stage(root);
    stages.set(root, stage);
  }
  stage.show(data, (step) => setTriggerValue("step", step));
  return () => { stage.end(); stages.delete(root); };
}
