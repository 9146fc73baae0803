// The prediction, by kind of question: a choice, a number, a bet on a token, a curve, a text of one's own.

import { h, labelled, unique } from "../../lib/dom.js";
import { number, single, tr, unwritten } from "../../lib/words.js";
import { built } from "./nodes.js";
import { compared, sketch } from "./sketch.js";

/**
 * A field for a prediction. `read()` is null where nothing can be sealed yet, and `missing()` says why;
 * `changed(draft)` hears what is typed.
 * @typedef {{ box: HTMLElement, read: () => Lab.Predicted | null, missing: () => string }} Field
 * @param {Lab.QuestionPart} part
 * @param {unknown} draft
 * @param {(draft: unknown) => unknown} changed
 * @returns {Field}
 */
export function predictor(part, draft, changed) {
  if (part.kind === "choice") return choosing(part, draft, changed);
  const missing = () => tr(`course.missing.${part.kind}`);
  if (part.kind === "curve") {
    return { ...sketch(part.points, Array.isArray(draft) ? draft : undefined, changed), missing };
  }
  const words = part.kind === "words";
  const id = unique("bet");
  const about = { id, value: typeof draft === "string" ? draft : "", autocomplete: "off" };
  /** @type {HTMLInputElement | HTMLTextAreaElement} */
  const input = words ? h("textarea", { ...about, rows: 4 })
    : h("input", { ...about, type: "text", spellcheck: "false",
      inputmode: part.kind === "number" ? "decimal" : "text" });
  input.addEventListener("input", () => changed(input.value));
  const name = tr(`course.predict.${part.kind}`);
  const label = part.unit ? `${name} (${part.unit})` : name;
  const value = () => (part.kind === "number" ? unwritten(bare(input.value, part)) : input.value);
  const empty = () => (part.kind === "number" ? Number.isNaN(value()) : !input.value.trim());
  const read = () => (empty() || beyond(part, value()) ? null : value());
  const wrong = () => (empty() ? missing() : beyond(part, value()) ?? missing());
  return { box: labelled(input, label), read, missing: wrong };
}

/**
 * Which bound of the question a prediction is beyond, in words. The field's name has the unit.
 * @param {Lab.QuestionPart} part
 * @param {number | string} value
 */
function beyond({ kind, most, least, greatest }, value) {
  const size = typeof value === "number" ? Math.abs(value) : value.length;
  if (typeof value === "number" && least !== null && value < least)
    return tr("course.bound.least", { least: number(least, decimals(least)) });
  if (typeof value === "number" && greatest !== null && value > greatest)
    return tr("course.bound.greatest", { greatest: number(greatest, decimals(greatest)) });
  return most && size > most ? tr(`course.most.${kind}`, { most }) : null;
}

/**
 * A number without the unit that is asked for: "141 Go" says what "141" says.
 * @param {string} text
 * @param {Lab.QuestionPart} part
 */
function bare(text, { unit, unit_one: one }) {
  const plain = text.trim();
  const typed = [unit, one].find((name) => name && plain.toLowerCase().endsWith(name.toLowerCase()));
  return typed ? plain.slice(0, -typed.length) : plain;
}

/**
 * @param {Lab.QuestionPart} part
 * @param {unknown} draft
 * @param {(draft: unknown) => unknown} changed
 * @returns {Field}
 */
function choosing(part, draft, changed) {
  const name = unique("choice");
  const inputs = part.choices.map((_, place) => h("input", {
    type: "radio", name, value: String(place + 1), checked: draft === place + 1, onchange: () => changed(place + 1),
  }));
  const box = h("fieldset", { class: "plain choices" }, h("legend", { class: "offstage" }, tr("course.predict.choice")),
    part.choices.map((choice, place) => h("label", {}, inputs[place], h("span", {}, built(inline(choice))))));
  const read = () => {
    const chosen = inputs.findIndex((input) => input.checked);
    return chosen < 0 ? null : chosen + 1;
  };
  return { box, read, missing: () => tr("course.missing.choice") };
}

/**
 * The words of a text that is one paragraph, for a place where no paragraph may stand.
 * @param {Lab.MdNode[]} nodes
 * @returns {Lab.MdNode[]}
 */
export function inline(nodes) {
  return nodes.flatMap((node) => (typeof node !== "string" && node[0] === "p" ? node[2] : [node]));
}

/**
 * A prediction that was sealed, as it is shown; `truth` are the points of the run.
 * @param {Lab.QuestionPart} part
 * @param {Lab.Predicted} predicted
 * @param {number[]} [truth]
 * @returns {Lab.Child}
 */
export function shown(part, predicted, truth = []) {
  if (Array.isArray(predicted)) return compared(predicted, truth);
  if (part.kind === "choice") return built(inline(part.choices[Number(predicted) - 1] ?? []));
  if (typeof predicted === "number") return said(predicted, part.unit, part.unit_one);
  return part.kind === "token" ? h("code", {}, predicted) : predicted;
}

/**
 * A number with its unit, which agrees with it where it has a form for one.
 * @param {number} value
 * @param {string} unit
 * @param {string} one
 */
const said = (value, unit, one) =>
  `${number(value, decimals(value))}\u00a0${one && single(value) ? one : unit}`.trim();

/**
 * How many digits a number has after its point: a bet is shown as it was made.
 * @param {number} value
 */
const decimals = (value) => Math.min(9, String(value).split(".")[1]?.length ?? (Number.isInteger(value) ? 0 : 9));
