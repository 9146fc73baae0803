// Questions that are waited for, one at a time: what is being done and what went wrong is said in a place.

import { fill } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { fault, waiting } from "./fault.js";

/** @typedef {{ signal: AbortSignal, queued: (place: Lab.Place) => unknown }} How what a call of lib/api.js takes */

/** One place and its question. A newer question ends the one before. */
export class Awaited {
  #place;
  #words;
  /** @type {AbortController | undefined} */
  #running;

  /**
   * @param {HTMLElement} place
   * @param {string} [words] what is being done
   */
  constructor(place, words = tr("plain.waiting")) {
    this.#place = place;
    this.#words = words;
  }

  stop() {
    this.#running?.abort();
  }

  /**
   * Ask, and draw what it came to, which is returned; null where it was stopped or failed. Where it failed, `failed()`
   * takes away what another question has drawn, and `again()` asks once more. `elsewhere(error)` is true of an error
   * that is told, and mended, elsewhere.
   * @template Found
   * @param {(how: How) => Promise<Found>} work
   * @param {{ again?: () => unknown, failed?: () => unknown, elsewhere?: (error: Lab.Trouble) => boolean }} [otherwise]
   * @returns {Promise<Found | null>}
   */
  async ask(work, { again, failed, elsewhere } = {}) {
    this.stop();
    const control = this.#running = new AbortController();
    const note = waiting(this.#place, this.#words, () => control.abort());
    try {
      const found = await work({ signal: control.signal, queued: note.queued });
      fill(this.#place);
      return found;
    } catch (error) {
      if (error.name === "AbortError" || elsewhere?.(error)) return null;
      failed?.();
      fill(this.#place, fault(error, again));
      return null;
    } finally {
      note.done();
    }
  }
}
