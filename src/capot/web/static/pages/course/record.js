// What a learner has predicted, read and written, and what was pinned: kept in this browser, and nowhere else.

const KEY = "capot-course";

/**
 * One course's record. Each answer and each pinned picture is an item of its own, read where it is kept: what another
 * tab writes stays. Whatever is set is written at once, so that neither a reload nor a server loses a word.
 *
 * The document hears `capot-course` of each change, with the item's name where another tab has made it.
 */
export class CourseRecord {
  #base;
  #closed = new AbortController();
  /** What this browser had no room for: the page still has it. @type {Map<string, unknown>} */
  #here = new Map();

  /** @param {string} course */
  constructor(course) {
    this.#base = `${KEY}:${course}:`;
    this.#part(`${KEY}:${course}`);
    window.addEventListener("storage", (event) => this.#heard(event), { signal: this.#closed.signal });
  }

  /** Until the page is left. */
  get left() {
    return this.#closed.signal;
  }

  /** Whether this browser had room for all of it. */
  get whole() {
    return this.#here.size === 0;
  }

  get name() {
    return String(this.#get("name") ?? "");
  }

  set name(name) {
    this.#put("name", name);
  }

  /** @returns {Lab.Pin[]} */
  get pins() {
    const names = new Set([...Object.keys(localStorage).filter((name) => name.startsWith(`${this.#base}pin.`))
      .map((name) => name.slice(this.#base.length)), ...this.#here.keys()]);
    return [...names].filter((name) => name.startsWith("pin."))
      .map((name) => /** @type {Lab.Pin} */ (this.#get(name))).filter((pin) => pin?.view)
      .sort((a, b) => a.made.localeCompare(b.made));
  }

  /**
   * What is known of a question, or of a change, by its key.
   * @param {string} key
   * @returns {Lab.CourseAnswer}
   */
  read(key) {
    const found = this.#get(itemOf(key));
    return typeof found === "object" && found ? found : {};
  }

  /**
   * @param {string} key
   * @param {Lab.CourseAnswer} changes
   */
  set(key, changes) {
    this.#put(itemOf(key), { ...this.read(key), ...changes });
  }

  /**
   * Whether a picture is pinned.
   * @param {string} id
   */
  pinned(id) {
    const name = `pin.${id}`;
    return this.#here.has(name) || localStorage.getItem(this.#base + name) !== null;
  }

  /**
   * Pin a picture, in the place of the one that was pinned there.
   * @param {Lab.Pin} pin
   */
  pin(pin) {
    this.#put(`pin.${pin.id}`, pin);
  }

  /** @param {string} id */
  unpin(id) {
    this.#here.delete(`pin.${id}`);
    localStorage.removeItem(`${this.#base}pin.${id}`);
    this.#retry();
    tell();
  }

  /** Everything that this browser keeps of any course. */
  erase() {
    for (const name of Object.keys(localStorage)) if (name.startsWith(`${KEY}:`)) localStorage.removeItem(name);
    this.#here.clear();
  }

  /**
   * Hear of an item that another tab has changed, until the page is left. What is typed is written at once, so that
   * what is stored is never older than what a field shows: a tab in the background keeps its focus, and takes it too.
   * @param {string} item
   * @param {() => unknown} changed
   */
  follow(item, changed) {
    document.addEventListener("capot-course", (event) => {
      if (/** @type {CustomEvent} */ (event).detail === item) changed();
    }, { signal: this.left });
  }

  /** The page is left: it hears of other tabs no more. */
  close() {
    this.#closed.abort();
  }

  /** @param {string} name */
  #get(name) {
    if (this.#here.has(name)) return this.#here.get(name);
    try {
      return JSON.parse(localStorage.getItem(this.#base + name) ?? "null");
    } catch {
      return null; // not ours, or cut: begun anew
    }
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  #put(name, value) {
    this.#here.set(name, value);
    this.#retry();
    tell();
  }

  /** Write what is not written yet. */
  #retry() {
    for (const [name, value] of this.#here) {
      try {
        localStorage.setItem(this.#base + name, JSON.stringify(value));
        this.#here.delete(name);
      } catch {
        // no room: it waits here for some
      }
    }
  }

  /** @param {StorageEvent} event */
  #heard({ key, newValue }) {
    if (key !== null && !key.startsWith(this.#base)) return;
    const name = key?.slice(this.#base.length) ?? "";
    const erased = newValue === null && !name.startsWith("pin.");
    if (erased) location.reload(); // nothing of a learner who has left stays on show
    else tell(name);
  }

  /**
   * A record that was one item for everything is parted.
   * @param {string} whole
   */
  #part(whole) {
    const written = localStorage.getItem(whole);
    if (written === null) return;
    localStorage.removeItem(whole);
    try {
      const { name, answers, pins } = JSON.parse(written);
      if (typeof name === "string") this.#here.set("name", name);
      for (const [key, answer] of Object.entries(answers ?? {})) this.#here.set(itemOf(key), answer);
      for (const pin of pins ?? []) this.#here.set(`pin.${pin.id}`, pin);
    } catch {
      // not ours, or cut: begun anew
    }
    this.#retry();
  }
}

/** @param {string} [other] the item that another tab has changed */
const tell = (other = "") => document.dispatchEvent(new CustomEvent("capot-course", { detail: other }));

/** @param {string} key */
export const itemOf = (key) => `answer.${key}`;

/**
 * The key of a question of a lesson.
 * @param {number} number
 * @param {number | string} place
 */
export const keyOf = (number, place) => `${number}.${place}`;
