// The prediction, by kind of question: a choice, a number, a bet on a token, a curve, a text of one's own.

import { h, labelled, unique } from "../../lib/dom.js";
import { tr, typed, unwritten } from "../../lib/words.js";
import { built } from "./nodes.js";
import { compared, sketch } from "./sketch.js";

/**
 * A field for a prediction. `read()` is null where nothing can be sealed yet; `changed(draft)` hears what is typed.
 * @param {Lab.QuestionPart} part
 * @param {unknown} draft
 * @param {(draft: unknown) => unknown} changed
 * @returns {{ box: HTMLElement, read: () => Lab.Predicted | null }}
 */
export function predictor(part, draft, changed) {
  if (part.kind === "choice") return choosing(part, draft, changed);
  if (part.kind === "curve") {
    return sketch(part.points, Array.isArray(draft) ? draft : undefined, changed);
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
  const read = () => {
    if (part.kind !== "number") return input.value.trim() ? input.value : null;
    const value = unwritten(input.value);
    return Number.isFinite(value) ? value : null;
  };
  return { box: labelled(input, label), read };
}

/**
 * @param {Lab.QuestionPart} part
 * @param {unknown} draft
 * @param {(draft: unknown) => unknown} changed
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
  return { box, read };
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
  if (typeof predicted === "number") return `${typed(predicted)} ${part.unit}`.trim();
  return part.kind === "token" ? h("code", {}, predicted) : predicted;
}
