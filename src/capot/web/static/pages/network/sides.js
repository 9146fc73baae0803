// The next token before and after something was changed: the bars as they are, a tick where each was, and both texts.

import { fill, h } from "../../lib/dom.js";
import { named } from "../../lib/tokens.js";
import { percent, tr } from "../../lib/words.js";
import { frame } from "../../parts/frame.js";

/** What both answers are asked with, the one before and the one after: candidates, and tokens of the texts. */
export const BOTH = { k: 40, max_new_tokens: 12 };
const SHOWN = 5; // candidates of each side

/** @typedef {{ id: number, text: string, label: string, before?: number, after?: number }} Both */
/** @typedef {Pick<Api.Ablation, "before" | "after" | "moved" | "changed">} Compared */

/** The bars with what is said of them. */
export class Sides {
  #bars = h("capot-bars");
  #legend = h("p", { class: "quiet moved-key", hidden: true }, h("i", { "aria-hidden": "true" }),
    tr("network.tick_before"));
  #texts = h("dl", { class: "texts", hidden: true });
  #frame;

  /** @param {string} name of what is kept of it */
  constructor(name) {
    this.#frame = frame(h("div", {}, this.#bars, this.#legend, this.#texts), { name });
    this.box = this.#frame.box;
  }

  clear() {
    this.#bars.rows = [];
    this.#texts.hidden = this.#legend.hidden = true;
    this.#frame.update({ caption: "", table: null, json: null, python: null, command: null, page: null });
  }

  /**
   * One answer, nothing being changed.
   * @param {Api.Prediction} found
   * @param {Lab.Facts} ways
   */
  alone(found, ways) {
    const [first] = found.candidates;
    this.#draw(found.candidates.map((one) => ({ ...one, after: one.probability })), { ghosts: false });
    fill(this.#texts);
    this.#texts.hidden = true;
    this.#frame.update({
      caption: tr("network.as_it_is", { token: named(first), share: percent(first.probability) }),
      table: { columns: [tr("network.column.token"), tr("next.probability")],
        rows: found.candidates.map((one) => [named(one), percent(one.probability)]) },
      json: found,
      ...ways,
    });
  }

  /**
   * Two answers; returns the sentence that compares them.
   * @param {Compared} found
   * @param {{ limits: string, ways: Lab.Facts }} how
   */
  both(found, { limits, ways }) {
    const rows = together(found);
    const least = { before: leastOf(found.before), after: leastOf(found.after) };
    this.#draw(rows, { ghosts: true, least });
    fill(this.#texts, [["before", found.before.text], ["after", found.after.text]].map(([name, text]) =>
      [h("dt", {}, tr(`network.text_${name}`)), h("dd", {}, text.trim() || "–")]));
    this.#texts.hidden = false;
    const [first, then] = [found.before.candidates[0], found.after.candidates[0]];
    const said = tr(first.id === then.id ? "network.kept" : "network.lost", { first: named(first), then: named(then),
      before: percent(first.probability), after: percent(then.probability), changed: percent(found.changed) });
    this.#frame.update({
      caption: `${said} ${limits}`,
      table: { columns: ["token", "before", "after"].map((name) => tr(`network.column.${name}`)),
        rows: rows.map((one) => [named(one), ...shares(one, least)]) },
      json: found,
      ...ways,
    });
    return said;
  }

  /**
   * @param {Both[]} rows
   * @param {{ ghosts: boolean, least?: { before: number, after: number } }} how
   */
  #draw(rows, { ghosts, least = { before: 0, after: 0 } }) {
    const top = Math.max(...rows.map((one) => Math.max(one.after ?? 0, one.before ?? 0))) || 1;
    this.#bars.rows = rows.map((one) => ({
      label: named(one),
      value: (one.after ?? 0) / top,
      ghost: ghosts && one.before !== undefined ? one.before / top : null,
      text: ghosts ? shares(one, least).join(" → ") : percent(one.after ?? 0),
    }));
    this.#legend.hidden = !ghosts;
  }
}

/**
 * A probability; of a token that is none of the candidates, that it is less than the least of theirs.
 * @param {number | undefined} share
 * @param {number} least
 */
const shownShare = (share, least) => (share === undefined ? `< ${percent(least).replace(/^< /, "")}` : percent(share));

/**
 * Both probabilities of a token.
 * @param {Both} one
 * @param {{ before: number, after: number }} least
 */
const shares = ({ before, after }, least) => [shownShare(before, least.before), shownShare(after, least.after)];

/** @param {Api.Side} side */
const leastOf = ({ candidates }) => candidates[candidates.length - 1].probability;

/**
 * The first tokens of both answers, each with what it had before and what it has after.
 * @param {Compared} found
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
