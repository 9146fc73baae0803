// Heads and layers switched off, and what the next token becomes: the bars as they are, a tick where each was before.

import { fill, h, visible } from "../../lib/dom.js";
import { percent, tr } from "../../lib/words.js";
import { call } from "../../lib/api.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { frame } from "../../parts/frame.js";
import { fault, waiting } from "../../parts/fault.js";
import { choice } from "../../parts/ticks.js";

const [ASKED, SHOWN, FOLLOWING] = [40, 5, 12]; // candidates asked for, shown of each side; tokens of the texts
const BY = /** @type {const} */ (["zero", "mean"]);

/** @typedef {{ id: number, text: string, label: string, before?: number, after?: number }} Both */

/**
 * What is off, as the address keeps it: "2,5.1" are layer 2 and head 5.1.
 */
export class Switches {
  /** @type {Set<string>} */
  off;
  /** @type {typeof BY[number]} */
  by;
  #prompt = "";
  /** @type {AbortController | undefined} */
  #running;
  #chips = h("ul", { class: "chips" });
  #again = h("button", { type: "button", class: "small", onclick: () => this.clear() }, tr("network.all_on"));
  #none = h("p", { class: "quiet small" }, tr("network.switch_how"));
  #troubles = h("div", { class: "troubles" });
  #bars = h("capot-bars");
  #legend = h("p", { class: "quiet moved-key", hidden: true }, h("i", { "aria-hidden": "true" }),
    tr("network.tick_before"));
  #texts = h("dl", { class: "texts", hidden: true });
  #frame = frame(h("div", {}, this.#bars, this.#legend, this.#texts), { name: "ablate" });
  line = h("output", { class: "quiet" }); // the answer in a line, for who looks at the stamps
  #heard;
  #name;

  /** @param {{ name: string, heard: () => unknown, off: string[], by: string }} how */
  constructor({ name, heard, off, by }) {
    this.off = new Set(off);
    this.by = by === "mean" ? "mean" : "zero";
    this.#name = name;
    this.#heard = heard;
    const way = choice([...BY], { name: "by", legend: tr("network.by"), chosen: this.by,
      said: (one) => tr(`network.by_${one}`), heard: (one) => { this.by = one; this.#changed(); } });
    this.#way = h("div", {}, way);
    this.box = h("section", { class: "answered", "aria-label": tr("network.next") }, h("h2", {}, tr("network.next")),
      this.#none, h("div", { class: "row" }, this.#chips, this.#again), this.#way, this.#troubles, this.#frame.box);
  }

  #way;

  stop() {
    this.#running?.abort();
  }

  clear() {
    this.off.clear();
    this.#changed();
  }

  /** @param {string} name */
  turn(name) {
    if (!this.off.delete(name)) this.off.add(name);
    this.#changed();
  }

  #changed() {
    this.#heard();
    this.#tell();
    this.#ask();
  }

  /**
   * Another text, or another model: what is no part of it any more is on again.
   * @param {Api.NetworkInside} found
   */
  look(found) {
    const heads = new Set(found.heads.map((head) => `${head.layer}.${head.head}`));
    const layers = found.layers.length - 1;
    const layer = (/** @type {string} */ name) => /^\d+$/.test(name) && Number(name) >= 1 && Number(name) <= layers;
    for (const name of this.off) if (!heads.has(name) && !layer(name)) this.off.delete(name);
    this.#prompt = found.prompt;
    this.#tell();
    return this.#ask();
  }

  #tell() {
    const some = this.off.size > 0;
    const chip = (/** @type {string} */ name) => {
      const words = tr(name.includes(".") ? "network.head_off" : "network.layer_off", { name });
      return h("li", { class: "chip" }, h("span", {}, words), h("button", { type: "button",
        "aria-label": tr("network.on_again", { name: words }), onclick: () => this.turn(name) }, "×"));
    };
    fill(this.#chips, [...this.off].map(chip));
    this.#again.hidden = !some;
    this.#none.hidden = some;
    this.#way.hidden = !some;
  }

  /** @returns {Api.AblateRequest} */
  get #asked() {
    const heads = [...this.off].filter((name) => name.includes("."));
    const layers = [...this.off].filter((name) => !name.includes(".")).map(Number);
    return { prompt: this.#prompt, ...(heads.length ? { heads } : {}), ...(layers.length ? { layers } : {}),
      ...(this.by === "mean" ? { by: this.by } : {}) };
  }

  async #ask() {
    this.#running?.abort();
    const control = this.#running = new AbortController();
    const note = waiting(this.#troubles, tr("plain.waiting"), () => control.abort());
    const how = { signal: control.signal, queued: note.queued };
    try {
      if (this.off.size) this.#both(await call("ablate", { ...this.#asked, k: ASKED, max_new_tokens: FOLLOWING }, how));
      else this.#alone(await call("next", { prompt: this.#prompt, k: 2 * SHOWN }, how));
      fill(this.#troubles);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#clear();
      fill(this.#troubles, fault(error, () => this.#ask()));
    } finally {
      note.done();
    }
  }

  #clear() {
    this.#bars.rows = [];
    this.line.textContent = "";
    this.#texts.hidden = this.#legend.hidden = true;
    this.#frame.update({ caption: "", table: null, json: null, python: null, command: null, page: null });
  }

  /** @param {Api.Prediction} found */
  #alone(found) {
    const [first] = found.candidates;
    const rows = found.candidates.map((one) => ({ ...one, after: one.probability }));
    this.#draw(rows, { ghosts: false });
    fill(this.#texts);
    this.#texts.hidden = true;
    this.line.textContent = "";
    this.#frame.update({
      caption: tr("network.as_it_is", { token: shown(first), share: percent(first.probability) }),
      table: { columns: [tr("network.column.token"), tr("next.probability")],
        rows: found.candidates.map((one) => [shown(one), percent(one.probability)]) },
      json: found,
      python: inPython(this.#name, "next", [found.prompt], {}),
      command: onCommandLine(this.#name, "next", [found.prompt], {}),
      page: { verb: "next", arguments: { prompt: found.prompt } },
    });
  }

  /** @param {Api.Ablation} found */
  #both(found) {
    const rows = together(found);
    this.#draw(rows, { ghosts: true });
    fill(this.#texts, [["before", found.before.text], ["after", found.after.text]].map(([name, text]) =>
      [h("dt", {}, tr(`network.text_${name}`)), h("dd", {}, text.trim() || "–")]));
    this.#texts.hidden = false;
    const [first, then] = [found.before.candidates[0], found.after.candidates[0]];
    const { prompt, ...options } = this.#asked;
    const said = tr(first.id === then.id ? "network.kept" : "network.lost", { first: shown(first), then: shown(then),
      before: percent(first.probability), after: percent(then.probability), changed: percent(found.changed) });
    this.line.textContent = said;
    this.#frame.update({
      caption: `${said} ${tr("network.another_network")}`,
      table: { columns: ["token", "before", "after"].map((name) => tr(`network.column.${name}`)),
        rows: rows.map((one) => [shown(one), told(one.before), told(one.after)]) },
      json: found,
      python: inPython(this.#name, "ablate", [prompt], options),
      command: onCommandLine(this.#name, "ablate", [prompt], { "--heads": options.heads?.join(","),
        "--layers": options.layers?.join(","), "--by": options.by }),
      page: { verb: "ablate", arguments: { prompt, ...options } },
    });
  }

  /**
   * @param {Both[]} rows
   * @param {{ ghosts: boolean }} how
   */
  #draw(rows, { ghosts }) {
    const top = Math.max(...rows.map((one) => Math.max(one.after ?? 0, one.before ?? 0))) || 1;
    this.#bars.rows = rows.map((one) => ({
      label: shown(one),
      value: (one.after ?? 0) / top,
      ghost: ghosts && one.before !== undefined ? one.before / top : null,
      text: ghosts ? `${told(one.before)} → ${told(one.after)}` : told(one.after),
    }));
    this.#legend.hidden = !ghosts;
  }
}

/** @param {number | undefined} share */
const told = (share) => (share === undefined ? "–" : percent(share));

/** @param {{ text: string, label: string }} token */
const shown = ({ text, label }) => (text ? visible(text) : label);

/**
 * The first tokens of both answers, each with what it had before and what it has after.
 * @param {Api.Ablation} found
 * @returns {Both[]}
 */
function together({ before, after, moved }) {
  /** @type {Map<number, Both>} */
  const all = new Map();
  const put = (/** @type {Both} */ one) => all.set(one.id, { ...all.get(one.id), ...one });
  for (const { id, text, label, probability } of before.candidates) put({ id, text, label, before: probability });
  for (const { id, text, label, probability } of after.candidates) put({ id, text, label, after: probability });
  for (const one of moved) if (all.has(one.id)) put(one);
  const first = [...before.candidates.slice(0, SHOWN), ...after.candidates.slice(0, SHOWN)].map(({ id }) => id);
  return [...new Set(first)].map((id) => /** @type {Both} */ (all.get(id)));
}
