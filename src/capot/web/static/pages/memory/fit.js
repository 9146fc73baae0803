// Will it fit? Precisions down, cards across: a yes with the longest text, or a no with what the weights want.

import { h } from "../../lib/dom.js";
import { size, tr } from "../../lib/words.js";

const UNLIMITED = 2 ** 40; // tokens; where every layer has a window, nothing grows any more

/** The table of `fits`, each cell a verdict in words, a sign and a shade. */
export function verdicts(fits) {
  const cards = [...new Set(fits.map((one) => `${one.gpus}:${one.gpu_bytes}`))].map((key) => key.split(":").map(Number)).sort((a, b) => a[1] - b[1] || a[0] - b[0]);
  const precisions = [...new Set(fits.map((one) => one.precision))];
  const found = (precision, [gpus, bytes]) => fits.find((one) => one.precision === precision && one.gpus === gpus && one.gpu_bytes === bytes);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": tr("memory.fit_title") },
    h("table", { class: "verdicts" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, tr("memory.precision")), cards.map(([gpus, bytes]) => h("th", { scope: "col" }, `${gpus} × ${size(bytes).replace(/[.,]0+(?=\u00a0)/, "")}`)))),
      h("tbody", {}, precisions.map((precision) => h("tr", {}, h("th", { scope: "row" }, h("b", {}, precision), h("span", { class: "quiet" }, ` ${size(found(precision, cards[0]).weights_bytes)}`)),
        cards.map((card) => verdict(found(precision, card))))))));
}

/** What the room left is for: a text, or as many as there is room for of the longest that the model was trained on. */
function room(context, trained) {
  if (trained && context > trained.context) return tr("memory.fits_trained", { context: trained.context, count: trained.users });
  return context >= UNLIMITED ? tr("memory.fits_any") : tr("memory.fits", { context });
}

function verdict({ fits, max_context: context, concurrent, trained }) {
  const fit = fits && context > 0;
  const within = concurrent.filter((one) => !trained || one.context <= trained.context);
  const users = within.map((one) => tr("memory.users", { users: one.users, context: one.context })).join("\n");
  return h("td", { class: fit ? "fit" : "no-fit", title: fit ? users : undefined }, h("span", { "aria-hidden": "true" }, fit ? "✓ " : "✗ "),
    fit ? room(context, trained) : tr(fits ? "memory.fits_barely" : "memory.no_fit"));
}
