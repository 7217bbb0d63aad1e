// Another query for the same matrix (a slider's setting, another run to compare with). The picture
// that is there stays, veiled, until all of the new one has come. One query is asked for at a time; of
// those wanted meanwhile the newest wins, and it does not wait for one that takes long. What no query
// brings (only a worker can make it) is waited for under the veil, too.

const EVENT = "kenviz:query"; // on window; detail: {run, matrix, query} or {run, matrix, due}
const PATIENCE = 400; // ms that an older query may still take
const COMING = "Getting ready: the weights that this setting keeps";
const MISSING = "The weights that this setting keeps could not be read";

const textOf = (query) => JSON.stringify(Object.entries(query ?? {}).sort());
const same = (a, b) => a?.setting.split("~").sort().join() === b?.setting.split("~").sort().join();

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
    Object.assign(this, { loading: null, wanted: null, shown: textOf(query), wrong: false, said: COMING });
    Object.assign(this, { due: null, moved: null }); // what only a worker makes: by Python, by the page's script
    this.asked = this.shown; // by Python
    this.told = new Set(); // by events of the page: Python repeats them late
  }

  get busy() {
    return Boolean(this.loading || this.wanted);
  }

  /** What only a worker can make of it, in words. */
  get owing() {
    return (this.moved ?? this.due)?.words ?? null;
  }

  /** What the picture waits for, in words; null: it is up to date. */
  get late() {
    if (this.owing) return this.owing;
    if (this.busy) return this.said;
    return this.wrong ? MISSING : null;
  }

  /** The server says how far it is. */
  waits(message) {
    if (!this.loading) return;
    this.said = message;
    this.map.render();
  }

  /** What Python says that only a worker makes: {setting, words}, words null where all is there. */
  owed(due) {
    this.due = due;
    if (same(this.moved, due)) this.moved = null;
  }

  hear({ run, matrix, query, due = null }) {
    const { source } = this.map.panes[0] ?? {};
    if (!source || source.run !== run || source.matrix !== matrix) return;
    this.moved = same(due, this.due) ? null : due;
    if (due) {
      this.map.render();
      return;
    }
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
    if (this.wrong) this.map.panes[0].fail(null);
    this.wrong = false;
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
    Object.assign(this, { wanted: null, said: COMING });
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
        this.wrong = true;
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
    pane.veil.renew();
    this.map.request();
  }

  close() {
    this.stop.abort();
    this.loading?.turn.abort();
    this.loading = null;
  }
}
