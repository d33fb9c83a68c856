// Something the server computes, asked for when it may have changed: never twice at once, and not in a hurry.

import { get } from "./api.js";

const SOON_MS = 700;
const AGAIN_MS = 3000;
const OLD_MS = 30_000;

export class Remote {
  #path;
  #told;
  #timer = 0;
  #next = 0;
  #busy = null;
  #stopped = false;

  /** `told()` is called when `body` or `error` is new. */
  constructor(path, told) {
    this.#path = path;
    this.#told = told;
    this.body = null;
    this.error = null;
    this.ask(0);
  }

  /** Ask soon; what is asked for meanwhile is one question. */
  ask(afterMs = SOON_MS) {
    if (this.#stopped || this.#timer) return;
    this.#timer = setTimeout(() => this.#run(), afterMs);
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#next);
    this.#busy?.abort();
  }

  async #run() {
    this.#timer = 0;
    if (this.#stopped) return;
    if (this.#busy || document.hidden) {
      this.ask(AGAIN_MS);
      return;
    }
    this.#busy = new AbortController();
    let next = OLD_MS;
    try {
      const { body, fresh } = await get(this.#path, this.#busy.signal);
      if (!fresh) next = AGAIN_MS;
      this.body = body;
      this.error = null;
    } catch (error) {
      if (error.code === 503 || error.code === 0) next = AGAIN_MS;
      this.error = error;
    }
    this.#busy = null;
    if (this.#stopped) return;
    this.#told();
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.ask(0), next);
  }
}
