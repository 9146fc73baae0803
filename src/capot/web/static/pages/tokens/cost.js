// The same sentence in French and in English, in each tokenizer: what a language costs. Both sentences can be changed.

import { fill, h, later, unique } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import { call } from "../../lib/api.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { frame } from "../../parts/frame.js";
import { fault, waiting } from "../../parts/fault.js";
import { named, RECORDED } from "./named.js";

const LANGUAGES = ["fr", "en"];

/** The section for the model called `name` and the tokenizers `names`. */
export function cost(name, names) {
  const saved = state.read();
  const plain = Object.fromEntries(LANGUAGES.map((lang) => [lang, tr(`tokens.pair.${lang}`)])); // sentences of the lessons
  const text = Object.fromEntries(LANGUAGES.map((lang) => [lang, saved[lang] ?? plain[lang]]));
  const troubles = h("div", { class: "troubles" });
  const grid = h("div", { class: "side-by-side costs" });
  const picture = frame(grid, { name: "tokens-cost" });
  const changed = later(200, () => {
    state.write(Object.fromEntries(LANGUAGES.map((lang) => [lang, text[lang] === plain[lang] ? "" : text[lang]])));
    show();
  });
  const fields = LANGUAGES.map((lang) => {
    const id = unique("pair");
    return h("div", { class: "field" }, h("label", { for: id }, tr(`languages.${lang}`)),
      h("textarea", { id, lang, rows: 2, value: text[lang], oninput: (event) => { text[lang] = event.target.value; changed(); } }));
  });
  let running;
  show();
  return h("div", {}, h("div", { class: "pair" }, fields), troubles, picture.box);

  async function show() {
    running?.abort();
    const control = running = new AbortController();
    const note = waiting(troubles, tr("tokens.waiting"));
    const known = LANGUAGES.every((lang) => text[lang] === plain[lang]);
    const compare = names.filter((one) => known || one !== RECORDED);
    try {
      const [french, english] = await Promise.all(LANGUAGES.map((lang) => call("tokens", { text: text[lang], compare }, { signal: control.signal })));
      fill(troubles);
      draw(french, english, compare);
    } catch (error) {
      if (error.name !== "AbortError") fill(troubles, fault(error, show));
    } finally {
      note.done();
    }
  }

  function draw(french, english, compare) {
    const rows = french.comparisons.map((one, index) => ({ name: index ? named(one.tokenizer) : tr("tokens.own", { name: named(one.tokenizer) }), fr: one.count, en: english.comparisons[index].count }));
    const most = Math.max(1, ...rows.flatMap((row) => [row.fr, row.en]));
    fill(grid, rows.map((row) => h("section", {}, h("h3", {}, row.name),
      h("capot-bars", { rows: LANGUAGES.map((lang) => ({ label: tr(`languages.${lang}`), value: row[lang] / most, text: number(row[lang]) })) }))));
    const ratio = (row) => row.fr / Math.max(1, row.en);
    const ranked = [...rows].sort((a, b) => ratio(b) - ratio(a));
    const [dear, fair] = [ranked[0], ranked.at(-1)];
    const given = compare.length ? { compare } : {};
    picture.update({
      caption: [tr("tokens.cost_said", { dear: dear.name, fair: fair.name, most: number(ratio(dear), 2), least: number(ratio(fair), 2) }), ratio(dear) > 1 ? tr("tokens.cost_why") : ""].filter(Boolean).join(" "),
      table: { columns: [tr("tokens.tokenizer"), ...LANGUAGES.map((lang) => tr(`languages.${lang}`)), tr("tokens.ratio")], rows: rows.map((row) => [row.name, row.fr, row.en, number(ratio(row), 2)]) },
      python: () => LANGUAGES.map((lang, index) => inPython(name, "tokens", [text[lang]], given).split("\n").slice(index ? -1 : 0).join("\n")).join("\n"),
      command: () => LANGUAGES.map((lang) => onCommandLine(name, "tokens", [text[lang]], { "--compare": compare.join(",") || undefined })).join("\n"),
      json: () => ({ fr: french, en: english }),
      page: { verb: "tokens", arguments: { text: text.fr, compare } },
    });
  }
}
