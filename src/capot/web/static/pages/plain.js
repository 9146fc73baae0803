// Any chapter without a page of its own: a form made of what its verbs take, and their answers' blocks.

import { h } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { answers } from "../parts/answer.js";
import { field } from "../parts/fields.js";

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model, chapter, left }) {
  const name = model?.model ?? "boxed";
  const { verbs } = /** @type {{ verbs: Lab.Verb[] }} */ (await get(`/api/chapters/${chapter}`, { signal: left }));
  const made = verbs.map((verb) => form(verb, name));
  main.append(...made.map(({ box }) => box));
  return { leave: () => made.forEach(({ stop }) => stop()) };
}

/**
 * One verb: its fields, a button, and where its answers are drawn.
 * @param {Lab.Verb} verb
 * @param {string} name
 */
function form(verb, name) {
  const start = begun(verb);
  const fields = verb.settings.map((setting) => field(setting, start[setting.name] ?? setting.default));
  const troubles = h("div", { class: "troubles" });
  const answer = answers(verb.name, { words: tr("plain.waiting"), troubles });
  const ask = () => {
    const given = Object.fromEntries(fields.map(({ setting, read }) => [setting.name, read()]));
    for (const key of Object.keys(given)) if (given[key] === undefined) delete given[key];
    const text = given.prompt ?? given.text;
    if (typeof text === "string" && text) state.prompt.set(text); // the other pages take it up
    return answer.ask(given, { python: inPython(name, verb.name, [], given), command: command(verb, name, given) });
  };
  const asked = h("form", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); ask(); } },
    fields.map(({ box }) => box), h("button", { type: "submit", class: "primary" }, tr("plain.ask")));
  const lead = h("p", { class: "lead" }, verb.help);
  const box = h("section", { class: "plain", dataset: { verb: verb.name } }, lead, asked, troubles, answer.box);
  return { box, stop: answer.stop };
}

/**
 * What the fields hold at first: an example, or the text that all pages share, to which no more of the example belongs
 * than must be given.
 * @param {Lab.Verb} verb
 * @returns {Record<string, unknown>}
 */
function begun({ settings, example }) {
  const shared = settings.find(({ name }) => name === "prompt" || name === "text");
  if (!shared || !state.prompt.known()) return example;
  const needed = settings.filter(({ required }) => required).map(({ name }) => [name, example[name]]);
  return { ...Object.fromEntries(needed), [shared.name]: state.prompt.get() };
}

/**
 * The same on the command line, where the first setting of a verb is an argument.
 * @param {Lab.Verb} verb
 * @param {string} name
 * @param {Record<string, unknown>} given
 */
function command(verb, name, given) {
  const [first, ...others] = verb.settings;
  const led = first && given[first.name] !== undefined ? [given[first.name]].flat().map(String) : [];
  const flags = others.map((setting) => [`--${setting.name.replaceAll("_", "-")}`, given[setting.name]]);
  return onCommandLine(name, verb.name, led, Object.fromEntries(flags));
}
