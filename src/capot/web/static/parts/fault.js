// An error, beside what caused it: what happened, and what to do.

import { h } from "../lib/dom.js";
import { has, lang, tr } from "../lib/words.js";
import { visitor } from "../lib/api.js";

/**
 * A sentence that a terminal writes after "Error:" stands alone here; a name that begins it is left as it is.
 * @param {string} text
 */
const begun = (text) =>
  /^\p{Ll}[\p{L}\u2019]*[ ,]/u.test(text) ? text[0].toLocaleUpperCase(lang()) + text.slice(1) : text;

// What is wrong with the model, its files or the machine: nobody mends it from a page.
const OWNERS = new RegExp(`^(${[
  ...["hub_", "cache_", "disk_", "weights_", "safetensors_", "config_", "shard_", "index_", "tensor_", "json_invalid"],
  ...["tokenizer_(missing|format|damaged|hub)", "tiktoken_", "missing_extra", "extra_", "needs_package", "numba_"],
  ...["packed_", "dtypes_", "architecture_", "feature_", "family_", "device_", "precision_"],
  ...["no_such_device", "unknown_device"],
  ...["revision_", "not_causal", "not_tuned", "tuning_", "published_", "not_finite", "remote_code", "wrong_host"],
  ...["lesson_", "no_such_file", "lab_secret_", "server_(?!filter)"],
].join("|")})`);

/**
 * What to do: in the page's own words; for what only the owner can mend, the terminal's lines, and a learner hears
 * who it is.
 * @param {string} code
 * @param {string[]} lines
 * @returns {Lab.Child}
 */
function hints(code, lines) {
  const own = `faults.hint.${code}`;
  /** @type {(words: string) => HTMLElement} */
  const say = (words) => h("p", { class: "hint" }, words);
  if (code && has(own)) return say(tr(own));
  if (!lines.length || !OWNERS.test(code)) return lines.map(say);
  return visitor.owner
    ? [say(tr("faults.terminal")), h("pre", { class: "hint" }, lines.join("\n"))]
    : say(tr("faults.owner"));
}

// What may go well another time, nothing being changed in what was asked.
const PASSING = new RegExp(`^(${[
  ...["unreachable", "cut", "internal", "interrupted", "closed", "lab_full", "too_many_(requests|streams|learners)"],
  ...["too_much_(memory|upload)", "(template|tokenizer)_no_helper", "memory_short", "out_of_memory", "hub_", "disk_"],
].join("|")})`);

/**
 * A message for an error; `again` offers to try once more, where that may help.
 * @param {Lab.Trouble} error
 * @param {() => unknown} [again]
 */
export function fault(error, again) {
  const code = error.code ?? "";
  const known = code === "unreachable" || code === "cut" ? `faults.${code}` : null;
  const text = known ? tr(known) : error.message || tr("faults.bug");
  const [what, ...lines] = text.split("\n");
  return h(
    "div",
    { class: "fault", role: "alert" },
    h("p", {}, begun(what)),
    hints(code, lines),
    again && (!code || PASSING.test(code)) ? h("button", { type: "button", onclick: again }, tr("faults.again")) : null,
  );
}

/**
 * Why something waits, from what the server says of its place; nothing where it is at work.
 * @param {Lab.Place} place
 */
export function queue({ position, turn, at_once: count }) {
  if (turn) return tr("status.turn", { count, place: turn });
  return position ? tr("status.queued", { place: position }) : "";
}

/**
 * Under 100 ms nothing is seen; then what is being done, by name, or the place in the queue. The note is there from the
 * beginning, hidden, so that a page never looks settled while it asks. Returns { say(), queued(), done() }.
 * @param {HTMLElement} place
 * @param {string} words
 * @param {() => unknown} [stop]
 */
export function waiting(place, words, stop) {
  const note = h(
    "p",
    { class: "waiting", role: "status", hidden: true },
    h("span", { class: "spin", "aria-hidden": "true" }),
    h("span", {}, words),
    stop ? h("button", { type: "button", onclick: stop }, tr("actions.stop")) : null,
  );
  const show = () => { note.hidden = false; place.append(note); }; // again: the place may have been filled meanwhile
  const timer = setTimeout(show, 100);
  place.append(note);
  /** @type {(text: string) => void} */
  const say = (text) => { note.children[1].textContent = text; };
  return {
    say,
    queued: (/** @type {Lab.Place} */ place) => say(queue(place) || words),
    done: () => { clearTimeout(timer); note.remove(); },
  };
}
