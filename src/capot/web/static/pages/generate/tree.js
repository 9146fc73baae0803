// The branches, drawn: one row each, leaving its parent's row at the token where it turns off.

import { fill, h, visible } from "../../lib/dom.js";
import { number, percent, tr } from "../../lib/words.js";
import { surprise } from "./line.js";

const [STEP, ROW, LEFT] = [9, 34, 12];

/**
 * The tree as a list of rows to choose from; `choose(line)` hears which. Arrows move between them.
 * @param {Lab.Story} story
 * @param {(line: Lab.Branch) => unknown} choose
 */
export function tree(story, choose) {
  const rows = ordered(story.lines, null, 0);
  const longest = Math.max(...rows.map(({ line }) => line.tokens.length), 1);
  const scale = Math.min(STEP, 260 / longest);
  /** @type {Map<Lab.Branch | null, number>} */
  const place = new Map(rows.map(({ line }, index) => [line, index]));
  return h(
    "ul",
    { class: "branches", onkeydown: arrows },
    rows.map(({ line, depth }, index) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "branch",
            "aria-pressed": String(line === story.current),
            onclick: () => choose(line),
            style: { "--depth": String(depth) },
          },
          track(line, { scale, above: index - (place.get(line.parent) ?? index), width: 2 * LEFT + longest * scale }),
          h(
            "span",
            { class: "branch-name" },
            h("b", {}, tr("generate.branch", { number: line.number })),
            " ",
            h("span", { class: "quiet" }, origin(line)),
          ),
          h("code", {}, preview(line)),
        ),
      ),
    ),
  );
}

/**
 * Children after their parent, the latest turn first: lines never cross.
 * @param {Lab.Branch[]} lines
 * @param {Lab.Branch | null} parent
 * @param {number} depth
 * @returns {{ line: Lab.Branch, depth: number }[]}
 */
function ordered(lines, parent, depth) {
  const own = lines.filter((line) => line.parent === parent).sort((a, b) => b.at - a.at || a.number - b.number);
  return own.flatMap((line) => [{ line, depth }, ...ordered(lines, line, depth + 1)]);
}

/**
 * @param {Lab.Branch} line
 * @param {{ scale: number, above: number, width: number }} how
 */
function track(line, { scale, above, width }) {
  const [from, to, middle] = [
    LEFT + line.at * scale,
    LEFT + Math.max(line.tokens.length, line.at + 1) * scale,
    ROW / 2,
  ];
  const start = line.parent
    ? `M${from} ${middle - above * ROW} V${middle - 8} Q${from} ${middle} ${from + 8} ${middle}`
    : `M${from} ${middle}`;
  return h(
    "svg:svg",
    { class: "track-line", viewBox: `0 0 ${width} ${ROW}`, width, height: ROW, "aria-hidden": "true" },
    h("path:svg", { d: `${start} H${Math.max(to, from + 8)}` }),
    h("circle:svg", { cx: Math.max(to, from + 8), cy: middle, r: 4 }),
  );
}

/** @param {Lab.Branch} line */
function origin(line) {
  if (!line.parent) return tr("generate.from_prompt");
  if (!line.token)
    return tr("generate.from_settings", { place: line.at + 1, temperature: number(line.sampling.temperature, 2) });
  return tr("generate.from_token", { place: line.at + 1, token: line.token.label });
}

/** @param {Lab.Branch} line */
const preview = (line) =>
  visible(
    line.tokens
      .slice(line.at, line.at + 12)
      .map((token) => token.token_text || token.label)
      .join(""),
  );

/** @param {KeyboardEvent} event */
function arrows(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const all = [.../** @type {Element} */ (event.currentTarget).querySelectorAll("button")];
  all[
    Math.max(0, Math.min(all.length - 1, all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement)) + step))
  ]?.focus();
  event.preventDefault();
}

/**
 * The tree as a table.
 * @param {Lab.Story} story
 * @returns {Lab.Rows}
 */
export function asTable(story) {
  return {
    columns: [
      tr("generate.column.branch"),
      tr("generate.column.parent"),
      tr("generate.column.at"),
      tr("generate.column.count"),
      tr("generate.column.bits"),
      tr("generate.column.text"),
    ],
    rows: story.lines.map((line) => [
      line.number,
      line.parent?.number ?? "–",
      line.at + 1,
      line.tokens.length,
      number(surprise(line), 2),
      line.tokens.map((token) => token.token_text || token.label).join(""),
    ]),
  };
}

/**
 * Draw the tree, or nothing where there is but one line.
 * @param {HTMLElement} box
 * @param {Lab.Story} story
 * @param {(line: Lab.Branch) => unknown} choose
 */
export function showTree(box, story, choose) {
  box.hidden = story.lines.length < 2;
  if (!box.hidden)
    fill(
      box,
      h("h2", {}, tr("generate.tree")),
      tree(story, choose),
      h(
        "p",
        { class: "quiet" },
        tr("generate.tree_said", {
          count: story.lines.length,
          current: story.current?.number,
          share: percent(shared(story), 0),
        }),
      ),
    );
}

/**
 * The share of the tree's tokens that were not computed again because branches share their beginnings.
 * @param {Lab.Story} story
 */
function shared(story) {
  const all = story.lines.reduce((sum, line) => sum + line.tokens.length, 0);
  return all ? story.lines.reduce((sum, line) => sum + (line.parent ? line.at : 0), 0) / all : 0;
}
