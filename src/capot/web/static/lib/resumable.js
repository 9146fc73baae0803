// Streams that outlive a cut: what is missing is asked for again, from where it stopped. And what is said meanwhile.

import { LabError, stream } from "./api.js";
import { fill } from "./dom.js";
import { tr } from "./words.js";

const [SHORT, LONG] = [400, 5000]; // ms between two tries
const GIVE_UP_AFTER = 900_000; // ms without a server before giving up

/**
 * Run the works that `missing()` lists, [{ tag, verb, arguments }], until it lists none; after a cut it is asked again.
 * `on(kind, body, tag)` hears their events, `cut({ error, again })` that the connection is lost and `cut(null)` that it
 * is back. A work that the server ended by itself ("interrupted" though nobody asked) must be listed again by
 * `missing`. Returns { stop, abort, stopping, left, done }; once the visitor has left (`abort`) nothing is heard any
 * more.
 * @template {keyof Api.Verbs} Verb
 * @param {() => Lab.Work<Verb>[]} missing
 * @param {Lab.Heard<Verb>} on
 * @param {(lost: Lab.Lost | null) => unknown} cut
 * @returns {Lab.Resumable}
 */
export function resumable(missing, on, cut) {
  return new Resumable(missing, on, cut);
}

/** @template {keyof Api.Verbs} Verb */
class Resumable {
  stopping = false;
  left = false;
  /** @type {Promise<boolean>} */
  over = Promise.resolve(true);
  ended = false;
  /** @type {Lab.Stream | null} */
  #busy = null;
  /** @type {(() => void) | null} */
  #wake = null;
  /** @type {{ since: number, tries: number } | null} */
  #lost = null;

  /**
   * @param {() => Lab.Work<Verb>[]} missing
   * @param {Lab.Heard<Verb>} on
   * @param {(lost: Lab.Lost | null) => unknown} cut
   */
  constructor(missing, on, cut) {
    this.missing = missing;
    this.on = on;
    this.cut = cut;
    this.done = this.#run();
  }

  /** @param {Lab.Event<Verb>} event */
  #event(...event) {
    if (this.left) return;
    if (this.#lost) this.cut(null);
    this.#lost = null;
    this.on(...event);
  }

  async #run() {
    for (let parts = this.missing(); parts.length && !this.stopping; parts = this.missing()) {
      try {
        this.#busy = stream(parts, (...event) => this.#event(...event));
        await this.#busy.done;
        if (this.stopping || !this.missing().length) return;
        throw new LabError("cut", "");
      } catch (error) {
        if (this.stopping) return;
        if (error.code !== "cut" && !this.#lost) throw error; // nothing had begun
        const lost = this.#lost ??= { since: Date.now(), tries: 0 };
        if (Date.now() - lost.since > GIVE_UP_AFTER || (lost.tries > 8 && error.code !== "unreachable")) throw error;
        await this.#pause(error, lost);
      } finally {
        this.#busy = null;
      }
    }
  }

  /**
   * @param {Lab.Trouble} error
   * @param {{ tries: number }} lost
   * @returns {Promise<void>}
   */
  #pause(error, lost) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(LONG, SHORT * 2 ** lost.tries));
      lost.tries += 1;
      this.#wake = () => { clearTimeout(timer); resolve(); };
      this.cut({ error, again: this.#wake });
    });
  }

  /** The engine stops, not only the display. */
  stop() {
    this.stopping = true;
    this.#wake?.();
    return this.#busy?.stop();
  }

  /** The visitor leaves. */
  abort() {
    this.stopping = this.left = true;
    this.#wake?.();
    this.#busy?.abort();
  }
}

/**
 * `resumable`, its waiting and failing said where the visitor looks. `says` is a line of parts/status.js, which hears
 * the events (those of `kinds` alone, where they are given); `troubles` stands beside the field, for what is refused;
 * `again()` tries once more; `elsewhere(error)` may say an error in a place of its own, and answers whether it did.
 * `over` resolves once all is said, to whether nothing failed.
 * @template {keyof Api.Verbs} Verb
 * @param {() => Lab.Work<Verb>[]} missing
 * @param {Lab.Heard<Verb>} on
 * @param {Lab.Saying} place
 */
export function watched(missing, on, { says, troubles, again, elsewhere, kinds, words = tr("home.waiting") }) {
  const work = resumable(missing, (...event) => {
    if (!kinds || kinds.includes(event[0])) says.hear(...event);
    on(...event);
  }, says.cut);
  says.wait(words);
  fill(troubles);
  work.over = work.done.then(() => {
    if (!work.left && !says.box.querySelector(".fault:not(.cut)")) says.clear(); // given up in a cut, it waits no more
    return true;
  }, (error) => {
    if (work.left) return false;
    if (elsewhere?.(error)) says.clear();
    else if (!says.refused(error, troubles)) says.fail(error, again);
    return false;
  });
  return work;
}

/**
 * `watched` for one work, { verb, arguments, ... }, begun again from its start after a cut. `on` hears "finished"
 * when it has really ended, not where the server broke it off; `ended` says whether it has.
 * @template {keyof Api.Verbs} Verb
 * @param {Lab.Work<Verb>} part
 * @param {Lab.Heard<Verb>} on
 * @param {Lab.Saying} place
 */
export function once(part, on, place) {
  let ended = false;
  const work = watched(() => (ended ? [] : [{ tag: part.verb, ...part }]), (...event) => {
    const [kind, body] = event;
    const off = kind === "finished" && body.stop_reason === "interrupted" && !work.stopping;
    if (kind === "error" || (kind === "finished" && !off)) work.ended = ended = true;
    if (!off) on(...event);
  }, place);
  work.ended = ended;
  return work;
}
