// Will it fit? Precisions down, cards across: a yes with the longest text, or a no with what the weights want.

import { h } from "../../lib/dom.js";
import { size, tr } from "../../lib/words.js";

const UNLIMITED = 2 ** 40; // tokens; where every layer has a window, nothing grows any more

/**
 * A size of a card as it is sold, with no digits of precision.
 * @param {number} bytes
 */
export const sold = (bytes) => size(bytes).replace(/[.,]0+(?=\u00a0)/, "");

/**
 * The table of `fits`, each cell a verdict in words, a sign and a shade.
 * @param {Api.CardsFit[]} fits
 */
export function verdicts(fits) {
  const cards = [...new Map(fits.map((one) => [`${one.gpus}:${one.gpu_bytes}`, one])).values()]
    .sort((a, b) => a.gpu_bytes - b.gpu_bytes || a.gpus - b.gpus);
  const precisions = [...new Set(fits.map((one) => one.precision))];
  const heads = cards.map((card) => h("th", { scope: "col" }, `${card.gpus} × ${sold(card.gpu_bytes)}`));
  const rows = precisions.map((precision) => row(fits.filter((one) => one.precision === precision), cards));
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": tr("memory.fit_title") },
    h("table", { class: "verdicts" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, tr("memory.precision")), heads)),
      h("tbody", {}, rows)));
}

/**
 * One precision, on all cards.
 * @param {Api.CardsFit[]} fits
 * @param {Api.CardsFit[]} cards
 */
function row(fits, cards) {
  const [{ precision, weights_bytes: weights }] = fits;
  const on = (/** @type {Api.CardsFit} */ { gpus, gpu_bytes: bytes }) =>
    fits.filter((one) => one.gpus === gpus && one.gpu_bytes === bytes);
  return h("tr", {},
    h("th", { scope: "row" }, h("b", {}, precision), h("span", { class: "quiet" }, ` ${size(weights)}`)),
    cards.flatMap(on).map(verdict));
}

/**
 * What the room left is for: a text, or as many as there is room for of the longest that the model was trained on.
 * @param {number} context
 * @param {Api.Users | null} trained
 */
function room(context, trained) {
  if (trained && context > trained.context)
    return tr("memory.fits_trained", { context: trained.context, count: trained.users });
  return context >= UNLIMITED ? tr("memory.fits_any") : tr("memory.fits", { context });
}

/** @param {Api.CardsFit} cell */
function verdict({ fits, max_context: context, concurrent, trained }) {
  const fit = fits && context > 0;
  const within = concurrent.filter((one) => !trained || one.context <= trained.context);
  const users = within.map((one) => tr("memory.users", { users: one.users, context: one.context })).join("\n");
  return h("td", { class: fit ? "fit" : "no-fit", title: fit ? users : undefined },
    h("span", { "aria-hidden": "true" }, fit ? "✓ " : "✗ "),
    fit ? room(context, trained) : tr(fits ? "memory.fits_barely" : "memory.no_fit"));
}
