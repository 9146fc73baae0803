// An error, beside what caused it: what happened, and what to do.

import { h } from "../lib/dom.js";
import { has, lang, tr } from "../lib/words.js";

/** A sentence that a terminal writes after "Error:" stands alone here; a name that begins it is left as it is. */
const begun = (text) => (/^\p{Ll}[\p{L}\u2019]*[ ,]/u.test(text) ? text[0].toLocaleUpperCase(lang()) + text.slice(1) : text);

/** A message for an error, with what a visitor can do where a terminal would be told a command; `again` offers to try once more. */
export function fault(error, again) {
  const known = { unreachable: "faults.unreachable", cut: "faults.cut" }[error.code];
  const text = known ? tr(known) : error.message || tr("faults.bug");
  const [what, ...lines] = text.split("\n");
  const own = `faults.hint.${error.code}`;
  const hint = error.code && has(own) ? [tr(own)] : lines;
  return h("div", { class: "fault", role: "alert" },
    h("p", {}, begun(what)), hint.length ? h("p", { class: "hint" }, hint.join("\n")) : null,
    again ? h("button", { type: "button", onclick: again }, tr("faults.again")) : null);
}

/** Why something waits, from what the server says of its place; nothing where it is at work. */
export function queue({ position, turn, at_once: count }) {
  if (turn) return tr("status.turn", { count, place: turn });
  return position ? tr("status.queued", { place: position }) : "";
}

/**
 * Under 100 ms nothing is seen; then what is being done, by name, or the place in the queue. The note is there from the
 * beginning, hidden, so that a page never looks settled while it asks. Returns { say(), queued(), done() }.
 */
export function waiting(place, words, stop) {
  const note = h("p", { class: "waiting", role: "status", hidden: true }, h("span", { class: "spin", "aria-hidden": "true" }), h("span", {}, words),
    stop ? h("button", { type: "button", onclick: stop }, tr("actions.stop")) : null);
  const show = () => { note.hidden = false; place.append(note); }; // again: the place may have been filled meanwhile
  const timer = setTimeout(show, 100);
  place.append(note);
  const say = (text) => { note.children[1].textContent = text; };
  return {
    say,
    queued: (place) => say(queue(place) || words),
    done: () => { clearTimeout(timer); note.remove(); },
  };
}
