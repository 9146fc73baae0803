// What could come next? The network's opinion of every token, and what the sliders make of it.

import { fill, framed, h, later, unique } from "../lib/dom.js";
import { named } from "../lib/tokens.js";
import { bits, number, percent, SURE, tr } from "../lib/words.js";
import { call, raw } from "../lib/api.js";
import * as state from "../lib/state.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { Distribution, entropyBits } from "../sampling.js";
import { frame } from "../parts/frame.js";
import { Awaited } from "../parts/awaited.js";
import { fault } from "../parts/fault.js";
import { promptField } from "../parts/prompt.js";
import { tabs } from "../parts/tabs.js";
import { help } from "../parts/terms.js";
import { Choosing } from "./next/choosing.js";
import { score } from "./score.js";

const KEPT = 100; // candidates whose text the page holds: as many as it ever draws
const [FEW, MANY] = [12, 48];

/** @typedef {{ id: number, rank: number, p: number, logit: number, cut: boolean, far?: boolean }} Row */
/** @typedef {{ found: Api.Prediction, distribution: Distribution }} Opinion */
/** @typedef {{ p: Float64Array, kept: number, place: number }} Drawn `place`: of the token asked for, or -1 */

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model }) {
  const name = model?.model ?? "boxed";
  const views = { next: () => new Next(name), score: () => score(name) };
  /** @type {Next | ReturnType<typeof score> | null} */
  let current = null;
  /** @type {Promise<unknown> | null} */
  let started = null;
  main.append(tabs({
    names: /** @type {(keyof typeof views)[]} */ (Object.keys(views)),
    label: tr("next.views"),
    title: (view) => tr(`next.tab.${view}`),
    open: (view, place) => {
      current?.stop();
      current = views[view]();
      place.replaceChildren(current.box);
      started = current.start();
    },
  }));
  return { drawn: started, leave: () => current?.stop() };
}

/**
 * The instrument. It stands in the page of its chapter, or apart, where the temperature alone is in sight; `onChange`
 * is called when what it shows has changed.
 */
export class Next {
  #name;
  #desk;
  /** @type {Opinion | null} */
  #opinion = null;
  /** @type {Map<number, string>} */
  #texts = new Map();
  #awaited;
  /** @type {AbortSignal | undefined} */
  #signal; // of the question that is asked last
  /** @type {Row[]} */
  #rows = [];
  #shown;
  #asLogits;
  #asked;
  #choosing;
  #field;
  #picked = (/** @type {CustomEvent<number>} */ event) => this.#append(event.detail);
  #bars = h("capot-bars", { pick: true, onpick: this.#picked });
  #picture;
  #rankSays = h("output", { class: "quiet rank" });
  #rankTroubles = h("div", { class: "troubles" });
  #legend = legend();
  #keep = later(250, () => this.#remember());
  #redraw = framed(() => this.#draw());

