// The logit lens: what the model would say if it stopped after each layer.

import { h } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { answers } from "../../parts/answer.js";
import { blocks, ofKind, pictured, redrawn } from "../../parts/blocks.js";
import { promptField } from "../../parts/prompt.js";

/** @param {string} name */
export function lens(name) {
  if (!state.prompt.get()) state.prompt.set(tr("embeddings.sample.prompt"));
  const pictures = [redrawn(), redrawn()];
  const field = promptField({ onChange: ask, delay: 300, examples: [tr("embeddings.sample.prompt")] });
  const answer = answers("lens", { words: tr("home.waiting"), troubles: field.troubles, drawn, rows });
  const box = h("div", {}, h("p", { class: "lead" }, tr("embeddings.lens_lead")), field.box, answer.box);
  return { box, start: () => ask(field.text), stop: answer.stop };

  /** @param {string} text */
  function ask(text) {
    answer.hide(!text);
    if (!text) return answer.stop();
    return answer.ask(
      { prompt: text },
      { python: inPython(name, "lens", [text]), command: onCommandLine(name, "lens", [text]) },
    );
  }

  /**
   * @param {Api.Lens} _
   * @param {Api.Block[]} view
   */
  function drawn(_, view) {
    const curves = ofKind(view, "curves");
    return [
      blocks(ofKind(view, "table")),
      h(
        "div",
        { class: "side-by-side pairs" },
        curves.map((one, index) => pictured(one, pictures[index](one))),
      ),
    ];
  }

  /**
   * @param {Api.Lens} result
   * @param {Api.Block[]} view
   */
  function rows({ layers }, view) {
    const [table] = ofKind(view, "table");
    return {
      columns: [...table.columns, tr("embeddings.column.entropy")],
      rows: table.rows.map((row, index) => [...row, number(layers[index].entropy_bits, 2)]),
    };
  }
}
