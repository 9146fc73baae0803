// One word in several sentences: the table gives it one vector, the layers one for each sentence.

import { fill, h, labelled, later, unique } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { answers } from "../../parts/answer.js";
import { fault } from "../../parts/fault.js";
import { blocks, ofKind, pictured, redrawn } from "../../parts/blocks.js";

/** @param {string} name */
export function context(name) {
  const saved = state.read();
  const ids = { word: unique("word"), sentences: unique("sentences") };
  const word = h("input", { type: "text", id: ids.word, value: saved.word ?? tr("embeddings.sample.word"), size: 16 });
  const text = saved.sentences ?? tr("embeddings.sample.sentences");
  const sentences = h("textarea", { rows: 4, id: ids.sentences, value: text });
  const depth = depths(saved.layer ?? "", later(40, ask));
  const pictures = [redrawn(), redrawn(), redrawn()];
  const troubles = h("div", { class: "troubles" });
  const shown = (/** @type {Api.Context} */ _, /** @type {Api.Block[]} */ view) => drawn(view, pictures);
  const elsewhere = (/** @type {Lab.Trouble} */ error) => depth.refuses(error) && Boolean(ask());
  const answer = answers("context", { words: tr("embeddings.waiting"), troubles, elsewhere, drawn: shown, rows });
  const soon = later(400, ask);
  for (const field of [word, sentences]) field.addEventListener("input", soon);
  const box = h("div", {}, h("p", { class: "lead" }, tr("embeddings.context_lead")),
    labelled(word, tr("embeddings.word")),
    h("div", { class: "prompt" }, h("label", { for: ids.sentences }, tr("embeddings.sentences")), sentences, troubles),
    depth.box, answer.box);
  return { box, start: ask, stop: answer.stop };

  async function ask() {
    const lines = sentences.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const layer = depth.chosen();
    state.write({ word: word.value, sentences: sentences.value, layer });
    const option = layer === null ? {} : { layer };
    const result = await answer.ask({ word: word.value, sentences: lines, ...option }, {
      python: inPython(name, "context", [word.value], { sentences: lines, ...option }),
      command: onCommandLine(name, "context", [word.value, ...lines], layer === null ? {} : { "--layer": layer }),
    });
    if (result) depth.show(result);
  }
}

/**
 * The layer that is looked at: one of the address, else the model's own choice until the slider is moved. The slider is
 * there once the number of layers is known; `heard` is called when it moves.
 * @param {string} written
 * @param {() => unknown} heard
 */
function depths(written, heard) {
  let layer = /^\d+$/.test(written) ? Number(written) : null;
  /** @type {HTMLElement | null} */
  let slider = null;
  const [place, troubles] = [h("div", { class: "layer-slider" }), h("div", { class: "troubles" })];
  return { box: h("div", {}, place, troubles), chosen: () => layer, show, refuses };

  /** @param {Api.Context} result */
  function show({ layers, layer: shown }) {
    if (slider?.getAttribute("max") === String(layers.length - 1)) return;
    slider = sliderOf(layers.length, shown, (value) => { layer = value; fill(troubles); heard(); });
    fill(place, slider);
  }

  /**
   * Whether an error is about a layer of the address that this model does not have: it is said here, and forgotten.
   * @param {Lab.Trouble} error
   */
  function refuses(error) {
    if (error.field !== "layer" || layer === null) return false;
    layer = null;
    fill(troubles, fault(error));
    return true;
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
