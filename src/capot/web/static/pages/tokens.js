// How does text become ids? Coloured as one types; several tokenizers side by side; what each language costs.

import { fill, h } from "../lib/dom.js";
import { number, tr } from "../lib/words.js";
import { callDrawn } from "../lib/api.js";
import * as state from "../lib/state.js";
import { cannotObey } from "../lib/link.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { frame } from "../parts/frame.js";
import { Awaited } from "../parts/awaited.js";
import { fault } from "../parts/fault.js";
import { promptField } from "../parts/prompt.js";
import { ofKind } from "../parts/blocks.js";
import { withTerms } from "../parts/terms.js";
import { tick, ticks } from "../parts/ticks.js";
import { pieces } from "../parts/pieces.js";
import { cost } from "./tokens/cost.js";
import { named, RECORDED } from "./tokens/named.js";

const OTHERS = ["bilingual", "english", "french", "gpt2", "cl100k_base", "o200k_base", "llama3"];
// the same in every language
const HARD = ["naïve cœur 🤗 déjà vu", "1234567 + 89 = 1234656", "def f(x):\n    return x * 2"];
const DRAWN = 2000; // tokens of the model's own strip
const USUAL = "english,french";

/** @typedef {{ result: Api.Tokens, view: Api.Block[] }} Answer */

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model }) {
  const name = model?.model ?? "boxed";
  const offered = OTHERS.filter((other) => name !== "boxed" || other !== "bilingual");
  const compared = comparing(offered, () => made.start());
  const made = cutting(name, { asked: compared.asked });
  const costs = cost(name, offered);
  main.append(made.box, section("beside", compared.box, compared.troubles, made.others),
    section("cost_title", costs.box));
  const leave = () => {
    made.stop();
    costs.stop();
  };
  return { drawn: made.start(), leave };
}

/**
 * A text cut as one types, and the same as `others` cut it. `asked` answers for a text; `desk` keeps it; `onChange` is
 * called when what is shown has changed.
 * @param {string} name the model's
 * @param {{
 *   asked: (text: string, signal: AbortSignal) => Promise<Answer>, desk?: Lab.Desk, onChange?: () => unknown,
 * }} how
 */
export function cutting(name, { asked, desk = state.page, onChange }) {
  let withIds = desk.read().ids === "1";
  /** @type {Answer | null} */
  let last = null;
  const field = promptField({ onChange: show, examples: [...tr("tokens.examples").split("|"), ...HARD], delay: 50,
    own: desk.prompt, rows: desk.whole ? 2 : 1 });
  const awaited = new Awaited(field.troubles, tr("tokens.waiting"));
  const own = ownStrip(name, onChange);
  const others = h("div", { class: "others side-by-side" });
  const ids = tick(tr("tokens.ids"), { checked: withIds, onChange: (checked) => {
    withIds = checked;
    desk.write({ ids: withIds ? "1" : "" });
    if (last) draw(last);
  } });
  const box = h("div", {}, field.box, ids, own.box);
  return { box, others, start: () => show(field.text), stop: () => awaited.stop(), page: own.page };

  /**
   * @param {string} text
   * @returns {Promise<Answer | null>}
   */
  function show(text) {
    return awaited.ask(async ({ signal }) => {
      last = await asked(text, signal);
      draw(last);
      return last;
    }, { again: () => show(field.text) });
  }

  /** @param {Answer} answer */
  function draw(answer) {
    own.draw(answer, { withIds });
    fill(others, beside(answer));
  }
}

/**
 * @param {string} title
 * @param {...HTMLElement} content
 */
const section = (title, ...content) =>
  h("section", { class: "frame" }, h("h2", {}, tr(`tokens.${title}`)), content);

/**
 * The other tokenizers, to tick, kept in the address; and how the model's own and those ticked are asked for a text.
 * @param {string[]} offered
 * @param {() => unknown} onChange
 */
