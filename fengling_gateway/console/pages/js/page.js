// A page while it is shown: it says what it shows, and is told when it is over.

import { render } from "./dom.js";

export class Page {
  #draw = null;
  #pending = false;
  #over = new AbortController();

  constructor(element, { params, query, path }) {
    this.element = element;
    this.params = params;
    this.query = query;
    this.path = path;
    this.signal = this.#over.signal;
  }

  // Say what is shown, by a function that is called again after each `redraw`.
  draw(describe) {
    this.#draw = describe;
    this.#drawn();
  }

  // Show what has changed, together with all else that changes in this turn.
  redraw() {
    if (this.#pending) return;
    this.#pending = true;
    queueMicrotask(() => {
      this.#pending = false;
      this.#drawn();
    });
  }

  title(text) {
    document.title = text ? `${text} · Fengling` : "Fengling Gateway";
  }

  // Do something again and again while the page is seen.
  every(seconds, task) {
    const timer = setInterval(() => document.hidden || task(), seconds * 1000);
    this.signal.addEventListener("abort", () => clearInterval(timer));
  }

  end() {
    this.#over.abort();
  }

  #drawn() {
    if (!this.signal.aborted && this.#draw) render(this.element, this.#draw());
  }
}
