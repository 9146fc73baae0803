// One verb's answer drawn from its own blocks: asked, waited for, shown, told, kept. Newer questions replace older
// ones.

import { fill, h } from "../lib/dom.js";
import { callDrawn } from "../lib/api.js";
import { Awaited } from "./awaited.js";
import { blocks, ofKind } from "./blocks.js";
import { frame } from "./frame.js";

/**
 * A place for the answers of `verb`. `ask(arguments, { python, command })` shows the next one; `drawn(result, view)`
 * may draw it otherwise and returns elements, `rows(result, view)` makes the table under it. `troubles` is where
 * errors go, beside the field that caused them; `elsewhere(error)` is true of one that is told, and mended, elsewhere.
 * @template {keyof Api.Verbs} Verb
 * @param {Verb} verb
 * @param {{
 *   name?: string, words: string, troubles?: HTMLElement, onChange?: () => unknown,
 *   elsewhere?: (error: Lab.Trouble) => boolean,
 *   drawn?: (result: Api.Verbs[Verb]["answers"], view: Api.Block[]) => Lab.Child,
 *   rows?: (result: Api.Verbs[Verb]["answers"], view: Api.Block[]) => Lab.Rows,
 * }} how
 */
export function answers(verb, { name = verb, words, troubles, onChange, elsewhere, drawn, rows }) {
  const picture = h("div", { class: "answer" });
  const { box, update, page } = frame(picture, { name, onChange });
  const faults = troubles ?? h("div");
  const awaited = new Awaited(faults, words);
  box.hidden = true;

  /**
   * @param {Api.Verbs[Verb]["takes"]} args
   * @param {Lab.AsCode} [facts]
   * @returns {Promise<Api.Verbs[Verb]["answers"] | null>}
   */
  function ask(args, facts = {}) {
    return awaited.ask(async (how) => {
      const { result, view } = await callDrawn(verb, args, how);
      fill(picture, drawn ? drawn(result, view) : blocks(view));
      box.hidden = false;
      const table = rows ? rows(result, view) : drawn ? ofKind(view, "table")[0] : null;
      update({ table: table ?? null, json: result, page: { verb, arguments: args }, ...facts });
      return result;
    }, { again: () => ask(args, facts), failed: () => hide(true), elsewhere });
  }

  /** @param {boolean} hidden */
  function hide(hidden) {
    box.hidden = hidden;
  }

  return { box: h("div", {}, troubles ? null : faults, box), ask, stop: () => awaited.stop(), hide, update, page };
}
