// Streams that outlive a cut: what is missing is asked for again, from where it stopped. And what is said meanwhile.

import { LabError, stream } from "./api.js";
import { fill } from "./dom.js";
import { tr } from "./words.js";

const [SHORT, LONG] = [400, 5000]; // ms between two tries
const PATIENCE = 900_000; // ms without a server before giving up

/**
 * Run the works that `missing()` lists, [{ tag, verb, arguments }], until it lists none; after a cut it is asked again.
 * `on(kind, body, tag)` hears their events, `cut({ error, again })` that the connection is lost and `cut(null)` that it
 * is back. A work that the server ended by itself ("interrupted" though nobody asked) must be listed again by `missing`.
 * Returns { stop, abort, stopping, left, done }; once the visitor has left (`abort`) nothing is heard any more.
 */
export function lasting(missing, on, cut) {
  const self = { stopping: false, left: false, stop, abort, done: null };
  let busy = null, wake = null, lost = null;
  self.done = run();
  return self;

  function heard(kind, body, tag) {
    if (self.left) return;
    if (lost) cut(null);
    lost = null;
    on(kind, body, tag);
  }

  async function run() {
    for (let parts = missing(); parts.length && !self.stopping; parts = missing()) {
      try {
        busy = stream(parts, heard);
        await busy.done;
        if (self.stopping || !missing().length) return;
        throw new LabError("cut", "");
      } catch (error) {
        if (self.stopping) return;
        if (error.code !== "cut" && !lost) throw error; // nothing had begun
        lost ??= { since: Date.now(), tries: 0 };
        if (Date.now() - lost.since > PATIENCE || (lost.tries > 8 && error.code !== "unreachable")) throw error;
        await pause(error);
      } finally {
        busy = null;
      }
    }
  }

  function pause(error) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(LONG, SHORT * 2 ** lost.tries));
      lost.tries += 1;
      wake = () => { clearTimeout(timer); resolve(); };
      cut({ error, again: wake });
    });
  }

  /** The engine stops, not only the display. */
  function stop() {
    self.stopping = true;
    wake?.();
    return busy?.stop();
  }

  /** The visitor leaves. */
  function abort() {
    self.stopping = self.left = true;
    wake?.();
    busy?.abort();
  }
}

/**
 * `lasting`, its waiting and its failing said where the visitor looks. `says` is a line of parts/status.js, which hears
 * the events (those of `kinds` alone, where they are given); `troubles` stands beside the field, for what is refused;
 * `again()` tries once more; `elsewhere(error)` may say an error in a place of its own, and answers whether it did.
 * `over` resolves once all is said, to whether nothing failed.
 */
export function watched(missing, on, { says, troubles, again, elsewhere, kinds, words = tr("home.waiting") }) {
  const work = lasting(missing, (kind, body, tag) => {
    if (!kinds || kinds.includes(kind)) says.hear(kind, body);
    on(kind, body, tag);
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
 * `watched` for one work, { verb, arguments, ... }, begun again from its start after a cut. `on` hears "finished" when it
 * has really ended, not where the server broke it off; `ended` says whether it has.
 */
export function once(part, on, place) {
  let ended = false;
  const work = watched(() => (ended ? [] : [{ tag: part.verb, ...part }]), (kind, body) => {
    const off = kind === "finished" && body.stop_reason === "interrupted" && !work.stopping;
    if (kind === "error" || (kind === "finished" && !off)) work.ended = ended = true;
    if (!off) on(kind, body);
  }, place);
  work.ended = ended;
  return work;
}
