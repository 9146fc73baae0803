// What happens between the vectors and the probabilities? The guess after each layer, on the text carried along.

import { fill, h, labelled, later, unique } from "../lib/dom.js";
import { number, tr } from "../lib/words.js";
import { inPython, onCommandLine } from "../lib/code.js";
import * as state from "../lib/state.js";
import { answers } from "../parts/answer.js";
import { blocks, ofKind } from "../parts/blocks.js";
import { promptField } from "../parts/prompt.js";

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model }) {
  const instrument = new Network(model?.model ?? "boxed");
  main.append(...instrument.parts);
  await instrument.look();
  return { leave: () => instrument.leave() };
}

class Network {
  #name;
  #saved = state.read();
  #field = promptField({ heard: () => this.look(), examples: tr("next.examples").split("|"), delay: 400 });
  #soon = later(400, () => this.look());
  #target = h("input", { id: unique("target"), type: "text", spellcheck: "false", autocomplete: "off",
    value: this.#saved.target ?? "", oninput: () => this.#soon() });
  #head = h("select", { id: unique("head"), onchange: () => this.look() });
  #empty = h("p", { class: "quiet" }, tr("network.empty"));
  #answer = answers("network", {
    words: tr("plain.waiting"),
    troubles: this.#field.troubles,
    drawn: (_, view) => blocks(joined(view.filter((block) => block.block !== "text" || block.tone !== "plain"))),
    rows: (_, view) => ofKind(joined(view), "table")[0],
  });

  /** @param {string} name the model's */
  constructor(name) {
    this.#name = name;
    const [kept] = [this.#saved.attention].filter((value) => /^\d+\.\d+$/.test(value ?? ""));
    fill(this.#head, option("", tr("network.no_head")), kept ? option(kept, kept) : null);
    this.#head.value = kept ?? "";
  }

  get parts() {
    const settings = h("div", { class: "row" },
      labelled(this.#target, tr("network.target")), labelled(this.#head, tr("network.head")));
    return [this.#field.box, settings, this.#empty, this.#answer.box];
  }

  leave() {
    this.#answer.stop();
  }

  /** What is asked for: the settings that are not the verb's own. */
  get #asked() {
    const [target, attention] = [this.#target.value, this.#head.value];
    return { prompt: this.#field.text, ...(target ? { target } : {}), ...(attention ? { attention } : {}) };
  }

  async look() {
    const { prompt, ...others } = this.#asked;
    state.write({ target: others.target ?? "", attention: others.attention ?? "" });
    this.#empty.hidden = Boolean(prompt);
    if (!prompt) return this.#answer.hide(true);
    const found = await this.#answer.ask({ prompt, ...others }, {
      python: inPython(this.#name, "network", [prompt], others),
      command: onCommandLine(this.#name, "network", [prompt],
        Object.fromEntries(Object.entries(others).map(([name, value]) => [`--${name}`, value]))),
    });
    if (found) this.#offer(found.heads);
  }

  /**
   * The heads that can be looked at, those that do something by name first.
   * @param {Api.NetworkInside["heads"]} heads
   */
  #offer(heads) {
    const chosen = this.#head.value;
    const named = [...heads ?? []].sort((a, b) => Number(a.kind === "mixed") - Number(b.kind === "mixed"));
    fill(this.#head, option("", tr("network.no_head")), named.map((one) => {
      const name = `${one.layer}.${one.head}`;
      return option(name, one.kind === "mixed" ? name : `${name}, ${tr(`network.kind.${one.kind}`)}`);
    }));
    this.#head.value = chosen;
    this.#head.disabled = named.length === 0;
    this.#head.title = tr("network.heads", { count: number(named.length) });
  }
}

/**
 * The same blocks, tables that a terminal parts for its width side by side again: those with the same first column.
 * @param {Api.Block[]} view
 */
function joined(view) {
  /** @type {Api.Block[]} */
  const all = [];
  for (const block of view) {
    const before = all.at(-1);
    const goes = block.block === "table" && before?.block === "table" && before.columns[0] === block.columns[0] &&
      before.rows.length === block.rows.length && block.rows.every((row, y) => row[0] === before.rows[y][0]);
    if (!goes) all.push(block);
    else all[all.length - 1] = beside(before, block);
  }
  return all;
}

/**
 * @param {Api.Table} left
 * @param {Api.Table} right
 * @returns {Api.Table}
 */
function beside(left, right) {
  return {
    ...left,
    columns: [...left.columns, ...right.columns.slice(1)],
    rows: left.rows.map((row, y) => [...row, ...right.rows[y].slice(1)]),
    heat: left.heat.map((row, y) => [...row, ...(right.heat[y] ?? []).slice(1)]),
    align: left.align + right.align.slice(1),
    caption: right.caption || left.caption,
  };
}

/**
 * @param {string} value
 * @param {string} words
 */
function option(value, words) {
  return h("option", { value }, words);
}
