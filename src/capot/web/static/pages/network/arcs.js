// What a token reads: a line from it to each token that it takes something of, the thicker the more.

import { h } from "../../lib/dom.js";
import { percent } from "../../lib/words.js";

const [LEAST, NAMED] = [0.004, 0.08]; // shares of attention: what is drawn, and what bears its number
const [THIN, THICK] = [0.8, 9]; // pixels
const HIGH = 92;
const [WIDE, TALL] = [88, 34]; // of a thumbnail
const FAINT = 0.03; // what a thumbnail leaves out

/**
 * Lines from the reader, at the top, to the tokens that it reads, at the bottom. `weights` are by position; `centers`
 * say where a position lies, undefined where it is not drawn.
 * @param {ArrayLike<number>} weights
 * @param {{ reader: number, centers: (number | undefined)[], width: number, label: string }} how
 */
export function arcs(weights, { reader, centers, width, label }) {
  const from = centers[reader] ?? 0;
  const [lines, names] = [/** @type {SVGElement[]} */ ([]), /** @type {SVGElement[]} */ ([])];
  for (let place = 0; place < weights.length; place += 1) {
    const [share, to] = [weights[place], centers[place]];
    if (to === undefined || share < LEAST) continue;
    lines.push(line(share, { from, to, high: HIGH - 16 }));
    if (share >= NAMED) names.push(h("text:svg", { class: "share", x: to, y: HIGH - 3, "text-anchor": "middle" },
      percent(share, 0)));
  }
  return h("svg:svg", { class: "drawing", role: "img", "aria-label": label, width, height: HIGH,
    viewBox: `0 0 ${width} ${HIGH}` }, lines, names);
}

/**
 * @param {number} share
 * @param {{ from: number, to: number, high: number, thick?: number }} how
 */
function line(share, { from, to, high, thick = THICK }) {
  const path = `M${at(from)} 0C${at(from)} ${at(0.7 * high)} ${at(to)} ${at(0.3 * high)} ${at(to)} ${at(high)}`;
  return h("path:svg", { class: "arc", d: path, "stroke-width": at(THIN + share * (thick - THIN)),
    opacity: at(0.3 + 0.7 * share) });
}

/** @param {number} value */
const at = (value) => Math.round(100 * value) / 100;

/**
 * The same as small as a stamp: every position of the text has its place, whatever is drawn beside.
 * @param {ArrayLike<number>} weights
 * @param {number} count how many tokens the text has
 */
export function thumbnail(weights, count) {
  const step = WIDE / Math.max(1, count);
  const center = (/** @type {number} */ place) => (place + 0.5) * step;
  const from = center(weights.length - 1);
  /** @type {SVGElement[]} */
  const lines = [];
  for (let place = 0; place < weights.length; place += 1)
    if (weights[place] >= FAINT) lines.push(line(weights[place], { from, to: center(place), high: TALL, thick: 5 }));
  return h("svg:svg", { class: "drawing", viewBox: `0 0 ${WIDE} ${TALL}`, "aria-hidden": "true" }, lines);
}
