// The same sentence in French and in English, in each tokenizer: what a language costs. Both sentences can be changed.

import { fill, h, labelled, later, unique } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import { call } from "../../lib/api.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { frame } from "../../parts/frame.js";
import { fault, waiting } from "../../parts/fault.js";
import { named, RECORDED } from "./named.js";

/** @type {Lab.Language[]} */
const LANGUAGES = ["fr", "en"];

/** @typedef {Record<Lab.Language, string>} Pair one sentence, in both languages */
/** @typedef {{ name: string, fr: number, en: number }} Row what it costs in a tokenizer */

/** @type {(of: (lang: Lab.Language) => string) => Pair} */
const both = (of) => ({ fr: of("fr"), en: of("en") });

/**
 * The section for the model called `name` and the tokenizers `names`.
 * @param {string} name
 * @param {string[]} names
 */
export function cost(name, names) {
  const saved = state.read();
  const plain = both((lang) => tr(`tokens.pair.${lang}`)); // sentences of the lessons
  const text = both((lang) => saved[lang] ?? plain[lang]);
  const troubles = h("div", { class: "troubles" });
  const grid = h("div", { class: "side-by-side costs" });
  const picture = frame(grid, { name: "tokens-cost" });
  const changed = later(200, () => {
    state.write(both((lang) => (text[lang] === plain[lang] ? "" : text[lang])));
    show();
  });
  const fields = LANGUAGES.map((lang) => sentence(lang, text[lang], (typed) => { text[lang] = typed; changed(); }));
  /** @type {AbortController | undefined} */
  let running;
  show();
  const box = h("div", {}, h("div", { class: "pair" }, fields), troubles, picture.box);
  return { box, stop: () => running?.abort() };

  async function show() {
    running?.abort();
    const { signal } = running = new AbortController();
    const note = waiting(troubles, tr("tokens.waiting"));
    const known = LANGUAGES.every((lang) => text[lang] === plain[lang]);
    const compare = names.filter((one) => known || one !== RECORDED);
    const ask = (/** @type {Lab.Language} */ lang) => call("tokens", { text: text[lang], compare }, { signal });
    try {
      const [fr, en] = await Promise.all(LANGUAGES.map(ask));
      fill(troubles);
      const rows = rowsOf(fr, en);
      fill(grid, rows.map(bars));
      picture.update({ ...facts(rows), ...ways(name, { ...text }, compare), json: () => ({ fr, en }) });
    } catch (error) {
      if (error.name !== "AbortError") fill(troubles, fault(error, show));
    } finally {
      note.done();
    }
  }
}

/**
 * The field of one language's sentence.
 * @param {Lab.Language} lang
 * @param {string} text
 * @param {(typed: string) => unknown} onChange
 */
function sentence(lang, text, onChange) {
  const id = unique("pair");
  /** @type {HTMLTextAreaElement} */
  const field = h("textarea", { id, lang, rows: 2, value: text, oninput: () => onChange(field.value) });
  return labelled(field, tr(`languages.${lang}`));
}

/**
 * What the pair costs in each tokenizer, the model's own first.
 * @param {Api.Tokens} french
 * @param {Api.Tokens} english
 * @returns {Row[]}
 */
function rowsOf(french, english) {
  return french.comparisons.map(({ tokenizer, count }, index) => ({
    name: index ? named(tokenizer) : tr("tokens.own", { name: named(tokenizer) }),
    fr: count,
    en: english.comparisons[index].count,
  }));
}

/**
 * One tokenizer's two bars, as long as the costliest of all allows.
 * @param {Row} row
 * @param {number} _
 * @param {Row[]} rows
 */
function bars(row, _, rows) {
  const most = Math.max(1, ...rows.flatMap(({ fr, en }) => [fr, en]));
  const bar = (/** @type {Lab.Language} */ lang) =>
    ({ label: tr(`languages.${lang}`), value: row[lang] / most, text: number(row[lang]) });
  return h("section", {}, h("h3", {}, row.name), h("capot-bars", { rows: LANGUAGES.map(bar) }));
}

/** @param {Row} row */
const ratio = (row) => row.fr / Math.max(1, row.en);

/**
 * The sentences under the bars, and the table.
 * @param {Row[]} rows
 */
function facts(rows) {
  const ranked = [...rows].sort((a, b) => ratio(b) - ratio(a));
  const [dear, fair] = [ranked[0], ranked[ranked.length - 1]];
  const ends = { dear: dear.name, fair: fair.name, most: number(ratio(dear), 2), least: number(ratio(fair), 2) };
  const why = ratio(dear) > 1 ? tr("tokens.cost_why") : "";
  return {
    caption: [tr("tokens.cost_said", ends), why].filter(Boolean).join(" "),
    table: {
      columns: [tr("tokens.tokenizer"), ...LANGUAGES.map((lang) => tr(`languages.${lang}`)), tr("tokens.ratio")],
      rows: rows.map((row) => [row.name, row.fr, row.en, number(ratio(row), 2)]),
    },
  };
}

/**
 * The lines that ask for both, and the page to keep.
 * @param {string} name
 * @param {Pair} text
 * @param {string[]} compare
 * @returns {Lab.Facts}
 */
function ways(name, text, compare) {
  const given = compare.length ? { compare } : {};
  const flags = { "--compare": compare.join(",") || undefined };
  const program = (/** @type {Lab.Language} */ lang) => inPython(name, "tokens", [text[lang]], given).split("\n");
  return {
    python: () => LANGUAGES.map((lang, index) => program(lang).slice(index ? -1 : 0).join("\n")).join("\n"),
    command: () => LANGUAGES.map((lang) => onCommandLine(name, "tokens", [text[lang]], flags)).join("\n"),
    page: { verb: "tokens", arguments: { text: text.fr, compare } },
  };
}
