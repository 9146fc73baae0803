// What a learner has predicted, read and written, and what was pinned: kept in this browser, and nowhere else.

const KEY = "capot-course";
const KINDS = { answers: "object", pins: "object", name: "string" };

/** One course's record. Whatever is set is written at once, so that neither a reload nor a server loses a word. */
export class CourseRecord {
  #key;
  /** @type {Lab.CourseKept} */
  #kept = { name: "", answers: {}, pins: [] };
  /** Whether this browser had room for all of it. */
  whole = true;

  /** @param {string} course */
  constructor(course) {
    this.#key = `${KEY}:${course}`;
    try {
      const found = JSON.parse(localStorage.getItem(this.#key) ?? "{}");
      for (const [name, kind] of Object.entries(KINDS)) {
        if (typeof found[name] === kind && found[name]) Object.assign(this.#kept, { [name]: found[name] });
      }
    } catch {
      // not ours, or cut: begun anew
    }
  }

  get name() {
    return this.#kept.name;
  }

  set name(name) {
    this.#kept.name = name;
    this.#write();
  }

  get pins() {
    return this.#kept.pins;
  }

  /**
   * What is known of a question, or of a change, by its key.
   * @param {string} key
   * @returns {Lab.CourseAnswer}
   */
  read(key) {
    return this.#kept.answers[key] ?? {};
  }

  /**
   * @param {string} key
   * @param {Lab.CourseAnswer} changes
   */
  set(key, changes) {
    this.#kept.answers[key] = { ...this.read(key), ...changes };
    this.#write();
  }

  /**
   * Whether a picture is pinned.
   * @param {string} id
   */
  pinned(id) {
    return this.#kept.pins.some((pin) => pin.id === id);
  }

  /**
   * Pin a picture, in the place of the one that was pinned there.
   * @param {Lab.Pin} pin
   */
  pin(pin) {
    this.#kept.pins = [...this.#kept.pins.filter(({ id }) => id !== pin.id), pin];
    this.#write();
  }

  /** @param {string} id */
  unpin(id) {
    this.#kept.pins = this.#kept.pins.filter((pin) => pin.id !== id);
    this.#write();
  }

  /** Everything that this browser keeps of any course. */
  erase() {
    for (const name of Object.keys(localStorage)) if (name.startsWith(`${KEY}:`)) localStorage.removeItem(name);
    this.#kept = { name: "", answers: {}, pins: [] };
    this.whole = true;
  }

  #write() {
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#kept));
      this.whole = true;
    } catch { // no room: the page still has it
      this.whole = false;
    }
    document.dispatchEvent(new CustomEvent("capot-course"));
  }
}

/**
 * The key of a question of a lesson.
 * @param {number} number
 * @param {number | string} place
 */
export const keyOf = (number, place) => `${number}.${place}`;
