// Keeps the store up to date: lists all kinds, then follows their changes; lists again when the server has forgotten
// where we were, and tries again, ever more slowly, when it does not answer.

import { ApiError, changes, list } from "./api.js";
import { keyOf, KINDS } from "./store.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 20_000;
// The longest silence of a living stream is the time between two bookmarks.
const SILENCE_MS = 45_000;
const PLURALS = Object.keys(KINDS);

export class Feed {
  #stop = new AbortController();
  #store;
  #namespace;
  #told;

  /** `told(state, error)`: state is loading, live, waiting (with an error, and when it is tried again) or refused. */
  constructor(store, namespace, told) {
    this.#store = store;
    this.#namespace = namespace;
    this.#told = told;
  }

  stop() { this.#stop.abort(); }

  async run() {
    const { signal } = this.#stop;
    let since = 0;
    let wait = FIRST_WAIT_MS;
    while (!signal.aborted) {
      try {
        if (!since) {
          this.#told("loading");
          since = await this.#listAll(signal);
        }
        for await (const version of this.#follow(since, signal)) {
          since = version;
          wait = FIRST_WAIT_MS;
        }
        await this.#pause(FIRST_WAIT_MS / 2);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ApiError) && error.name !== "AbortError") throw error;
        if (error.code === 401 || error.code === 403) {
          this.#told("refused", error);
          return;
        }
        if (error.code === 410) {
          since = 0;
          await this.#pause(FIRST_WAIT_MS);
          continue;
        }
        const pause = Math.max(wait * (0.75 + Math.random() / 2), (error.retryAfterS ?? 0) * 1000);
        this.#told("waiting", error);
        await this.#pause(pause);
        wait = Math.min(wait * 2, LONGEST_WAIT_MS);
      }
    }
  }

  /** Read everything; returns the version from which on to follow: the lists' oldest. */
  async #listAll(signal) {
    const versions = [];
    for (const plural of PLURALS) {
      const keys = new Set();
      const namespace = plural === "subclusters" ? "" : this.#namespace;
      versions.push(await list(plural, namespace, (items) => {
        for (const item of items) keys.add(keyOf(item));
        this.#store.take(plural, items);
      }, signal));
      this.#store.keepOnly(plural, keys);
    }
    return Math.min(...versions);
  }

  async *#follow(since, signal) {
    const silence = new AbortController();
    const both = AbortSignal.any([signal, silence.signal]);
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      for await (const change of changes(PLURALS, this.#namespace, since, both)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        this.#told("live");
        if (change.type !== "BOOKMARK") this.#store.apply(change);
        yield Number(change.object.metadata.resourceVersion);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #pause(ms) {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      function done() {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        window.removeEventListener("online", done);
        resolve();
      }
      signal.addEventListener("abort", done);
      window.addEventListener("online", done);
    });
  }
}
