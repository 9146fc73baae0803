// Words as points: added and removed as chips, drawn in the plane or in space, with their angles and their neighbours.

import { h, later } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import { lab } from "../../lib/lab.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { answers } from "../../parts/answer.js";
import { blocks, ofKind, pictured, redrawn } from "../../parts/blocks.js";
import { chips } from "../../parts/chips.js";
import { choice } from "../../parts/ticks.js";

const { start: NEAR, ...NEIGHBOURS } = lab.sliders.embed.near;

/**
 * The instrument. `desk` keeps its words, and `onChange` is called when what it shows has changed.
 * @param {string} name the model's
 * @param {{ desk?: Lab.Desk, onChange?: () => unknown }} [how]
 */
export function words(name, { desk = state.page, onChange } = {}) {
  const [saved, samples] = [desk.read(), tr("embeddings.sample.words").split("|")];
  let dimensions = Number(saved.dimensions) === 3 ? 3 : 2;
  let near = Math.min(NEIGHBOURS.max, Math.max(NEIGHBOURS.min, Number(saved.near ?? NEAR) || 0));
  const picture = redrawn();
  /** @type {Api.Block[]} */
  let shownView = [];
  const answer = answers("embed", {
    name: "embeddings",
    words: tr("embeddings.waiting"),
    onChange,
    drawn: (_, view) => drawn(shownView = view, picture),
    rows: (result) => rows(result, dimensions),
  });
  const list = chips(split(saved.words ?? samples[0]), { label: tr("embeddings.words"), onChange: ask });
  const space = spaces(dimensions, (count) => { dimensions = count; ask(list.words); });
  const soon = later(150, () => ask(list.words));
  const moved = (/** @type {CustomEvent<{ value: number }>} */ { detail }) => {
    if (detail) { near = detail.value; soon(); }
  };
  const neighbours = h("capot-slider", { ...NEIGHBOURS, value: near, label: tr("embeddings.near"), oninput: moved });
  const empty = h("p", { class: "quiet", hidden: true }, tr("embeddings.empty"));
  const lead = desk.whole ? h("p", { class: "lead" }, tr("embeddings.words_lead")) : null;
  const box = h("div", {}, lead, list.box, desk.whole ? presets(samples, list.set) : null,
    h("div", { class: "sliders" }, space, neighbours), empty, answer.box);
  return { box, start: () => ask(list.words), stop: answer.stop, page: answer.page, view: () => shownView };

  /** @param {string[]} some */
  async function ask(some) {
    desk.write({ words: some.join(","), dimensions: dimensions === 3 ? 3 : "", near: near === NEAR ? "" : near });
    empty.hidden = some.length > 0;
    answer.hide(!some.length);
    if (!some.length) return answer.stop();
    const options = { dimensions, near };
    return answer.ask({ words: some, ...options }, ways(name, some, options));
  }
}

/**
 * Python and command that show the same.
 * @param {string} name
 * @param {string[]} some
 * @param {{ dimensions: number, near: number }} options
 */
function ways(name, some, { dimensions, near }) {
  const flags = {
    "--dimensions": dimensions === 3 ? 3 : undefined,
    "--near": near === NEAR ? undefined : near,
  };
  return {
    python: inPython(name, "embed", [some], { dimensions, near }), command: onCommandLine(name, "embed", some, flags),
  };
}

/** @param {string} text */
const split = (text) => text.split(",").filter(Boolean);

/**
 * Lists of words to begin with.
 * @param {string[]} samples
 * @param {(words: string[]) => unknown} set
 */
function presets(samples, set) {
  const button = (/** @type {string} */ some) =>
    h("button", { type: "button", class: "small", onclick: () => set(split(some)) },
      split(some).slice(0, 3).join(", "), "…");
  return h("div", { class: "examples" }, h("span", {}, tr("prompt.try")), samples.map(button));
}

/**
 * In the plane or in space.
 * @param {number} chosen
 * @param {(dimensions: number) => unknown} onChange
 */
function spaces(chosen, onChange) {
  const said = (/** @type {number} */ count) => tr(`embeddings.dimensions.d${count}`);
  const legend = tr("embeddings.drawn_in");
  return choice([2, 3], { name: "dimensions", legend, unseen: true, chosen, said, onChange });
}

/**
 * The picture and the angles first, the neighbours, then how the words are written, folded.
 * @param {Api.Block[]} view
 * @param {ReturnType<typeof redrawn>} picture
 */
function drawn(view, picture) {
  const tables = ofKind(view, "table");
  const [written, ...rest] = tables.filter((block) => !block.heat?.length);
  const angles = tables.find((block) => block.heat?.length);
  const [scatter] = ofKind(view, "scatter");
  return [
    h("div", { class: "picture-and-angles" },
      scatter ? pictured(scatter, picture(scatter)) : null, angles ? blocks([angles]) : null),
    blocks(rest),
    blocks(ofKind(view, "text")),
    h("details", {}, h("summary", {}, tr("embeddings.written")),
      blocks([...ofKind(view, "facts"), ...(written ? [written] : [])])),
  ];
}

/**
 * @param {Api.Embedding} result
 * @param {number} dimensions
 */
function rows({ words: found, neighbours }, dimensions) {
  const axes = /** @type {("x" | "y" | "z")[]} */ (["x", "y", "z"].slice(0, dimensions));
  const near = (/** @type {number} */ index) =>
    neighbours[index]?.near.map((one) => `${one.shown} ${number(one.cosine, 2)}`).join("  ") ?? "";
  const columns = [tr("embeddings.column.word"), ...axes, tr("embeddings.column.tokens")];
  return {
    columns: neighbours.length ? [...columns, tr("embeddings.column.near")] : columns,
    rows: found.map((word, index) => [
      word.word,
      ...axes.map((axis) => number(word[axis], 4)),
      word.tokens.join(" + "),
      ...(neighbours.length ? [near(index)] : []),
    ]),
  };
}
