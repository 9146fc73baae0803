// One word in several sentences: the table gives it one vector, the layers one for each sentence.

import { fill, h, labelled, later, unique } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { answers } from "../../parts/answer.js";
import { blocks, ofKind, pictured, redrawn } from "../../parts/blocks.js";

/** @param {string} name */
export function context(name) {
  const saved = state.read();
  const ids = { word: unique("word"), sentences: unique("sentences") };
  const word = h("input", { type: "text", id: ids.word, value: saved.word ?? tr("embeddings.sample.word"), size: 16 });
  const text = saved.sentences ?? tr("embeddings.sample.sentences");
  const sentences = h("textarea", { rows: 4, id: ids.sentences, value: text });
  /** @type {number | null} */
  let layer = saved.layer === undefined ? null : Number(saved.layer);
  /** @type {HTMLElement | null} */
  let slider = null;
  const pictures = [redrawn(), redrawn(), redrawn()];
  const troubles = h("div", { class: "troubles" });
  const place = h("div", { class: "layer-slider" });
  const shown = (/** @type {Api.Context} */ _, /** @type {Api.Block[]} */ view) => drawn(view, pictures);
  const answer = answers("context", { words: tr("embeddings.waiting"), troubles, drawn: shown, rows });
  const soon = later(400, ask);
  for (const field of [word, sentences]) field.addEventListener("input", soon);
  const box = h("div", {}, h("p", { class: "lead" }, tr("embeddings.context_lead")),
    labelled(word, tr("embeddings.word")),
    h("div", { class: "prompt" }, h("label", { for: ids.sentences }, tr("embeddings.sentences")), sentences, troubles),
    place, answer.box);
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

  /**
   * The slider, once the number of layers is known.
   * @param {Api.Context} result
   */
  function slide({ layers, layer: shown }) {
    if (slider?.getAttribute("max") === String(layers.length - 1)) return;
    const move = later(40, ask);
    slider = sliderOf(layers.length, shown, (value) => { layer = value; move(); });
    fill(place, slider);
  }
}

/**
 * A slider from layer to layer; `onChange` is called with where it is moved to.
 * @param {number} count
 * @param {number} value
 * @param {(layer: number) => unknown} onChange
 */
function sliderOf(count, value, onChange) {
  const said = { label: tr("embeddings.layer"), hint: tr("embeddings.about_layer") };
  const oninput = (/** @type {CustomEvent<{ value: number }>} */ { detail }) => { if (detail) onChange(detail.value); };
  return h("capot-slider", { min: 0, max: count - 1, step: 1, coarse: 2, value, ...said, oninput });
}

/** @typedef {ReturnType<typeof redrawn>} Redrawn */

/**
 * The sentences, what the slider moves, then every layer at once.
 * @param {Api.Block[]} view
 * @param {Redrawn[]} pictures
 */
function drawn(view, [first, ...others]) {
  const [scatter] = ofKind(view, "scatter");
  const angles = ofKind(view, "table").filter((block) => block.heat.length).slice(0, 1);
  const curves = ofKind(view, "curves").map((block, index) => pictured(block, others[index](block)));
  const moved = [scatter ? pictured(scatter, first(scatter)) : null, blocks(angles)];
  return [
    h("div", { class: "sentences" }, blocks([...ofKind(view, "strip"), ...ofKind(view, "text")])),
    h("div", { class: "picture-and-angles" }, moved),
    h("div", { class: "side-by-side pairs" }, curves),
  ];
}

/**
 * The table, with the cosine of each pair of places.
 * @param {Api.Context} result
 * @param {Api.Block[]} view
 */
function rows({ layers, occurrences }, view) {
  const [table] = ofKind(view, "table").slice(-1);
  const pairs = occurrences.flatMap((_, b) => Array.from({ length: b }, (__, a) => [a, b]));
  return {
    columns: [...table.columns, ...pairs.map(([a, b]) => `${a + 1}–${b + 1}`)],
    rows: table.rows.map((row, index) => [...row, ...pairs.map(([a, b]) => number(layers[index].cosine[a][b], 2))]),
  };
}
