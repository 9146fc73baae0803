// Words as points: added and removed as chips, drawn in the plane or in space, with their angles and their neighbours.

import { h, later } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import { lab } from "../../lib/lab.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { answers } from "../../parts/answer.js";
import { blocks, pictured, redrawn } from "../../parts/blocks.js";
import { chips } from "../../parts/chips.js";

const { start: NEAR, ...NEIGHBOURS } = lab.sliders.embed.near;

export function words(name) {
  const [saved, samples] = [state.read(), tr("embeddings.sample.words").split("|")];
  let dimensions = Number(saved.dimensions) === 3 ? 3 : 2;
  let near = Math.min(NEIGHBOURS.max, Math.max(NEIGHBOURS.min, Number(saved.near ?? NEAR) || 0));
  const picture = redrawn();
  const answer = answers("embed", { name: "embeddings", words: tr("embeddings.waiting"), drawn, rows });
  const list = chips(split(saved.words ?? samples[0]), { label: tr("embeddings.words"), heard: ask });
  const presets = h("div", { class: "examples" }, h("span", {}, tr("prompt.try")), samples.map((some) => h("button", { type: "button", class: "small", onclick: () => list.set(split(some)) }, split(some).slice(0, 3).join(", "), "…")));
  const space = h("fieldset", { class: "checks plain" }, h("legend", { class: "offstage" }, tr("embeddings.drawn_in")), [2, 3].map((count) => h("label", { class: "tick" }, h("input", { type: "radio", name: "dimensions", checked: count === dimensions, onchange: () => { dimensions = count; ask(list.words); } }), tr(`embeddings.dimensions.d${count}`))));
  const soon = later(150, () => ask(list.words));
  const neighbours = h("capot-slider", { ...NEIGHBOURS, value: near, label: tr("embeddings.near"), oninput: (event) => { if (event.detail) { near = event.detail.value; soon(); } } });
  const empty = h("p", { class: "quiet", hidden: true }, tr("embeddings.empty"));
  const box = h("div", {}, h("p", { class: "lead" }, tr("embeddings.words_lead")), list.box, presets, h("div", { class: "sliders" }, space, neighbours), empty, answer.box);
  return { box, start: () => ask(list.words), stop: answer.stop };

  async function ask(some) {
    state.write({ words: some.join(","), dimensions: dimensions === 3 ? 3 : "", near: near === NEAR ? "" : near });
    empty.hidden = some.length > 0;
    answer.hide(!some.length);
    if (!some.length) return answer.stop();
    const options = { dimensions, near };
    return answer.ask({ words: some, ...options }, {
      python: inPython(name, "embed", [some], options),
      command: onCommandLine(name, "embed", some, { "--dimensions": dimensions === 3 ? 3 : undefined, "--near": near === NEAR ? undefined : near }),
    });
  }

  /** The picture and the angles first, the neighbours, then how the words are written, folded. */
  function drawn(_, view) {
    const tables = view.filter((block) => block.block === "table");
    const [written, ...rest] = tables.filter((block) => !block.heat?.length);
    const texts = view.filter((block) => block.block === "text");
    const angles = tables.find((block) => block.heat?.length);
    const scatter = view.find((block) => block.block === "scatter");
    return [
      h("div", { class: "picture-and-angles" }, scatter ? pictured(scatter, picture(scatter)) : null, angles ? blocks([angles]) : null),
      blocks(rest), blocks(texts),
      h("details", {}, h("summary", {}, tr("embeddings.written")), blocks([...view.filter((block) => block.block === "facts"), written].filter(Boolean))),
    ];
  }

  function rows({ words: found, neighbours: close }) {
    const axes = ["x", "y", ...(dimensions === 3 ? ["z"] : [])];
    return {
      columns: [tr("embeddings.column.word"), ...axes, tr("embeddings.column.tokens"), ...(close.length ? [tr("embeddings.column.near")] : [])],
      rows: found.map((word, index) => [word.word, ...axes.map((axis) => number(word[axis], 4)), word.tokens.join(" + "), ...(close.length ? [close[index]?.near.map((one) => `${one.shown} ${number(one.cosine, 2)}`).join("  ") ?? ""] : [])]),
    };
  }
}

const split = (text) => text.split(",").filter(Boolean);
