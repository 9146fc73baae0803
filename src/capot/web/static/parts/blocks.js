// Any answer's blocks as elements: what a chapter shows appears here as it does in a terminal or on a kept page.

import { h } from "../lib/dom.js";
import { table } from "./frame.js";
import { figure } from "./figure.js";

/** @type {{ [Kind in Api.Block["block"]]: (block: Extract<Api.Block, { block: Kind }>) => Lab.Child }} */
const DRAW = {
  heading: (block) => (block.level === 1 ? null : h("h2", {}, block.text)),
  text: (block) => h("p", { class: block.tone === "plain" ? undefined : block.tone }, block.text),
  facts: (block) =>
    h(
      "dl",
      { class: "facts" },
      block.rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
  strip: (block) => pictured(block, h("capot-strip", { "aria-label": block.label, pieces: block.pieces })),
  bars: (block) => pictured(block, h("capot-bars", { rows: block.rows })),
  table: (block) => pictured(block, heat(block)),
  scatter: (block) => pictured(block, figure(block)),
  curves: (block) => pictured(block, figure(block)),
  chat: (block) =>
    pictured(
      block,
      h(
        "ol",
        { class: "chat" },
        block.turns.map((turn, index) =>
          h(
            "li",
            { class: index % 2 ? "even" : "" },
            h("p", { class: "role" }, turn.role, turn.note ? h("span", { class: "note" }, turn.note) : null),
            h("p", {}, turn.text),
            turn.after ? h("p", { class: "after" }, turn.after) : null,
          ),
        ),
      ),
    ),
  columns: (block) =>
    h(
      "div",
      { class: "side-by-side" },
      block.columns.map((column) => h("div", { class: "column" }, blocks(column))),
    ),
};

/** @typedef {Api.Scatter | Api.Curves} Drawn */

/**
 * The blocks of one kind.
 * @template {Api.Block["block"]} Kind
 * @param {Api.Block[]} view
 * @param {Kind} kind
 */
export function ofKind(view, kind) {
  return /** @type {Extract<Api.Block, { block: Kind }>[]} */ (view.filter((block) => block.block === kind));
}

/**
 * Elements for a list of blocks; the chapter's own question is left to the page.
 * @param {Api.Block[]} list
 * @returns {Lab.Child[]}
 */
export function blocks(list) {
  return list
    .map((block) => /** @type {(block: Api.Block) => Lab.Child} */ (DRAW[block.block])?.(block))
    .filter(Boolean);
}

/**
 * A function that draws block after block in one figure, so that a slider changes a picture instead of replacing it.
 */
export function redrawn() {
  /** @type {Lab.Figure | null} */
  let kept = null;
  return (/** @type {Drawn} */ block) => {
    if (!kept) return (kept = figure(block));
    kept.spec = block.figure;
    kept.ariaLabel = block.title;
    return kept;
  };
}

/**
 * A block's picture with its title and its own two sentences.
 * @param {{ title?: string, caption?: string }} block
 * @param {Lab.Child} picture
 */
export function pictured(block, picture) {
  return h(
    "figure",
    { class: "picture" },
    block.title ? h("p", { class: "title" }, block.title) : null,
    picture,
    block.caption ? h("figcaption", {}, block.caption) : null,
  );
}

/**
 * A table whose cells are shaded where the block says how much.
 * @param {Api.Table} block
 */
function heat(block) {
  const drawn = table(block);
  if (!block.heat?.length) return drawn;
  drawn.querySelector("table")?.classList.add("heat", ...(block.grid ? ["grid"] : []));
  drawn.querySelectorAll("tbody tr").forEach((row, y) => {
    [...row.children].forEach((cell, x) => {
      const value = block.heat[y]?.[x];
      if (value !== null && value !== undefined) cell.classList.add(`w${Math.min(9, Math.floor(value * 10))}`);
    });
  });
  return drawn;
}
