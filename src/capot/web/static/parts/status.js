// What a stream is doing, beside the button that started it: waiting, reading, queued, cut and coming back.

import { fill, h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { fault, queue } from "./fault.js";

/**
 * A line for a stream's state; `stop` is what its button does.
 * @param {() => unknown} stop
 * @returns {Lab.Status}
 */
export function status(stop) {
  const box = h("div", { class: "status", role: "status" });
  /** @type {number | undefined} */
  let timer;
  let held = 0;
  /** @type {(words: string) => HTMLElement[]} */
  const spin = (words) => [h("span", { class: "spin", "aria-hidden": "true" }), h("span", {}, words)];
  /** @type {(...content: Lab.Child[]) => void} */
  const say = (...content) => { clearTimeout(timer); fill(box, ...content); };
  return {
    box,
    clear: () => say(),
    note: (words) => say(h("p", { class: "quiet" }, words)),
    fail: (error, again) => say(fault(error, again)),
    /** What was asked is refused for what it is: said beside the field, and trying again would not help. Whether so. */
    refused: (error, place) => {
      if (!error.code || ["unreachable", "cut"].includes(error.code)) return false;
      say();
      fill(place, fault(error));
      return true;
    },
    /** Under 100 ms nothing is seen; the note is there from the beginning, as that of parts/fault.js. */
    wait: (words) => {
      const note = h("p", { class: "waiting", hidden: true }, spin(words));
      clearTimeout(timer);
      box.append(note);
      timer = setTimeout(() => { note.hidden = false; say(note); }, 100);
    },
    hear: (...[kind, body]) => {
      if (kind === "queued" && queue(body)) say(h("p", { class: "waiting" }, spin(queue(body))));
      else if (kind === "progress" && body.total) say(reading(body, spin));
      else if (kind === "error") say(fault(body.error));
      else if (Date.now() > held) say();
    },
    /** The connection is lost, or back. */
    cut: (lost) => {
      held = lost ? 0 : Date.now() + 4000; // long enough to be read
      if (!lost) return say(h("p", { class: "quiet" }, tr("status.back")));
      const button = (/** @type {string} */ key, /** @type {() => unknown} */ onclick) =>
        h("button", { type: "button", class: "small", onclick }, tr(`status.${key}`));
      const choices = h("p", { class: "row" }, button("now", lost.again), button("give_up", stop));
      const again = h("p", { class: "waiting" }, spin(tr("status.again")));
      return say(h("div", { class: "fault cut" }, h("p", {}, tr("status.cut")), again, choices));
    },
  };
}

/**
 * How far a long prompt has been read.
 * @param {{ done: number, total: number }} body
 * @param {(words: string) => HTMLElement[]} spin
 */
function reading({ done, total }, spin) {
  const words = tr("status.reading", { done, total });
  return h("p", { class: "waiting" }, spin(words), h("progress", { max: total, value: done, "aria-label": words }));
}
