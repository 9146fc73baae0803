// One word in several sentences: the table gives it one vector, the layers one for each sentence.

import { fill, h, later, unique } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { answers } from "../../parts/answer.js";
import { blocks, pictured, redrawn } from "../../parts/blocks.js";

export function context(name) {
  const saved = state.read();
  const ids = { word: unique("word"), sentences: unique("sentences") };
  const word = h("input", { type: "text", id: ids.word, value: saved.word ?? tr("embeddings.sample.word"), size: 16 });
  const sentences = h("textarea", { rows: 4, id: ids.sentences, value: saved.sentences ?? tr("embeddings.sample.sentences") });
  let layer = saved.layer === undefined ? null : Number(saved.layer);
  let slider = null;
  const pictures = [redrawn(), redrawn(), redrawn()];
  const troubles = h("div", { class: "troubles" });
  const place = h("div", { class: "layer-slider" });
  const answer = answers("context", { words: tr("embeddings.waiting"), troubles, drawn, rows });
  const soon = later(400, ask);
  for (const field of [word, sentences]) field.addEventListener("input", soon);
  const box = h("div", {}, h("p", { class: "lead" }, tr("embeddings.context_lead")),
    h("div", { class: "field" }, h("label", { for: ids.word }, tr("embeddings.word")), word),
    h("div", { class: "prompt" }, h("label", { for: ids.sentences }, tr("embeddings.sentences")), sentences, troubles), place, answer.box);
  return { box, start: ask, stop: answer.stop };

  async function ask() {
    const lines = sentences.value.split("\n").map((line) => line.trim()).filter(Boolean);
    state.write({ word: word.value, sentences: sentences.value, layer });
    const option = layer === null ? {} : { layer };
    const result = await answer.ask({ word: word.value, sentences: lines, ...option }, {
      python: inPython(name, "context", [word.value], { sentences: lines, ...option }),
      command: onCommandLine(name, "context", [word.value, ...lines], layer === null ? {} : { "--layer": layer }),
    });
    if (result) slide(result);
  }

  /** The slider, once the number of layers is known. */
  function slide({ layers, layer: shown }) {
    if (slider?.getAttribute("max") === String(layers.length - 1)) return;
    const move = later(40, ask);
    slider = h("capot-slider", { min: 0, max: layers.length - 1, step: 1, coarse: 2, value: shown, label: tr("embeddings.layer"), hint: tr("embeddings.about_layer"), oninput: (event) => { if (event.detail) { layer = event.detail.value; move(); } } });
    fill(place, slider);
  }

  /** The sentences, what the slider moves, then every layer at once. */
  function drawn(_, view) {
    const of = (kind) => view.filter((block) => block.block === kind);
    const [scatter] = of("scatter");
    const angles = view.find((block) => block.heat?.length);
    return [
      h("div", { class: "sentences" }, blocks([...of("strip"), ...of("text")])),
      h("div", { class: "picture-and-angles" }, scatter ? pictured(scatter, pictures[0](scatter)) : null, angles ? blocks([angles]) : null),
      h("div", { class: "side-by-side pairs" }, of("curves").map((curves, index) => pictured(curves, pictures[1 + index](curves)))),
    ];
  }

  function rows({ layers, occurrences }, view) {
    const table = view.filter((block) => block.block === "table").at(-1);
    const pairs = occurrences.flatMap((_, b) => Array.from({ length: b }, (__, a) => [a, b]));
    return {
      columns: [...table.columns, ...pairs.map(([a, b]) => `${a + 1}–${b + 1}`)],
      rows: table.rows.map((row, index) => [...row, ...pairs.map(([a, b]) => number(layers[index].cosine[a][b], 2))]),
    };
  }
}
