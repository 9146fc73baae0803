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
  const name = model?.model ?? "boxed";
  const field = promptField({ heard: look, examples: tr("score.examples").split("|"), delay: 300 });
  const empty = h("p", { class: "quiet" }, tr("score.empty"));
  const answer = answers("score", { words: tr("plain.waiting"), troubles: field.troubles });
  main.append(field.box, empty, answer.box);
  await look(field.text);
  return { leave: () => answer.stop() };

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
