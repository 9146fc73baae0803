// What could come next? The network's opinion of every token, and what the sliders make of it.

import { fill, framed, h, later, visible } from "../lib/dom.js";
import { number, percent, tr } from "../lib/words.js";
import { call, raw } from "../lib/api.js";
import * as state from "../lib/state.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { Distribution, entropyBits } from "../sampling.js";
import { frame } from "../parts/frame.js";
import { fault, waiting } from "../parts/fault.js";
import { promptField } from "../parts/prompt.js";

const KEPT = 60; // candidates whose text the page holds: more than it ever draws
const SLIDERS = {
  temperature: { min: 0, max: 3, step: 0.01, coarse: 0.25, start: 1 },
  top_k: { min: 0, max: 60, step: 1, coarse: 5, start: 0 },
  top_p: { min: 0.01, max: 1, step: 0.01, coarse: 0.1, start: 1 },
  min_p: { min: 0, max: 1, step: 0.01, coarse: 0.1, start: 0 },
};

export default async function page(main, { model }) {
  const saved = state.read();
  const setting = Object.fromEntries(Object.entries(SLIDERS).map(([name, bounds]) => [name, Number(saved[name] ?? bounds.start)]));
  let shown = Math.min(KEPT, Number(saved.k ?? 12)) || 12;
  let asLogits = saved.as === "logits";
  let asked = saved.rank ?? "";
  let found = null, distribution = null, running;

  const field = promptField({ heard: look, examples: ["The capital of Australia is", "La capitale de l'Australie est", "Il était une fois", "2 + 2 ="] });
  const bars = h("capot-bars");
  const picture = frame(bars, { name: "next" });
  const keep = later(250, () => state.write({ ...Object.fromEntries(Object.entries(setting).map(([name, value]) => [name, value === SLIDERS[name].start ? "" : value])), k: shown === 12 ? "" : shown, as: asLogits ? "logits" : "", rank: asked }));
  const redraw = framed(() => draw());
  const sliders = h("div", { class: "sliders" }, Object.entries(SLIDERS).map(([name, { min, max, step, coarse }]) =>
    h("capot-slider", { name, min, max, step, coarse, value: setting[name], label: tr(`next.${name}`), hint: tr(`next.hint.${name}`),
      oninput: (event) => { if (event.detail?.value === undefined) return; setting[name] = event.detail.value; redraw(); keep(); } })));
  const toggle = h("label", {}, h("input", { type: "checkbox", checked: asLogits, onchange: (event) => { asLogits = event.target.checked; redraw(); keep(); } }), tr("next.as_logits"));
  const rankField = h("input", { type: "text", value: asked, size: 14, oninput: later(250, (event) => { asked = event.target.value; keep(); look(field.text); }) });
  const rankSays = h("output", { class: "quiet" });
  const more = h("button", { type: "button", class: "small", onclick: () => { shown = shown >= KEPT ? 12 : Math.min(KEPT, shown + 16); redraw(); keep(); } }, tr("next.more"));
  main.append(field.box, sliders, picture.box,
    h("div", { class: "row" }, more, h("span", { class: "checks" }, toggle), h("label", { class: "field" }, tr("next.rank_of"), " ", rankField), rankSays));
  await look(field.text);

  async function look(text) {
    running?.abort();
    const control = running = new AbortController();
    if (!text) return clear();
    const note = waiting(field.troubles, tr("home.waiting"));
    try {
      const body = { prompt: text, k: KEPT, ...(asked ? { rank: [asked] } : {}) };
      const result = await call("next", body, { signal: control.signal });
      const answer = await raw("/api/next?logits=1", { prompt: text }, { signal: control.signal });
      const logits = new Float32Array(await answer.arrayBuffer());
      [found, distribution] = [result, new Distribution(logits)];
      fill(field.troubles);
      draw();
    } catch (error) {
      if (error.name !== "AbortError") fill(field.troubles, fault(error, () => look(field.text)));
    } finally {
      note.done();
    }
  }

  function clear() {
    [found, distribution, bars.rows] = [null, null, []];
    fill(field.troubles);
    picture.update({ caption: tr("next.empty"), table: null, python: null, command: null, json: null, page: null });
    rankSays.textContent = "";
  }

  function draw() {
    if (!distribution) return;
    const { p, kept, order } = distribution.probabilities({ temperature: setting.temperature, topK: setting.top_k, topP: setting.top_p, minP: setting.min_p });
    const texts = new Map(found.candidates.map((one) => [one.id, one.text]));
    const rows = Array.from(order.subarray(0, shown), (id, index) => ({ id, index, p: p[index], logit: distribution.logits[id], name: name(id, texts) }));
    const [high, low] = [rows[0].logit, rows.at(-1).logit];
    const scale = asLogits ? (row) => (row.logit - low + 0.05 * (high - low)) / (1.05 * (high - low) || 1) : (row) => row.p / p[0];
    bars.rows = rows.map((row) => ({ label: row.name, value: scale(row), text: asLogits ? number(row.logit, 2) : percent(row.p), marked: row.name === asked, cut: row.index >= kept, hint: `id ${row.id}` }));
    tell(rows, p, kept);
  }

  function name(id, texts) {
    return texts.get(id) ? visible(texts.get(id)) : `id ${id}`;
  }

  function tell(rows, p, kept) {
    const bits = entropyBits(p, kept);
    const options = { k: shown, temperature: setting.temperature };
    picture.update({
      caption: tr("next.caption", { first: rows[0].name, share: percent(p[0]), kept, vocabulary: found.vocabulary_size, entropy: number(bits, 2), choices: number(2 ** bits, 1), temperature: number(setting.temperature, 2) }),
      table: { columns: ["#", tr("tokens.column.text"), "id", "logit", tr("next.probability")], rows: rows.map((row) => [row.index + 1, row.name, row.id, number(row.logit, 3), percent(row.p, 4)]) },
      python: inPython(model?.model ?? "boxed", "next", [found.prompt], options),
      command: onCommandLine(model?.model ?? "boxed", "next", [found.prompt], { "-k": shown, "--temperature": setting.temperature }),
      json: found,
      page: { verb: "next", arguments: { prompt: found.prompt, ...options } },
    });
    const one = found.asked?.[0];
    rankSays.textContent = one ? tr("next.rank_said", { token: visible(one.text), rank: one.rank, share: percent(p[distribution.rank(one.id) - 1], 4) }) : "";
  }

  return { leave: () => running?.abort() };
}
