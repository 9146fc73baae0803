// One verb's answer drawn from its own blocks: asked, waited for, shown, told, kept. Newer questions replace older ones.

import { fill, h } from "../lib/dom.js";
import { call } from "../lib/api.js";
import { fault, waiting } from "./fault.js";
import { blocks } from "./blocks.js";
import { frame } from "./frame.js";

/**
 * A place for the answers of `verb`. `ask(arguments, { python, command })` shows the next one; `drawn(result, view)`
 * may draw it otherwise and returns elements, `rows(result, view)` makes the table under it. `troubles` is where errors go, beside the field that caused them.
 */
export function answers(verb, { name = verb, words, troubles, drawn, rows } = {}) {
  const picture = h("div", { class: "answer" });
  const { box, update } = frame(picture, { name });
  const faults = troubles ?? h("div");
  let running;
  box.hidden = true;

  async function ask(args, told = {}) {
    running?.abort();
    const control = running = new AbortController();
    const note = waiting(faults, words, () => control.abort());
    try {
      const { result, view } = await call(verb, args, { signal: control.signal, query: "?view=1", whole: true, queued: note.queued });
      fill(faults);
      fill(picture, drawn ? drawn(result, view) : blocks(view));
      box.hidden = false;
      const table = view.find((block) => block.block === "table");
      update({ table: rows ? rows(result, view) : drawn && table ? { columns: table.columns, rows: table.rows } : null, json: result, page: { verb, arguments: args }, ...told });
      return result;
    } catch (error) {
      if (error.name === "AbortError") return null;
      box.hidden = true; // nothing may stay that another question has drawn
      fill(faults, fault(error, () => ask(args, told)));
      return null;
    } finally {
      note.done();
    }
  }

  return { box: h("div", {}, troubles ? null : faults, box), ask, stop: () => running?.abort(), hide: (hidden) => { box.hidden = hidden; }, update };
}
