// A verb's answer from its own blocks, in a lesson.

import { asFlags, inPython, onCommandLine } from "../../lib/code.js";
import { tr } from "../../lib/words.js";
import { answers } from "../../parts/answer.js";
import { blocks } from "../../parts/blocks.js";
import { shown } from "./streamed.js";

/**
 * @param {Lab.LessonCall} call
 * @param {Pick<import("./streamed.js").How, "model" | "onChange">} how
 * @returns {import("./streamed.js").Live}
 */
export function common(call, { model, onChange }) {
  /** @type {Api.Block[]} */
  let view = [];
  const answer = answers(call.verb, {
    words: tr("plain.waiting"), onChange, drawn: (_, drawn) => { view = drawn; return blocks(drawn); },
  });
  const run = async (/** @type {Record<string, unknown>} */ changes = {}) => {
    const given = { ...call.arguments, ...changes };
    const taken = /** @type {Api.Verbs[keyof Api.Verbs]["takes"]} */ (/** @type {unknown} */ (given));
    const result = await answer.ask(taken, {
      python: inPython(model, call.verb, [], given), command: onCommandLine(model, call.verb, [], asFlags(given)),
    });
    return result ? { result, view } : null;
  };
  return { box: answer.box, run, stop: answer.stop, page: shown(answer) };
}
