// Another query for the same matrix (a slider's setting, another run to compare with). The picture
// that is there stays until all of the new one has come. One query is asked for at a time; of those
// wanted meanwhile the newest wins, and it does not wait for one that takes long.

const EVENT = "kenviz:query"; // on window; detail: {run, matrix, query}
const PATIENCE = 400; // ms that an older query may still take

const textOf = (query) => JSON.stringify(Object.entries(query ?? {}).sort());

export class Queries {
  constructor(map) {
    this.map = map;
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
    const { source } = this.map.panes[0] ?? {};
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
    this.map.render();
  }

  /** `query` has waited long enough for an older one. */
  hurry(query) {
    if (this.loading && this.wanted === query) this.loading.turn.abort();
  }

  async load() {
    const { map, wanted } = this;
    const [pane] = map.panes;
    this.wanted = null;
    const text = textOf(wanted);
    const source = { ...pane.source, query: wanted };
    const tiles = pane.tilesOf(source);
    if (!map.plot || !map.view) {
      this.shown = text; // not laid out yet: nothing is drawn that could stay
      return this.show(source, tiles);
    }
    const loading = { turn: new AbortController(), text, began: performance.now() };
    this.loading = loading;
    try {
      await pane.picture(tiles, loading.turn.signal);
      if (this.loading !== loading) return undefined;
      this.shown = text;
      this.show(source, tiles);
      pane.parts.canvas.dataset.queryMs = (performance.now() - loading.began).toFixed(1);
    } catch (error) {
      if (this.loading === loading && error.name !== "AbortError" && !this.wanted) {
        pane.fail(error, () => this.set(wanted));
      }
    }
    if (this.loading !== loading) return undefined;
    this.loading = null;
    if (this.wanted) this.load();
    return map.render();
  }

  /** The new picture in place of the one before: same window, selection and layer. */
  show(source, tiles) {
    const [pane] = this.map.panes;
    pane.take({ ...source, title: pane.source.title }, tiles);
    this.map.request();
  }

  close() {
    this.stop.abort();
    this.loading?.turn.abort();
    this.loading = null;
  }
}
