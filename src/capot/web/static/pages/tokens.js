// How does text become ids? Coloured as one types; several tokenizers side by side; what each language costs.

import { fill, h } from "../lib/dom.js";
import { number, percent, tr } from "../lib/words.js";
import { call } from "../lib/api.js";
import * as state from "../lib/state.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { frame, table } from "../parts/frame.js";
import { fault, waiting } from "../parts/fault.js";
import { promptField } from "../parts/prompt.js";
import { pieces } from "../parts/pieces.js";

const OTHERS = ["english", "french", "o200k_base"];
const EXAMPLES = ["RTE est le gestionnaire du réseau de transport d'électricité.", "naïve cœur 🤗 déjà vu", "def f(x):\n    return x * 2", "1234567 + 89 = 1234656"];

export default async function page(main, { model }) {
  const chosen = new Set((state.read().compare ?? "english,french").split(",").filter(Boolean));
  const strip = h("capot-strip", { "aria-label": tr("tokens.strip") });
  const own = frame(strip, { name: "tokens", title: null });
  const others = h("div", { class: "others" });
  const costs = h("section", { class: "frame" });
  let running;

  const field = promptField({ heard: show, examples: EXAMPLES, delay: 60, rows: 3 });
  const checks = h("fieldset", { class: "checks plain" }, h("legend", { class: "quiet" }, tr("tokens.compare")),
    OTHERS.map((name) => h("label", {}, h("input", {
      type: "checkbox", checked: chosen.has(name),
      onchange: (event) => { chosen[event.target.checked ? "add" : "delete"](name); state.write({ compare: [...chosen].join(",") || "none" }); show(field.text); },
    }), tr(`tokenizers.${name}`))));
  main.append(field.box, own.box, checks, others, costs);
  fill(costs, h("h2", {}, tr("tokens.cost_title")), await pairs());
  await show(field.text);

  async function show(text) {
    running?.abort();
    running = new AbortController();
    const note = waiting(field.troubles, tr("tokens.waiting"));
    try {
      const compare = [...chosen].filter((name) => name !== "none");
      const result = await call("tokens", { text, compare }, { signal: running.signal });
      fill(field.troubles);
      draw(result, compare);
    } catch (error) {
      if (error.name !== "AbortError") fill(field.troubles, fault(error, () => show(field.text)));
    } finally {
      note.done();
    }
  }

  function draw(result, compare) {
    strip.pieces = pieces(result.tokens).slice(0, 3000);
    const perToken = result.characters_per_token ?? 0;
    const args = { text: result.text, compare };
    own.update({
      caption: result.count ? tr("tokens.caption", { count: result.count, characters: result.characters, bytes: result.bytes, per_token: number(perToken, 2), vocabulary: result.vocabulary_size }) : tr("tokens.empty"),
      table: {
        columns: ["#", tr("tokens.column.text"), "id", tr("tokens.column.bytes"), tr("tokens.column.place")],
        rows: result.tokens.map((token, index) => [index, JSON.stringify(token.text).slice(1, -1), token.id, token.bytes, `${token.start}–${token.end}`]),
      },
      python: inPython(model?.model ?? "boxed", "tokens", [result.text], compare.length ? { compare } : {}),
      command: onCommandLine(model?.model ?? "boxed", "tokens", [result.text], { "--compare": compare.join(",") || undefined }),
      json: result,
      page: { verb: "tokens", arguments: args },
    });
    compareWith(result.comparisons.slice(1));
  }

  async function compareWith(list) {
    fill(others, list.map((one) => h("section", { class: "frame" },
      h("h2", {}, tr(`tokenizers.${one.tokenizer}`)),
      h("p", { class: "quiet" }, tr("tokens.other", { count: one.count, relative: percent(one.relative, 0), vocabulary: one.vocabulary_size })),
      one.tokens ? h("capot-strip", { pieces: pieces(one.tokens).slice(0, 1500) }) : null)));
  }

  /** The same sentence in French and in English, in each tokenizer. */
  async function pairs() {
    const names = OTHERS;
    const couples = [["fr", tr("tokens.pair.fr")], ["en", tr("tokens.pair.en")]];
    const rows = await Promise.all(couples.map(async ([code, text]) => {
      const result = await call("tokens", { text, compare: names });
      return [tr(`languages.${code}`), ...result.comparisons.map((one) => number(one.count))];
    }));
    return [table({ columns: [tr("tokens.column.language"), tr("tokenizers.boxed"), ...names.map((name) => tr(`tokenizers.${name}`))], rows }),
      h("p", { class: "quiet" }, tr("tokens.cost_caption", { fr: couples[0][1], en: couples[1][1] }))];
  }

  return { leave: () => running?.abort() };
}
