// A model drawn from the text (below) to the next token (above): every area is a number of parameters, to scale.

import { h } from "../../lib/dom.js";
import { amount, has, number, tr } from "../../lib/words.js";

const TONES = { embeddings: 0, attention: 1, mlp: 2, norms: 3, head: 4, other: 5 };
const [HEIGHT, GAP] = [560, 4];
const LEAST = 13; // height of a block that can be read
const LETTER = 7.4;

export const blockName = (name) => (has(`card.block.${name}`) ? tr(`card.block.${name}`) : name);

/** An SVG of a card's structure, `width` units wide. */
export function architecture(card, width) {
  const parts = [...card.structure].reverse().filter((part) => part.parameters > 0);
  const scale = (width * HEIGHT) / Math.max(1, card.parameters.total); // square units a parameter
  const layers = parts.filter((part) => part.layer !== null);
  const told = new Set([layers[0], layers.at(-1), layers[Math.floor(layers.length / 2)]]);
  let y = 2;
  const rows = parts.map((part) => {
    const height = (part.parameters * scale) / width;
    const row = height < 0.2 ? null : h("g:svg", {}, drawn(part, cellsOf(part), { y, height, wide: width }),
      height < 2 * LEAST && told.has(part) && layers.length > 1 ? h("text:svg", { class: "name", x: width + 8, y: y + height / 2 + 4 }, number(part.layer + 1)) : null);
    y += height + Math.min(GAP, Math.max(0.6, height * 0.15));
    return row;
  });
  const says = parts.length ? tr("card.reading_up") : "";
  return h("svg:svg", { class: "drawing architecture", viewBox: `0 0 ${width + (rows.length > 24 ? 44 : 0)} ${y + 24}`, role: "img", "aria-label": `${tr("card.drawn")}: ${card.parameters.by_block.map((one) => `${blockName(one.block)} ${number(one.parameters)}`).join(", ")}` },
    rows, h("text:svg", { x: width / 2, y: y + 16, "text-anchor": "middle" }, says));
}

/** The blocks of one part, the last that a token meets first; what is too thin to be seen keeps its place in the sum. */
function cellsOf(part) {
  const inner = ["norms", "mlp", "attention"].filter((name) => part[name] > 0).map((name) => [name, part[name]]);
  if (part.layer === null || !inner.length) return [[part.part in TONES ? part.part : "other", part.parameters]];
  const rest = part.parameters - inner.reduce((sum, [, count]) => sum + count, 0);
  const all = rest > 0 ? [...inner, ["other", rest]] : inner;
  const wide = all.filter(([, count]) => count / part.parameters > 0.004);
  return wide.length ? wide : all;
}

function drawn(part, cells, { y: top, height: whole, wide: width }) {
  const sum = cells.reduce((total, [, count]) => total + count, 0);
  const x = 0;
  let y = top;
  return cells.map(([name, count]) => {
    const height = whole * (count / sum);
    const named = height >= LEAST;
    const label = part.layer === null ? blockName(name) : tr("card.of_layer", { layer: part.layer + 1, block: blockName(name) });
    const figure = amount(count);
    const cell = [h("rect:svg", { class: `cell c${TONES[name] ?? 5}`, x, y, width, height, rx: Math.min(4, height / 4), dataset: { parameters: count } }, h("title:svg", {}, `${label}: ${number(count)}`))];
    const said = [label, blockName(name)].find((one) => width > LETTER * one.length + 16); // in a narrow cell its neighbour tells the layer
    if (named && said) cell.push(h("text:svg", { class: "name", x: x + 9, y: y + Math.min(height / 2 + 4.5, 20) }, said));
    if (named && width > LETTER * (label.length + figure.length) + 34) cell.push(h("text:svg", { class: "name", x: x + width - 9, y: y + Math.min(height / 2 + 4.5, 20), "text-anchor": "end" }, figure));
    y += height;
    return cell;
  });
}
