// Small drawings of the terms of which a drawing says more than a sentence. They repeat it: nothing is in them alone.

import { h } from "../lib/dom.js";

const [WIDE, HIGH, TOKENS] = [240, 64, 5];
/** @param {number} place */
const across = (place) => 24 + place * 48; // where a token stands

/** @param {number} x @param {number} y @param {string} [kind] */
const dot = (x, y, kind = "dot") => h("circle:svg", { class: kind, cx: x, cy: y, r: 5 });
/** @param {string} d @param {{ thick?: number, kind?: string }} [how] */
const path = (d, { thick = 1.5, kind } = {}) => h("path:svg", { d, class: kind, "stroke-width": thick });
/** @param {string} said @param {number} x @param {number} y */
const letter = (said, x, y) => h("text:svg", { x, y, "text-anchor": "middle" }, said);
/** @param {number} y @param {number} [count] */
const row = (y, count = TOKENS) => Array.from({ length: count }, (_, place) => dot(across(place), y));

/** A line from a reader to a token that it reads. @param {number} from @param {number} to @param {number} thick */
function reads(from, to, thick, { low = 50, high = 14, kind = "strong" } = {}) {
  const [here, there] = [across(from), across(to)];
  return path(`M${here} ${high}C${here} ${low - 8} ${there} ${high + 8} ${there} ${low}`, { thick, kind });
}

/** @type {Record<string, () => Lab.Child[]>} */
const DRAWINGS = {
  attention: () => [reads(4, 3, 2), reads(4, 2, 6), reads(4, 0, 1), row(52), dot(across(4), 12, "dot strong")],
  query: () => [path(`M${across(4) - 14} 20C150 20 150 20 ${across(1) + 16} 20`, { kind: "dashed" }),
    path(`M${across(1) + 16} 48H${across(4) - 14}m-7 -5l7 5l-7 5`, { kind: "strong", thick: 2.5 }),
    letter("k", across(1), 24), letter("v", across(1), 52), letter("q", across(4), 24),
    dot(across(4), 48, "dot strong")],
  head: () => [reads(4, 3, 5), reads(4, 0, 4, { kind: "other" }), reads(4, 2, 2.5, { kind: "third" }),
    reads(4, 1, 2.5, { kind: "third" }), row(52), dot(across(4), 12)],
  mlp: () => [0, 2, 4].map((place) => [path(`M${across(place)} 52V44M${across(place)} 20V12`),
    path(`M${across(place) - 8} 44H${across(place) + 8}L${across(place) + 20} 32L${across(place) + 8} 20` +
      `H${across(place) - 8}L${across(place) - 20} 32Z`, { kind: "strong" }),
    dot(across(place), 55), dot(across(place), 9)]),
  norm: () => [h("circle:svg", { cx: 180, cy: 32, r: 26 }), path("M100 32h30m-7 -5l7 5l-7 5"),
    [[58, 4], [26, 26], [84, 48]].map(([x, y]) => [path(`M40 32L${x} ${y}`, { thick: 2.5 }),
      path(`M180 32L${end(x, y)}`, { thick: 2.5, kind: "strong" })])],
  residual: () => [path("M8 44H232", { thick: 4 }), [30, 130].map((x) => [
    path(`M${x} 44V16H${x + 58}V36m-5 -7l5 8l5 -8`, { kind: "strong", thick: 2 }), dot(x + 58, 44, "dot strong"),
    h("rect:svg", { x: x + 16, y: 6, width: 26, height: 20, rx: 4, class: "dot" })])],
  position: () => Array.from({ length: TOKENS }, (_, place) => [
    h("circle:svg", { cx: across(place), cy: 32, r: 17 }), path(`M${across(place)} 32l${turned(place)}`,
      { kind: "strong", thick: 2.5 })]),
  induction: () => [reads(4, 1, 5, { low: 38, high: 8 }), ["A", "B", "…", "…", "A"].map((said, place) =>
    letter(said, across(place), 56))],
};

/** The end of an arrow from (180, 32) of the length that all have, in the direction of one from (40, 32). */
function end(/** @type {number} */ x, /** @type {number} */ y) {
  const length = Math.hypot(x - 40, y - 32) || 1;
  return `${Math.round(180 + 26 * (x - 40) / length)} ${Math.round(32 + 26 * (y - 32) / length)}`;
}

/** A hand that a place has turned. @param {number} place */
const turned = (place) => `${Math.round(15 * Math.sin(0.9 * place))} ${Math.round(-15 * Math.cos(0.9 * place))}`;

/**
 * The drawing of a term, where there is one.
 * @param {string} key of the glossary
 */
export function meaning(key) {
  const parts = DRAWINGS[key]?.();
  if (!parts) return null;
  return h("svg:svg", { class: "meaning", viewBox: `0 0 ${WIDE} ${HIGH}`, "aria-hidden": "true" }, parts);
}
