// How probable does the model find this text? Each token's bits, as one types.

import { h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { answers } from "../parts/answer.js";
import { promptField } from "../parts/prompt.js";

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model }) {
  const made = score(model?.model ?? "boxed");
  main.append(made.box);
  return { drawn: made.start(), leave: () => made.stop() };
}

/**
 * The text shaded by surprise; also the second tab of the page of the next token.
 * @param {string} name the model's
 */
export function score(name) {
  const field = promptField({ onChange: look, examples: tr("score.examples").split("|"), delay: 300 });
  const empty = h("p", { class: "quiet" }, tr("score.empty"));
  const answer = answers("score", { words: tr("plain.waiting"), troubles: field.troubles });
  const box = h("div", {}, field.box, empty, answer.box);
  return { box, start: () => look(field.text), stop: () => answer.stop() };

  /** @param {string} text */
  async function look(text) {
    empty.hidden = Boolean(text);
    if (!text) return answer.hide(true);
    await answer.ask({ text }, {
      python: inPython(name, "score", [text], {}),
      command: onCommandLine(name, "score", [text], {}),
    });
  }
}
