// A veil over a picture that is not up to date; it says what the picture waits for.

const SOON = 150; // ms that a picture may be late without a word

export class Veil {
  constructor(element) {
    Object.assign(this, { element, words: null, timer: null });
  }

  /** Say what is waited for; null takes the veil away at once. `long`: it will take its time. */
  say(words, long = false) {
    if (words === this.words) return;
    this.words = words;
    if (words === null) {
      clearTimeout(this.timer);
      this.timer = null;
      this.element.hidden = true;
      this.element.textContent = "";
    } else if (this.element.hidden && !long) this.timer ??= setTimeout(() => this.lay(), SOON);
    else this.lay();
  }

  lay() {
    clearTimeout(this.timer);
    this.timer = null;
    this.element.hidden = false;
    if (this.element.textContent !== this.words) this.element.textContent = this.words;
  }

  /** A newer picture has come that is not the last one either: it is late only from now on. */
  renew() {
    const { words } = this;
    this.say(null);
    this.say(words);
  }

  close() {
    clearTimeout(this.timer);
  }
}
