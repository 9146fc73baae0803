// What adds up to one token's logit: a bar for each layer's parts, and their sum.

import { fill, h, labelled, later, unique } from "../../lib/dom.js";
import { named } from "../../lib/tokens.js";
import { number, tr } from "../../lib/words.js";
import { fault } from "../../parts/fault.js";
import { frame, heading } from "../../parts/frame.js";

/** @typedef {{ layer: number, part: string, logit: number }} Share */

/** The bars, and the field in which the token is chosen. */
export class Logit {
  #field;
  #offers = h("div", { class: "examples", "aria-label": tr("network.target_offers") });
  #bars = h("div", { class: "shares" });
  #frame = frame(this.#bars, { name: "logit" });
  #troubles = h("div", { class: "troubles", id: unique("target-troubles") });
  #wrong = false; // whether the model has refused the token that is typed

  /** @param {{ target: string, whole: boolean, onChange: () => unknown }} how `whole`: the page is its own */
  constructor({ target, whole, onChange }) {
    this.onChange = onChange;
    this.#field = h("input", { id: unique("target"), type: "text", spellcheck: "false", autocomplete: "off",
      value: target, oninput: later(400, onChange), "aria-describedby": this.#troubles.id });
    this.box = h("section", { hidden: true }, heading(whole, tr("network.logit_title")),
      labelled(this.#field, tr("network.target"), this.#offers, this.#troubles), this.#frame.box);
  }

  /**
   * The model has no such token as is typed, or null: nothing is refused yet.
   * @param {Lab.Trouble | null} error
   */
  refused(error) {
    this.#wrong = this.#frame.box.hidden = error !== null; // bars of another token would pass for those of this one
    this.#field.setAttribute("aria-invalid", String(this.#wrong));
    fill(this.#troubles, error && fault(error));
  }

  /** What is asked for, where the model has it. */
  get known() {
    return this.#wrong ? "" : this.target;
  }

  /** The token that is asked for; empty for the most probable one. */
  get target() {
    return this.#field.value;
  }

  /**
   * @param {Api.NetworkInside} found
   * @param {Lab.Facts} facts
   */
  draw(found, facts) {
    const { target, contributions } = found;
    this.box.hidden = !target;
    if (!target) return;
    const last = found.layers[found.layers.length - 1].guesses;
    const offered = last[last.length - 1].candidates;
    fill(this.#offers, h("span", {}, tr("prompt.try")), offered.map((one) => h("button", { type: "button",
      class: "small", onclick: () => this.#choose(one) }, named(one))));
    const shares = [...byPart(contributions), { layer: 0, part: "remainder", logit: found.remainder ?? 0 }];
    fill(this.#bars, diverging(shares, target));
    const most = shares.reduce((a, b) => (b.logit > a.logit ? b : a));
    const said = tr("network.logit_said", { token: named(target), logit: number(target.logit, 2),
      part: partName(most), most: number(most.logit, 2) });
    this.#frame.update({
      caption: [...firstOf(target), said].join(" "),
      table: () => ({ columns: ["part", "logit"].map((name) => tr(`network.column.${name}`)),
        rows: [...shares.map((one) => [partName(one), number(one.logit, 3)]),
          [tr("network.sum"), number(target.logit, 3)]] }),
      json: { target, contributions, remainder: found.remainder },
      ...facts,
    });
  }

  /** @param {{ id: number, text: string }} token */
  #choose({ id, text }) {
    this.#field.value = text.trim() ? text : `id:${id}`;
    this.onChange();
  }
}

/**
 * What is said where one token of several that were asked for is meant.
 * @param {{ id: number, text: string, tokens: number }} token
 */
export const firstOf = (token) =>
  (token.tokens > 1 ? [tr("network.first_of", { token: named(token), tokens: token.tokens })] : []);

/** @param {Api.Contribution[]} contributions */
function byPart(contributions) {
  /** @type {Map<string, Share>} */
  const totals = new Map();
  for (const { layer, part, logit } of contributions) {
    const key = `${layer} ${part}`;
    totals.set(key, { layer, part, logit: (totals.get(key)?.logit ?? 0) + logit });
  }
  return [...totals.values()];
}

/** @param {Share} share */
const partName = ({ layer, part }) => (layer
  ? tr("network.part.of_layer", { layer, part: tr(`network.part.${part}`) })
  : tr(`network.part.${part}`));

/**
 * Bars to the right of a line, and to its left where a part counts against the token; the sum stands below.
 * @param {Share[]} shares
 * @param {Api.TargetToken} target
 */
function diverging(shares, target) {
  const sum = { layer: 0, part: "sum", logit: target.logit };
  const all = [...shares, sum];
  const [low, high] = [Math.min(0, ...all.map((one) => one.logit)), Math.max(0, ...all.map((one) => one.logit))];
  const reach = high - low || 1;
  const row = (/** @type {Share} */ one) => h("li", { class: one === sum ? "sum" : undefined },
    h("span", { class: "name" }, one === sum ? tr("network.sum") : partName(one)),
    h("span", { class: "track", style: { "--zero": `${(-100 * low) / reach}%` } },
      h("i", { class: one.logit < 0 ? "against" : undefined, style: {
        left: `${(100 * (Math.min(0, one.logit) - low)) / reach}%`,
        width: `${(100 * Math.abs(one.logit)) / reach}%` } })),
    h("span", { class: "figure" }, number(one.logit, 2)));
  return h("ol", { class: "bars signed" }, all.map(row));
}
