// What the page of the network asks for first, and which cell and head it begins with.

import { named } from "../../lib/tokens.js";
import { percent, tr } from "../../lib/words.js";
import { callDrawn } from "../../lib/api.js";
import { headName } from "./heads.js";

/** @typedef {import("./grid.js").Place} Place */

/**
 * The answer, with what the last token reads where the model shows its attention.
 * @param {Api.NetworkRequest} asked
 * @param {import("../../lib/api.js").Options} how
 */
export async function callNetwork(asked, how) {
  try {
    return await callDrawn("network", { ...asked, reader: -1 }, how);
  } catch (error) {
    if (error.code !== "capability") throw error;
    return callDrawn("network", asked, how);
  }
}

/**
 * The head of a layer to begin with: at the last token the one that gives most to the logit, else the one that reads
 * most of another token than the first and itself.
 * @param {Api.NetworkInside} found
 * @param {Map<string, number[]>} reads
 * @param {Place} place
 */
export function telling(found, reads, { layer, position }) {
  const here = found.heads.filter((head) => head.layer === layer).map(headName);
  const given = position === found.tokens.length - 1
    ? found.contributions.filter((one) => one.layer === layer && one.head !== null) : [];
  if (given.length) return headName(/** @type {import("./heads.js").Head} */ (
    given.reduce((a, b) => (b.logit > a.logit ? b : a))));
  const other = (/** @type {string} */ name) => Math.max(0, ...(reads.get(name) ?? []).slice(1, -1));
  return here.reduce((a, b) => (other(b) > other(a) ? b : a), here[0] ?? "");
}

/** @param {number[][]} rows */
export const meanOf = (rows) => (rows[0] ?? []).map((_, place) =>
  rows.reduce((sum, row) => sum + row[place], 0) / rows.length);

/**
 * @param {Api.NetworkInside} found
 * @returns {Lab.Rows}
 */
export function guessTable({ tokens, layers }) {
  const names = ["layer", "position", "token", "guess", "probability"];
  return {
    columns: names.map((name) => tr(`network.column.${name}`)),
    rows: layers.toReversed().flatMap(({ layer, guesses }) => guesses.map((guess) =>
      [layer, guess.position, named(tokens[guess.position]), named(guess), percent(guess.probability)])),
  };
}
