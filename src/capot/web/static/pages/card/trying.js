// The card's sum, to be moved: another shape, another number format, another length of text. Does it fit?

import { fill, h, labelled, later, unique } from "../../lib/dom.js";
import { call } from "../../lib/api.js";
import { size, tr, unwritten } from "../../lib/words.js";
import { Awaited } from "../../parts/awaited.js";
import { heading } from "../../parts/frame.js";

const FORMATS = { fp32: "float32", bf16: "bfloat16", fp8: "fp8", int8: "int8", int4: "int4" };
const TOKENS = 2048; // of context, where the card says none

/** The fields, and beneath them the sum and the verdict. */
export class Trying {
  #own;
  #published;
  #known;
  #format = h("select", { id: unique("format") },
    Object.keys(FORMATS).map((one) => h("option", { value: one }, one)));
  #tokens = h("input", { id: unique("context"), type: "text", inputmode: "numeric", size: 9, autocomplete: "off" });
  #place = h("div", { role: "status" });
  #troubles = h("div", { class: "troubles" });
  #awaited = new Awaited(this.#troubles);
  /** @type {Api.Card | null} */
  #card = null;

  /**
   * @param {string} name the model's
   * @param {{ published: boolean }} how `published`: other models' shapes are offered too
   */
  constructor(name, { published }) {
    this.#published = published;
    this.#own = h("option", { value: "" }, tr("memory.this_model", { name }));
    this.#known = h("select", { id: unique("shape") }, this.#own);
    const soon = later(200, () => this.#weigh());
    for (const part of [this.#known, this.#format, this.#tokens]) part.addEventListener("input", soon);
    const fields = h("div", { class: "row" }, published ? labelled(this.#known, tr("memory.model")) : null,
      labelled(this.#format, tr("memory.precision")), labelled(this.#tokens, tr("card.try.tokens")));
    this.box = h("section", { class: "trying", hidden: true }, heading(false, tr("card.try.title")), fields,
      this.#troubles, this.#place);
  }

  /**
   * Begin with the model at hand as it is.
   * @param {Api.Card} card
   */
  async start(card) {
    if (this.#card) return;
    this.#card = card;
    this.box.hidden = false;
    this.#format.value = Object.entries(FORMATS).find(([, long]) => long === card.dtype)?.[0] ?? "bf16";
    this.#tokens.value = String(card.context_length ?? TOKENS);
    await this.#weigh();
    if (!this.#published) return;
    const { known } = await call("card", { known: true }).catch(() => ({ known: [] }));
    this.#known.append(...known.map((one) => h("option", { value: one.name }, one.name)));
  }

  /** @returns {Promise<unknown>} */
  async #weigh() {
    const typed = this.#tokens.value;
    const asked = { tokens: Number.isNaN(unwritten(typed)) ? typed : String(unwritten(typed)), simulate: true,
      precision: this.#format.value, known: this.#known.value };
    return this.#awaited.ask(async (how) => {
      const found = await call("memory", asked, how);
      if (this.#card) fill(this.#place, told(found, this.#card.memory));
    }, { again: () => this.#weigh(), failed: () => fill(this.#place) });
  }

  stop() {
    this.#awaited.stop();
  }
}

/**
 * Whether so many bytes fit.
 * @param {number} sum
 * @param {Api.Card["memory"]} machine
 */
function verdictOn(sum, { available_bytes: free, total_bytes: whole }) {
  if (free === null) return "unknown";
  if (sum <= free) return "fits";
  return sum <= (whole ?? 0) ? "tight" : "no";
}

/**
 * The parts of the sum as bars, beside what the machine has, and the verdict in words.
 * @param {Api.Memory} found
 * @param {Api.Card["memory"]} machine
 */
function told({ weights_bytes: weights, precision, rows: [row] }, machine) {
  const { available_bytes: free, total_bytes: whole } = machine;
  const cache = row.computed.kv_cache;
  const sum = weights + cache;
  const most = Math.max(weights, cache, free ?? 0);
  const bar = (/** @type {string} */ part, /** @type {number} */ bytes) =>
    ({ label: tr(`card.try.${part}`), value: bytes / most, text: size(bytes), marked: part === "free" });
  const bars = [bar("weights", weights), bar("cache", cache), ...(free === null ? [] : [bar("free", free)])];
  const facts = { weights: size(weights), precision, cache: size(cache), tokens: row.tokens, sum: size(sum),
    free: size(free ?? 0), whole: size(whole ?? 0) };
  return [h("capot-bars", { rows: bars }), h("p", { class: "caption" },
    `${tr("card.try.said", facts)} ${tr(`card.try.is.${verdictOn(sum, machine)}`, facts)}`)];
}
