// A model drawn from the text (below) to the next token (above): every area is a number of parameters, to scale.

import { h } from "../../lib/dom.js";
import { amount, has, number, tr } from "../../lib/words.js";

/** @type {Record<string, number>} */
const TONES = { embeddings: 0, attention: 1, mlp: 2, norms: 3, head: 4, other: 5, state: 5 };
const INNER = /** @type {const} */ (["norms", "mlp", "attention"]);
const [HEIGHT, GAP] = [640, 4];
const LEAST = 13; // height of a block that can be read
const LETTER = 7.4;

/** @typedef {{ name: string, count: number }} Cell a block of a part, and its parameters */
/** @typedef {{ y: number, height: number, width: number }} Place where a part is drawn */

/** @param {string} name */
export const blockName = (name) => (has(`card.block.${name}`) ? tr(`card.block.${name}`) : name);

/**
 * A block by what it is in this model: where layers keep a state, what is none of the usual ones mixes tokens there.
 * @param {string} name
 * @param {Api.Card} card
 */
export const blockOf = (name, { memory }) => (name === "other" && memory.state_bytes !== 0 ? "state" : name);

/**
 * An SVG of a card's structure, `width` units wide.
 * @param {Api.Card} card
 * @param {number} width
 */
export function architecture(card, width) {
  const { structure, parameters } = card;
  const parts = [...structure].reverse().filter((part) => part.parameters > 0);
  const scale = (width * HEIGHT) / Math.max(1, parameters.total); // square units a parameter
  const layers = parts.filter((part) => part.layer !== null);
  const numbered = new Set([layers[0], layers[layers.length - 1], layers[Math.floor(layers.length / 2)]]);
  let y = 2;
  const rows = parts.map((part) => {
    const place = { y, height: (part.parameters * scale) / width, width };
    y += place.height + Math.min(GAP, Math.max(0.6, place.height * 0.15));
    const how = { numbered: numbered.has(part) && layers.length > 1, rest: blockOf("other", card) };
    return place.height < 0.2 ? null : row(part, place, how);
  });
  const named = parameters.by_block.map((one) => ({ ...one, name: blockName(blockOf(one.block, card)) }));
  const said = named.map((one) => `${one.name} ${number(one.parameters)}`).join(", ");
  const attends = parameters.by_block.some(({ block, parameters: count }) => block === "attention" && count > 0);
  const view = `0 0 ${width + (rows.length > 24 ? 44 : 0)} ${y + 24}`;
  const label = `${tr("card.drawn")}: ${said}`;
  const end = { x: width / 2, y: y + 16, "text-anchor": "middle" };
  return h("svg:svg", { class: "drawing architecture", viewBox: view, role: "img", "aria-label": label },
    rows, h("text:svg", end, parts.length ? tr(attends ? "card.reading_up" : "card.reading_up_state") : ""));
}

/**
 * A part, and beside one that is too low to hold its words, the number of its layer.
 * @param {Api.NetworkPart} part
 * @param {Place} place
 * @param {{ numbered: boolean, rest: string }} how
 */
function row(part, { y, height, width }, { numbered, rest }) {
  const beside = { class: "name", x: width + 8, y: y + height / 2 + 4 };
  const layer = height < 2 * LEAST && numbered ? h("text:svg", beside, number(Number(part.layer) + 1)) : null;
  return h("g:svg", {}, drawn(part, cellsOf(part, rest), { y, height, width }), layer);
}

/**
 * The blocks of one part, the last that a token meets first; what is too thin to be seen keeps its place in the sum.
 * @param {Api.NetworkPart} part
 * @param {string} other what the rest of a layer is called
 * @returns {Cell[]}
 */
function cellsOf(part, other) {
  const inner = INNER.map((name) => ({ name, count: part[name] })).filter(({ count }) => count > 0);
  if (part.layer === null || !inner.length)
    return [{ name: part.part in TONES ? part.part : "other", count: part.parameters }];
  const rest = part.parameters - inner.reduce((sum, { count }) => sum + count, 0);
  const all = rest > 0 ? [...inner, { name: other, count: rest }] : inner;
  const wide = all.filter(({ count }) => count / part.parameters > 0.004);
  return wide.length ? wide : all;
}

/**
 * @param {Api.NetworkPart} part
 * @param {Cell[]} cells
 * @param {Place} place
 */
function drawn(part, cells, { y: top, height: whole, width }) {
  const sum = cells.reduce((total, { count }) => total + count, 0);
  let y = top;
  return cells.map((cell) => {
    const place = { y, height: whole * (cell.count / sum), width };
    y += place.height;
    return drawnCell(cell, part.layer, place);
  });
}

/**
 * One block: an area, and in it what it is and how many parameters it has, where there is room for the words.
 * @param {Cell} cell
 * @param {number | null} layer
 * @param {Place} place
 */
function drawnCell({ name, count }, layer, { y, height, width }) {
  const block = blockName(name);
  const label = layer === null ? block : tr("card.of_layer", { layer: layer + 1, block });
  const area = { x: 0, y, width, height, rx: Math.min(4, height / 4), dataset: { parameters: String(count) } };
  const title = h("title:svg", {}, `${label}: ${number(count)}`);
  const rect = h("rect:svg", { class: `cell c${TONES[name] ?? 5}`, ...area }, title);
  if (height < LEAST) return [rect];
  const figure = amount(count);
  const at = { class: "name", y: y + Math.min(height / 2 + 4.5, 20) };
  // in a narrow cell its neighbour tells the layer
  const said = [label, block].find((one) => width > LETTER * one.length + 16);
  const words = said ? h("text:svg", { ...at, x: 9 }, said) : null;
  const room = width > LETTER * (label.length + figure.length) + 34;
  return [rect, words, room ? h("text:svg", { ...at, x: width - 9, "text-anchor": "end" }, figure) : null];
}
