// What a stream is doing, beside the button that started it: waiting, reading, queued, cut and coming back.

import { fill, h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { fault, queue } from "./fault.js";

/** A line for a stream's state; `stop` is what its button does. */
export function status(stop) {
  const box = h("div", { class: "status", role: "status" });
  let timer, held = 0;
  const spin = (words) => [h("span", { class: "spin", "aria-hidden": "true" }), h("span", {}, words)];
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
    hear: (kind, body) => {
      if (kind === "queued" && queue(body)) say(h("p", { class: "waiting" }, spin(queue(body))));
      else if (kind === "progress" && body.total) say(h("p", { class: "waiting" }, spin(tr("status.reading", { done: body.done, total: body.total })), h("progress", { max: body.total, value: body.done, "aria-label": tr("status.reading", { done: body.done, total: body.total }) })));
      else if (kind === "error") say(fault(body.error));
      else if (Date.now() > held) say();
    },
    /** The connection is lost, or back. */
    cut: (lost) => {
      held = lost ? 0 : Date.now() + 4000; // long enough to be read
      if (!lost) return say(h("p", { class: "quiet" }, tr("status.back")));
      return say(h("div", { class: "fault cut" }, h("p", {}, tr("status.cut")), h("p", { class: "waiting" }, spin(tr("status.again"))),
        h("p", { class: "row" }, h("button", { type: "button", class: "small", onclick: lost.again }, tr("status.now")), h("button", { type: "button", class: "small", onclick: stop }, tr("status.give_up")))));
    },
  };
}
