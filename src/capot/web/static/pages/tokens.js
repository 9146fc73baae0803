// How does text become ids? Coloured as one types; several tokenizers side by side; what each language costs.

import { fill, h } from "../lib/dom.js";
import { number, tr } from "../lib/words.js";
import { callDrawn } from "../lib/api.js";
import * as state from "../lib/state.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { frame } from "../parts/frame.js";
import { fault, waiting } from "../parts/fault.js";
import { promptField } from "../parts/prompt.js";
import { ofKind } from "../parts/blocks.js";
import { withTerms } from "../parts/terms.js";
import { pieces } from "../parts/pieces.js";
import { cost } from "./tokens/cost.js";
import { named, RECORDED } from "./tokens/named.js";

const OTHERS = ["bilingual", "english", "french", "gpt2", "cl100k_base", "o200k_base", "llama3"];
// the same in every language
const HARD = ["naïve cœur 🤗 déjà vu", "1234567 + 89 = 1234656", "def f(x):\n    return x * 2"];
const DRAWN = 2000; // tokens of the model's own strip
const USUAL = "english,french";

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page | void>}
 */
export default async function page(main, { model }) {
  const name = model?.model ?? "boxed";
  const offered = OTHERS.filter((other) => name !== "boxed" || other !== "bilingual");
  const saved = state.read();
  const chosen = new Set((saved.compare ?? USUAL).split(",").filter((other) => offered.includes(other)));
  let withIds = saved.ids === "1";
  /** @type {AbortController | undefined} */
  let running;
  /** @type {{ result: Api.Tokens, view: Api.Block[] } | null} */
  let last = null;

  const field = promptField({ heard: show, examples: [...tr("tokens.examples").split("|"), ...HARD], delay: 50, rows: 2 });
  const strip = h("capot-strip", { "aria-label": tr("tokens.strip") });
  const own = frame(strip, { name: "tokens" });
  const others = h("div", { class: "others side-by-side" });
  const compareTroubles = h("div", { class: "troubles" });
  const ids = h("label", { class: "tick" }, h("input", { type: "checkbox", checked: withIds, onchange: (event) => { withIds = event.target.checked; state.write({ ids: withIds ? "1" : "" }); if (last) draw(last); } }), tr("tokens.ids"));
  main.append(field.box, ids, own.box,
    h("section", { class: "frame" }, h("h2", {}, tr("tokens.beside")), h("fieldset", { class: "checks plain" }, h("legend", { class: "offstage" }, tr("tokens.beside")), offered.map(check)), compareTroubles, others),
    h("section", { class: "frame" }, h("h2", {}, tr("tokens.cost_title")), cost(name, offered)));
  await show(field.text);

  /** @param {string} other */
  function check(other) {
    return h("label", { class: "tick" }, h("input", { type: "checkbox", checked: chosen.has(other), onchange: (event) => {
      chosen[event.target.checked ? "add" : "delete"](other);
      const list = offered.filter((one) => chosen.has(one)).join(",");
      state.write({ compare: list === USUAL ? "" : list || "none" });
      show(field.text);
    } }), named(other), other === RECORDED ? h("span", { class: "quiet" }, ` (${tr("tokens.recorded")})`) : null);
  }

  /** @param {string} text */
  async function show(text) {
    running?.abort();
    const control = running = new AbortController();
    const note = waiting(field.troubles, tr("tokens.waiting"), () => control.abort());
    try {
      const ask = (/** @type {string[]} */ compare) => callDrawn("tokens", { text, compare }, { signal: control.signal });
      const list = offered.filter((one) => chosen.has(one));
      fill(compareTroubles);
      const answer = await ask(list).catch((error) => {
        if (error.name === "AbortError" || !list.length) throw error;
        if (error.code !== "too_much_to_cut") throw error;
        fill(compareTroubles, fault(error)); // beside others it is too long, alone it may not be
        return ask([]);
      });
      fill(field.troubles);
      if (answer.result.missing.length) fill(compareTroubles, answer.result.missing.map((one) => fault(one)));
      last = answer;
      draw(answer);
    } catch (error) {
      if (error.name !== "AbortError") fill(field.troubles, fault(error, () => show(field.text)));
    } finally {
      note.done();
    }
  }

  /** @param {{ result: Api.Tokens, view: Api.Block[] }} answer */
  function draw({ result, view }) {
    const strips = ofKind(view, "strip");
    const compared = result.comparisons.slice(1);
    const long = result.count > DRAWN ? tr("tokens.first", { shown: DRAWN, count: result.count }) : "";
    strip.pieces = pieces(result.tokens.slice(0, DRAWN)).map((piece, index) => ({ ...piece, sub: withIds ? String(result.tokens[index].id) : null }));
    const compare = compared.map((one) => one.tokenizer);
    const [place] = ofKind(view, "table");
    own.update({
      caption: result.count ? [strips[0].caption, long].filter(Boolean).join(" ") : tr("tokens.empty"),
      table: result.count ? () => ({ columns: place.columns, rows: result.tokens.map((token, index) => place.rows[index] ?? [index + 1, token.id, token.text, token.bytes, `${token.start}–${token.end}`]) }) : null,
      python: () => inPython(name, "tokens", [result.text], compare.length ? { compare } : {}),
      command: () => onCommandLine(name, "tokens", [result.text], { "--compare": compare.join(",") || undefined }),
      json: result,
      page: { verb: "tokens", arguments: { text: result.text, compare } },
    });
    const most = Math.max(1, ...result.comparisons.map((one) => one.count));
    fill(others, result.count === 0 ? [] : compared.map((one, index) => h("section", {},
      h("h3", {}, named(one.tokenizer)),
      h("capot-bars", { class: "counts", rows: [{ label: tr("tokens.count"), value: one.count / most, text: result.count ? tr("tokens.times", { count: one.count, relative: number(one.relative, 2) }) : "0" }] }),
      h("capot-strip", { "aria-label": named(one.tokenizer), pieces: strips[index + 1].pieces }),
      one.count > strips[index + 1].pieces.length ? h("p", { class: "quiet" }, tr("tokens.first", { shown: strips[index + 1].pieces.length, count: one.count })) : null)));
    if (!compared.length) fill(others, h("p", { class: "quiet" }, withTerms(tr("tokens.none_beside"))));
  }

  return { leave: () => running?.abort() };
}
