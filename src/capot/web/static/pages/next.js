// What could come next? The network's opinion of every token, and what the sliders make of it.

import { fill, framed, h, later, unique, visible } from "../lib/dom.js";
import { bits, number, percent, tr } from "../lib/words.js";
import { call, raw } from "../lib/api.js";
import { lab } from "../lib/lab.js";
import * as state from "../lib/state.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { Distribution, entropyBits } from "../sampling.js";
import { frame } from "../parts/frame.js";
import { fault, waiting } from "../parts/fault.js";
import { promptField } from "../parts/prompt.js";
import { restored } from "../parts/slider.js";
import { help } from "../parts/terms.js";

const KEPT = 100; // candidates whose text the page holds: as many as it ever draws
const FEW = 12;
const SLIDERS = lab.sliders.next;

export default async function page(main, { model }) {
  let saved = state.read();
  const setting = Object.fromEntries(Object.entries(SLIDERS).map(([name, bounds]) => [name, restored(saved[name], bounds)]));
  let shown = Math.min(KEPT, Math.max(1, Number(saved.k) || FEW));
  let asLogits = saved.as === "logits";
  let asked = saved.rank ?? "";
  let found = null, distribution = null, texts = new Map(), running;

  const field = promptField({ heard: look, examples: tr("next.examples").split("|") });
  const bars = h("capot-bars", { pick: true, onpick: (event) => append(bars.rows[event.detail]) });
  const picture = frame(bars, { name: "next" });
  const keep = later(250, remember);
  const redraw = framed(draw);
  const sliders = Object.entries(SLIDERS).map(([name, bounds]) => slider(name, bounds));
  const rankSays = h("output", { class: "quiet rank" });
  const rankTroubles = h("div", { class: "troubles" });
  const legend = h("p", { class: "quiet moved-key", hidden: true }, h("i", { "aria-hidden": "true" }), tr("next.before"), " ", h("s", {}, tr("next.cut")), " ", tr("next.cut_is"));
  main.append(field.box, h("div", { class: "sliders" }, sliders), tools(), rankTroubles, legend, picture.box);
  await look(field.text);

  function slider(name, { min, max, step, coarse }) {
    return h("capot-slider", { name, min, max, step, coarse, value: setting[name], label: tr(`next.${name}`), hint: tr(`next.hint.${name}`),
      oninput: (event) => { if (event.detail?.value === undefined) return; setting[name] = event.detail.value; redraw(); keep(); } });
  }

  function tools() {
    const scale = h("fieldset", { class: "switch" }, h("legend", { class: "offstage" }, tr("next.scale")), ["probability", "logits"].map((kind) => h("label", {},
      h("input", { type: "radio", name: "scale", value: kind, checked: (kind === "logits") === asLogits, onchange: () => { asLogits = kind === "logits"; redraw(); keep(); } }), h("span", {}, tr(`next.as.${kind}`)))));
    const id = unique("rank");
    const rank = h("input", { id, type: "text", value: asked, size: 12, spellcheck: "false", oninput: later(250, (event) => { asked = event.target.value; keep(); lookUp(); }) });
    const count = h("button", { type: "button", onclick: () => { shown = shown > FEW ? FEW : 48; count.textContent = tr(shown > FEW ? "next.fewer" : "next.more"); redraw(); keep(); } }, tr(shown > FEW ? "next.fewer" : "next.more"));
    const reset = h("button", { type: "button", onclick: () => {
      for (const one of sliders) one.value = setting[one.getAttribute("name")] = SLIDERS[one.getAttribute("name")].start;
      saved = {};
      redraw(); keep();
    } }, tr("next.reset"));
    return h("div", { class: "tools" }, scale, reset, count, h("span", { class: "field inline" }, h("label", { for: id }, tr("next.rank_of")), rank, help(tr("next.rank_of"), tr("next.hint.rank"))), rankSays);
  }

  function remember() {
    const usual = (name, value) => value === SLIDERS[name].start && saved[name] === undefined; // what was asked for is said, were it the usual
    const moved = Object.entries(setting).map(([name, value]) => [name, usual(name, value) ? "" : value]);
    state.write({ ...Object.fromEntries(moved), k: shown === FEW ? "" : shown, as: asLogits ? "logits" : "", rank: asked });
  }

  /** Ask for the candidates' texts and for every logit; the sliders need nothing more. */
  async function look(text) {
    running?.abort();
    const control = running = new AbortController();
    if (!text) return clear();
    const note = waiting(field.troubles, tr("home.waiting"), () => control.abort());
    try {
      const answer = await raw("/api/next?logits=1", { prompt: text }, { signal: control.signal, queued: note.queued });
      const logits = new Float32Array(await answer.arrayBuffer());
      const result = await call("next", { prompt: text, k: KEPT }, { signal: control.signal });
      [found, distribution] = [result, new Distribution(logits)];
      texts = new Map(result.candidates.map((one) => [one.id, one.text ? visible(one.text) : one.label]));
      fill(field.troubles);
      draw();
      await lookUp();
    } catch (error) {
      if (error.name === "AbortError") return;
      clear(""); // bars of another text would pass for this one's
      fill(field.troubles, fault(error, () => look(field.text)));
    } finally {
      note.done();
    }
  }

  /** The token that the visitor asks the rank of. */
  async function lookUp() {
    const prompt = field.text;
    let one = null;
    if (asked && prompt && distribution) {
      try {
        one = (await call("next", { prompt, k: 1, rank: [asked] }, { signal: running.signal })).asked[0];
        fill(rankTroubles);
      } catch (error) {
        if (error.name !== "AbortError") fill(rankTroubles, fault(error));
      }
    }
    if (!found || prompt !== field.text) return;
    found = { ...found, asked: one ? [one] : [] };
    if (one) texts.set(one.id, one.text ? visible(one.text) : one.label);
    draw();
  }

  /** A bar that is clicked: its token goes to the end of the text. */
  function append(row) {
    const text = found.candidates.find((one) => one.id === row.id)?.text;
    if (text) field.set(field.text + text, { focus: false });
  }

  function clear(caption = tr("next.empty")) {
    [found, distribution, bars.rows, legend.hidden] = [null, null, [], true];
    fill(field.troubles);
    picture.update({ caption, table: null, python: null, command: null, json: null, page: null });
    rankSays.textContent = "";
  }

  function draw() {
    if (!distribution) return;
    const { p, kept, order } = distribution.probabilities({ temperature: setting.temperature, topK: setting.top_k, topP: setting.top_p, minP: setting.min_p });
    const rows = Array.from(order.subarray(0, shown), (id, index) => ({ id, rank: distribution.rank(id), p: p[index], logit: distribution.logits[id], cut: index >= kept }));
    const one = found.asked[0];
    const place = one ? order.indexOf(one.id) : -1;
    if (place >= shown) rows.push({ id: one.id, rank: distribution.rank(one.id), p: p[place], logit: distribution.logits[one.id], cut: place >= kept, far: true });
    bars.rows = rows.map(asBar(rows, one));
    legend.hidden = asLogits || !moved();
    tell(rows, { p, kept, share: place < 0 ? 0 : p[place] });
  }

  /** Whether any slider is elsewhere than where the model is as it is. */
  function moved() {
    return Object.entries(setting).some(([name, value]) => value !== SLIDERS[name].start);
  }

  /** Bars begin at zero for probabilities; logits have no zero of their own, so the lowest one shown is nearly nothing. */
  function asBar(rows, one) {
    const logits = rows.map((row) => row.logit);
    const [high, low] = [Math.max(...logits), Math.min(...logits)];
    const reach = 1.06 * (high - low) || 1;
    const top = Math.max(rows[0].p, distribution.plain(rows[0].id));
    return (row) => ({
      ...row,
      label: texts.get(row.id) ?? `id ${row.id}`,
      value: asLogits ? 1 - (high - row.logit) / reach : row.p / top,
      ghost: moved() && !asLogits ? distribution.plain(row.id) / top : null,
      text: asLogits ? number(row.logit, 2) : percent(row.p),
      marked: row.id === one?.id,
      hint: tr("next.bar_hint", { id: String(row.id), rank: row.rank, logit: number(row.logit, 2) }),
    });
  }

  function tell(rows, { p, kept, share }) {
    const drawn = entropyBits(p, kept);
    const given = Object.fromEntries(Object.entries(setting).filter(([name, value]) => value !== SLIDERS[name].start));
    const options = { k: shown, ...given, ...(asked ? { rank: [asked] } : {}) };
    const flags = { "-k": shown, ...Object.fromEntries(Object.entries(given).map(([name, value]) => [`--${name.replace("_", "-")}`, value])), "--rank": asked || undefined };
    const name = (id) => texts.get(id) ?? `id ${id}`;
    const one = found.asked[0];
    picture.update({
      caption: tr(`next.${kept === 1 ? "caption_one" : moved() ? "caption_drawn" : "caption"}`, { first: name(rows[0].id), share: percent(p[0]), kept, vocabulary: found.vocabulary_size, entropy: bits(drawn, 2), choices: number(2 ** drawn, 1), own: bits(found.model_entropy_bits, 2), temperature: number(setting.temperature, 2) }),
      table: () => ({ columns: [tr("next.rank"), tr("tokens.column.text"), "id", "logit", tr("next.probability")], rows: rows.map((row) => [number(row.rank), name(row.id), row.id, number(row.logit, 3), percent(row.p, 4)]) }),
      python: () => inPython(model?.model ?? "boxed", "next", [found.prompt], options),
      command: () => onCommandLine(model?.model ?? "boxed", "next", [found.prompt], flags),
      json: () => ({ ...found, ...setting, kept, entropy_bits: drawn, candidates: rows.map((row) => ({ ...found.candidates.find((each) => each.id === row.id), id: row.id, rank: row.rank, logit: row.logit, probability: row.p })) }),
      page: () => ({ verb: "next", arguments: { prompt: found.prompt, ...options } }),
    });
    const key = one && one.tokens > 1 ? "next.rank_first" : "next.rank_said";
    rankSays.textContent = one ? tr(key, { token: name(one.id), rank: one.rank, share: percent(share), asked: one.asked, count: one.tokens }) : "";
  }

  return { leave: () => running?.abort() };
}
