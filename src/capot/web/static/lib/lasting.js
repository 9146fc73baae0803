// Streams that outlive a cut: what is missing is asked for again, from where it stopped.

import { LabError, stream } from "./api.js";

const [SHORT, LONG] = [400, 5000]; // ms between two tries
const PATIENCE = 900_000; // ms without a server before giving up

/**
 * Run the works that `missing()` lists, [{ tag, verb, arguments }], until it lists none; after a cut it is asked again.
 * `on(kind, body, tag)` hears their events, `cut({ error, again })` that the connection is lost and `cut(null)` that it
 * is back. A work that the server ended by itself ("interrupted" though nobody asked) must be listed again by `missing`.
 * Returns { stop, abort, stopping, done }.
 */
export function lasting(missing, on, cut) {
  const self = { stopping: false, stop, abort, done: null };
  let busy = null, wake = null, lost = null;
  self.done = run();
  return self;

  function heard(kind, body, tag) {
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
    self.stopping = true;
    wake?.();
    busy?.abort();
  }
}