  /**
   * @param {string} name the model's
   * @param {{ desk?: Lab.Desk, onChange?: () => unknown }} [how]
   */
  constructor(name, { desk = state.page, onChange } = {}) {
    this.#name = name;
    this.#desk = desk;
    const saved = desk.read();
    this.#shown = Math.min(KEPT, Math.max(1, Number(saved.k) || FEW));
    this.#asLogits = saved.as === "logits";
    this.#asked = saved.rank ?? "";
    this.#choosing = new Choosing(saved, () => this.#changed());
    this.#field = promptField({ onChange: (text) => this.look(text), own: desk.prompt, rows: desk.whole ? 2 : 1,
      examples: tr("next.examples").split("|") });
    this.#awaited = new Awaited(this.#field.troubles, tr("home.waiting"));
    this.#picture = frame(this.#bars, { name: "next", onChange });
    this.box = h("div", {}, this.#field.box, this.#controls(desk.whole),
      this.#rankTroubles, this.#legend, this.#picture.box);
  }

  /** @param {boolean} all of them in sight */
  #controls(all) {
    const [temperature, ...filters] = this.#choosing.sliders;
    const tools = h("div", { class: "tools" },
      this.#scale(), this.#reset(), this.#count(), this.#rank(), this.#rankSays);
    if (all) return [h("div", { class: "sliders" }, temperature, filters), tools];
    return [h("div", { class: "sliders" }, temperature),
      h("details", {}, h("summary", {}, tr("generate.settings")), h("div", { class: "sliders" }, filters), tools)];
  }

  /** What makes the picture on show again. */
  page() {
    return this.#picture.page();
  }

  start() {
    return this.look();
  }

  stop() {
    this.#awaited.stop();
  }

  #changed() {
    this.#redraw();
    this.#keep();
  }

  /** Probabilities, or the logits as they are. */
  #scale() {
    const group = unique("scale");
    const kinds = ["probability", "logits"].map((kind) => {
      const onchange = () => { this.#asLogits = kind === "logits"; this.#changed(); };
      const checked = (kind === "logits") === this.#asLogits;
      return h("label", {},
        h("input", { type: "radio", name: group, value: kind, checked, onchange }),
        h("span", {}, tr(`next.as.${kind}`)));
    });
    return h("fieldset", { class: "switch" }, h("legend", { class: "offstage" }, tr("next.scale")), kinds);
  }

  #reset() {
    const onclick = () => { this.#choosing.reset(); this.#changed(); };
    return h("button", { type: "button", onclick }, tr("next.reset"));
  }

  #count() {
    const words = () => tr(this.#shown > FEW ? "next.fewer" : "next.more");
    /** @type {HTMLButtonElement} */
    const count = h("button", { type: "button", onclick: () => {
      this.#shown = this.#shown > FEW ? FEW : MANY;
      count.textContent = words();
      this.#changed();
    } }, words());
    return count;
  }

  /** The token that the visitor asks the rank of. */
  #rank() {
    const id = unique("rank");
    const onChange = later(250, () => { this.#asked = rank.value; this.#keep(); this.#lookUp(); });
    const props = { type: "text", value: this.#asked, size: 12, spellcheck: "false", oninput: onChange };
    /** @type {HTMLInputElement} */
    const rank = h("input", { id, ...props });
    const label = h("label", { for: id }, tr("next.rank_of"));
    return h("span", { class: "field inline" }, label, rank, help(tr("next.rank_of"), tr("next.hint.rank")));
  }

  #remember() {
    const [k, as] = [this.#shown === FEW ? "" : this.#shown, this.#asLogits ? "logits" : ""];
    this.#desk.write({ ...this.#choosing.kept, k, as, rank: this.#asked });
  }

  /** Ask for the candidates' texts and for every logit; the sliders need nothing more. */
  async look(text = this.#field.text) {
    this.stop();
    if (!text) return this.#clear();
    const found = await this.#awaited.ask(async ({ signal, queued }) => {
      this.#signal = signal;
      const answer = await raw("/api/next?logits=1", { prompt: text }, { signal, queued });
      const logits = new Float32Array(await answer.arrayBuffer());
      const told = await call("next", { prompt: text, k: KEPT }, { signal });
      this.#opinion = { found: told, distribution: new Distribution(logits) };
      this.#texts = new Map(told.candidates.map((one) => [one.id, named(one)]));
      this.#draw();
      return told;
    }, { again: () => this.look(), failed: () => this.#clear("") }); // bars of another text would pass for this one's
    if (found) await this.#lookUp();
  }

  async #lookUp() {
    const prompt = this.#field.text;
    const one = this.#asked && prompt && this.#opinion ? await this.#asks(prompt) : null;
    const opinion = this.#opinion;
    if (!opinion || prompt !== this.#field.text) return;
    this.#opinion = { ...opinion, found: { ...opinion.found, asked: one ? [one] : [] } };
    if (one) this.#texts.set(one.id, named(one));
    this.#draw();
  }

  /**
   * The rank of the token asked for; null where there is none such.
   * @param {string} prompt
   */
  async #asks(prompt) {
    try {
      const { asked } = await call("next", { prompt, k: 1, rank: [this.#asked] }, { signal: this.#signal });
      fill(this.#rankTroubles);
      return asked[0];
    } catch (error) {
      if (error.name !== "AbortError") fill(this.#rankTroubles, fault(error));
      return null;
    }
  }

  /**
   * A bar that is clicked: its token goes to the end of the text.
   * @param {number} index
   */
  #append(index) {
    const { id } = this.#rows[index];
    const text = this.#opinion?.found.candidates.find((one) => one.id === id)?.text;
    if (text) this.#field.set(this.#field.text + text, { focus: false });
  }

  #clear(caption = tr("next.empty")) {
    this.#opinion = null;
    this.#bars.rows = this.#rows = [];
    this.#legend.hidden = true;
    fill(this.#field.troubles);
    this.#picture.update({ caption, table: null, python: null, command: null, json: null, page: null });
    this.#rankSays.textContent = "";
  }

  #draw() {
    const opinion = this.#opinion;
    if (!opinion) return;
    const { distribution, found } = opinion;
    const { p, kept, order } = distribution.probabilities(this.#choosing.sampling);
    /** @type {(id: number, place: number) => Row} */
    const row = (id, place) =>
      ({ id, rank: distribution.rank(id), p: p[place], logit: distribution.logits[id], cut: place >= kept });
    const rows = Array.from(order.subarray(0, this.#shown), row);
    const one = found.asked[0];
    const place = one ? order.indexOf(one.id) : -1;
    if (place >= this.#shown) rows.push({ ...row(one.id, place), far: true });
    this.#rows = rows;
    const moved = Object.keys(this.#choosing.moved).length > 0;
    this.#bars.rows = this.#asBars(opinion, { ghosts: moved && !this.#asLogits });
    this.#legend.hidden = this.#asLogits || !moved;
    this.#tell(opinion, { p, kept, place });
  }

  /**
   * Bars begin at zero for probabilities; logits have no zero of their own, so the lowest one shown is nearly nothing.
   * @param {Opinion} opinion
   * @param {{ ghosts: boolean }} how ghosts show where a bar stood before a slider was moved
   * @returns {Lab.Bar[]}
   */
  #asBars({ found, distribution }, { ghosts }) {
    const [rows, asLogits] = [this.#rows, this.#asLogits];
    const logits = rows.map((row) => row.logit);
    const [high, low] = [Math.max(...logits), Math.min(...logits)];
    const reach = 1.06 * (high - low) || 1;
    const top = Math.max(rows[0].p, distribution.plain(rows[0].id));
    return rows.map(({ id, rank, p, logit, cut, far }) => ({
      label: this.#text(id),
      value: asLogits ? 1 - (high - logit) / reach : p / top,
      ghost: ghosts ? distribution.plain(id) / top : null,
      text: asLogits ? number(logit, 2) : percent(p),
      marked: id === found.asked[0]?.id,
      hint: tr("next.bar_hint", { id: String(id), rank, logit: number(logit, 2) }),
      cut,
      far,
    }));
  }

  /** @param {number} id */
  #text(id) {
    return this.#texts.get(id) ?? `⟨${id}⟩`;
  }

  /**
   * @param {Opinion} opinion
   * @param {Drawn} drawn
   */
  #tell({ found }, { p, kept, place }) {
    const [rows, entropy] = [this.#rows, entropyBits(p, kept)];
    this.#picture.update({
      caption: this.#caption(found, { first: rows[0], kept, entropy }),
      table: () => this.#table(rows),
      json: () =>
        ({ ...found, ...this.#choosing.values, kept, entropy_bits: entropy, candidates: rows.map(asJson(found)) }),
      ...this.#ways(found.prompt),
    });
    const [one] = found.asked;
    const key = one && one.tokens > 1 ? "next.rank_first" : "next.rank_said";
    const share = percent(place < 0 ? 0 : p[place]);
    this.#rankSays.textContent = one
      ? tr(key, { token: this.#text(one.id), rank: one.rank, share, asked: one.asked, count: one.tokens })
      : "";
  }

  /**
   * @param {Api.Prediction} found
   * @param {{ first: Row, kept: number, entropy: number }} drawn
   */
  #caption(found, { first, kept, entropy }) {
    const moved = Object.keys(this.#choosing.moved).length > 0;
    const all = `${moved ? "caption_drawn" : "caption"}${entropy < SURE ? "_sure" : ""}`;
    return tr(`next.${kept === 1 ? "caption_one" : all}`, {
      first: this.#text(first.id),
      share: percent(first.p),
      kept,
      vocabulary: found.vocabulary_size,
      entropy: bits(entropy, 2),
      choices: number(2 ** entropy, 1),
      own: bits(found.model_entropy_bits, 2),
      temperature: number(this.#choosing.values.temperature, 2),
    });
  }

  /** @param {Row[]} rows */
  #table(rows) {
    return {
      columns: [tr("next.rank"), tr("tokens.column.text"), "id", "logit", tr("next.probability")],
      rows: rows.map(({ id, rank, logit, p }) =>
        [number(rank), this.#text(id), id, number(logit, 3), percent(p)]),
    };
  }

  /**
   * Python, command and page that show the same.
   * @param {string} prompt
   * @returns {Lab.Facts}
   */
  #ways(prompt) {
    const [shown, moved, asked] = [this.#shown, this.#choosing.moved, this.#asked];
    const options = { k: shown, ...moved, ...(asked ? { rank: [asked] } : {}) };
    const sampled = Object.entries(moved).map(([name, value]) => [`--${name.replace("_", "-")}`, value]);
    const flags = { "-k": shown, ...Object.fromEntries(sampled), "--rank": asked || undefined };
    return {
      python: () => inPython(this.#name, "next", [prompt], options),
      command: () => onCommandLine(this.#name, "next", [prompt], flags),
      page: () => ({ verb: "next", arguments: { prompt, ...options } }),
    };
  }
}

/**
 * A row as JSON tells it, with what the server said of its token.
 * @param {Api.Prediction} found
 * @returns {(row: Row) => object}
 */
const asJson = ({ candidates }) => ({ id, rank, logit, p }) =>
  ({ ...candidates.find((one) => one.id === id), id, rank, logit, probability: p });

/** What the marks of the bars mean, once a slider has moved. */
const legend = () => h("p", { class: "quiet moved-key", hidden: true },
  h("i", { "aria-hidden": "true" }), tr("next.before"), " ", h("s", {}, tr("next.cut")), " ", tr("next.cut_is"));
