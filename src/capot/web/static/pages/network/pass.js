// A pass, played in two seconds: the rows come up one after the other, with what a token reads on its way.

import { h } from "../../lib/dom.js";

const MS = 2000;
const [LEAST, THICK] = [0.02, 8]; // shares of attention that are drawn; pixels

/** Whether the visitor has asked for no motion. */
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * Play a pass over `rows`, from what enters the first layer up. `reads[layer - 1]` are the shares that the reader takes
 * from each position, the mean over the layer's heads. Returns what ends it at once.
 * @param {HTMLElement} box
 * @param {{ rows: HTMLTableRowElement[], reads: number[][], centers: (number | undefined)[], reader: number }} how
 */
export function play(box, { rows, reads, centers, reader }) {
  const step = MS / rows.length;
  const height = (/** @type {number} */ index) => rows[index].offsetTop + rows[index].offsetHeight / 2;
  const over = h("svg:svg", { class: "pass", "aria-hidden": "true", width: box.scrollWidth, height: box.scrollHeight });
  const layers = reads.map((shares, index) => h("g:svg", {}, shares.map((share, place) => share < LEAST ? null
    : line(share, [centers[place], height(index)], [centers[reader], height(index + 1)]))));
  over.append(...layers);
  box.append(over);
  box.classList.add("playing");
  const shown = rows.map((row, index) => row.animate([{ opacity: 0.06 }, { opacity: 1 }],
    { duration: step, delay: index * step, fill: "backwards", easing: "ease-out" }));
  const drawn = layers.map((layer, index) => layer.animate([{ opacity: 0 }, { opacity: 0.9 }, { opacity: 0 }],
    { duration: step, delay: (index + 1) * step, fill: "both" }));
  const all = [...shown, ...drawn];
  const end = () => { for (const one of all) one.cancel(); over.remove(); box.classList.remove("playing"); };
  all[rows.length - 1].onfinish = end;
  return end;
}

/**
 * @param {number} share
 * @param {[number | undefined, number]} from
 * @param {[number | undefined, number]} to
 */
function line(share, [x1, y1], [x2, y2]) {
  if (x1 === undefined || x2 === undefined) return null;
  return h("path:svg", { class: "arc", d: `M${x1} ${y1}C${x1} ${(y1 + y2) / 2} ${x2} ${(y1 + y2) / 2} ${x2} ${y2}`,
    "stroke-width": 1 + share * (THICK - 1) });
}