function comparing(offered, onChange) {
  const asked_ = (state.read().compare ?? USUAL).split(",");
  if (asked_.some((other) => !["", "none", ...OTHERS].includes(other))) cannotObey("compare");
  const chosen = new Set(asked_.filter((other) => offered.includes(other)));
  const troubles = h("div", { class: "troubles" });
  const picked = () => offered.filter((one) => chosen.has(one));
  const set = (/** @type {string} */ other, /** @type {boolean} */ checked) => {
    chosen[checked ? "add" : "delete"](other);
    const list = picked().join(",");
    state.write({ compare: list === USUAL ? "" : list || "none" });
    onChange();
  };
  const box = (/** @type {string} */ other) =>
    tick(labelled(other), { checked: chosen.has(other), onChange: (checked) => set(other, checked) });
  return { box: ticks(tr("tokens.beside"), offered.map(box), { unseen: true }), troubles, asked };

  /**
   * @param {string} text
   * @param {AbortSignal} signal
   */
  async function asked(text, signal) {
    const ask = (/** @type {string[]} */ compare) => callDrawn("tokens", { text, compare }, { signal });
    const list = picked();
    fill(troubles);
    const answer = await ask(list).catch((error) => {
      if (error.name === "AbortError" || !list.length || error.code !== "too_much_to_cut") throw error;
      fill(troubles, fault(error)); // beside others it is too long, alone it may not be
      return ask([]);
    });
    const { missing } = answer.result;
    if (missing.length) fill(troubles, missing.map((one) => fault(one)));
    return answer;
  }
}

/**
 * A tokenizer's name; of one, the lessons' sentences alone are known.
 * @param {string} other
 * @returns {Lab.Child}
 */
function labelled(other) {
  if (other !== RECORDED) return named(other);
  return h("span", {}, named(other), h("span", { class: "quiet" }, ` (${tr("tokens.recorded")})`));
}

/**
 * The model's own tokens, in a frame.
 * @param {string} name
 * @param {() => unknown} [onChange]
 */
function ownStrip(name, onChange) {
  const strip = h("capot-strip", { "aria-label": tr("tokens.strip") });
  const { box, update, page } = frame(strip, { name: "tokens", onChange });
  return { box, draw, page };

  /**
   * @param {Answer} answer
   * @param {{ withIds: boolean }} how
   */
  function draw({ result, view }, { withIds }) {
    const cut = pieces(result.tokens.slice(0, DRAWN));
    strip.pieces = cut.map((piece, index) => ({ ...piece, sub: withIds ? String(result.tokens[index].id) : null }));
    const long = result.count > DRAWN ? tr("tokens.first", { shown: DRAWN, count: result.count }) : "";
    const [first] = ofKind(view, "strip");
    const [block] = ofKind(view, "table");
    const compare = result.comparisons.slice(1).map((one) => one.tokenizer);
    update({
      caption: result.count ? [first.caption, long].filter(Boolean).join(" ") : tr("tokens.empty"),
      table: result.count ? () => ({ columns: block.columns, rows: result.tokens.map(row(block)) }) : null,
      python: () => inPython(name, "tokens", [result.text], compare.length ? { compare } : {}),
      command: () => onCommandLine(name, "tokens", [result.text], { "--compare": compare.join(",") || undefined }),
      json: result,
      page: { verb: "tokens", arguments: { text: result.text, compare } },
    });
  }
}

/**
 * A token as a row of the table: the view's own, which has the first ones, else one like it.
 * @param {Api.Table} block
 * @returns {(token: Api.Token, index: number) => (string | number)[]}
 */
const row = (block) => (token, index) =>
  block.rows[index] ?? [index + 1, token.id, token.text, token.bytes, `${token.start}–${token.end}`];

/**
 * The same text as other tokenizers cut it, each a section.
 * @param {Answer} answer
 * @returns {Lab.Child}
 */
function beside({ result, view }) {
  const [, ...strips] = ofKind(view, "strip");
  const compared = result.comparisons.slice(1);
  if (!compared.length) return h("p", { class: "quiet" }, withTerms(tr("tokens.none_beside")));
  if (!result.count) return null;
  const most = Math.max(1, ...result.comparisons.map((one) => one.count));
  return compared.map(({ tokenizer, count, relative }, index) => {
    const { pieces } = strips[index];
    const text = tr("tokens.times", { count, relative: number(relative, 2) });
    const more = count > pieces.length ? tr("tokens.first", { shown: pieces.length, count }) : "";
    return h("section", {}, h("h3", {}, named(tokenizer)),
      h("capot-bars", { class: "counts", rows: [{ label: tr("tokens.count"), value: count / most, text }] }),
      h("capot-strip", { "aria-label": named(tokenizer), pieces }),
      more ? h("p", { class: "quiet" }, more) : null);
  });
}
