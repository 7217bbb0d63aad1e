// Another query for the same matrix (a slider's setting, another run to compare with). The picture
// that is there stays until all of the new one has come. One query is asked for at a time; of those
// wanted meanwhile the newest wins, and it does not wait for one that takes long.

import { Windows } from "./data.js";
import { cellSide, visible } from "./geometry.js";

export const EVENT = "kenviz:query"; // on window; detail: {run, matrix, query}
const PATIENCE = 400; // ms that an older query may still take

const textOf = (query) => JSON.stringify(Object.entries(query ?? {}).sort());

export class Queries {
  constructor(viewer) {
    this.viewer = viewer;
    this.stop = new AbortController();
    const { signal } = this.stop;
    window.addEventListener(EVENT, ({ detail }) => this.hear(detail), { signal });
    this.reset({});
  }

  /** Another matrix, or run: nothing of before counts. */
  reset(query) {
    this.loading?.turn.abort();
    Object.assign(this, { loading: null, wanted: null, shown: textOf(query) });
    this.asked = this.shown; // by Python
    this.told = new Set(); // by events of the page: Python repeats them late
  }

  get busy() {
    return Boolean(this.loading || this.wanted);
  }

  hear({ run, matrix, query }) {
    const { source } = this.viewer;
    if (!source || source.run !== run || source.matrix !== matrix) return;
    this.told.add(textOf(query));
    this.set(query);
  }

  python(query) {
    const text = textOf(query);
    if (text === this.asked) return;
    this.asked = text;
    if (!this.told.has(text)) this.set(query);
  }

  set(query) {
    const text = textOf(query);
    const next = this.wanted ? textOf(this.wanted) : (this.loading?.text ?? this.shown);
    if (text === next) return;
    this.wanted = query;
    if (!this.loading) this.load();
    else setTimeout(() => this.hurry(query), PATIENCE - (performance.now() - this.loading.began));
    this.viewer.render();
  }

  /** `query` has waited long enough for an older one. */
  hurry(query) {
    if (this.loading && this.wanted === query) this.loading.turn.abort();
  }

  async load() {
    const { viewer, wanted } = this;
    this.wanted = null;
    const text = textOf(wanted);
    const source = { ...viewer.source, query: wanted };
    const windows = new Windows(source, viewer.waitsFor);
    if (!viewer.plot || !viewer.view) {
      this.shown = text; // not laid out yet: nothing is drawn that could stay
      return viewer.swap(source, windows);
    }
    const turn = new AbortController();
    const loading = { turn, text, began: performance.now() };
    this.loading = loading;
    const { layer } = viewer;
    try {
      const whole = await picture(viewer, windows, layer, turn.signal);
      if (this.loading !== loading) return undefined;
      this.shown = text;
      viewer.swap(source, windows, [layer, whole]);
      viewer.parts.canvas.dataset.queryMs = (performance.now() - loading.began).toFixed(1);
    } catch (error) {
      if (this.loading === loading && error.name !== "AbortError" && !this.wanted) {
        viewer.fail(error, () => this.set(wanted));
      }
    }
    if (this.loading !== loading) return undefined;
    this.loading = null;
    if (this.wanted) this.load();
    return viewer.render();
  }

  close() {
    this.stop.abort();
    this.loading?.turn.abort();
    this.loading = null;
  }
}

/** All that a draw of what is seen now needs: the whole in few cells, and the window in sight. */
async function picture(viewer, windows, layer, signal) {
  const { rows, cols } = viewer.shape;
  const seen = visible(viewer.view, viewer.plot, viewer.shape);
  const limits = viewer.limits();
  const enough =
    cellSide(rows, 256) <= cellSide(seen.r1 - seen.r0, limits.rows) &&
    cellSide(cols, 512) <= cellSide(seen.c1 - seen.c0, limits.cols);
  signal.addEventListener("abort", () => windows.newest?.abort());
  const window = enough ? null : windows.fetch(layer, seen, limits);
  const [whole] = await Promise.all([windows.whole(layer, signal), window]);
  return whole;
}
