// Any chapter without a page of its own: a form made of what its verbs take, and their answers' blocks.

import { fill, h, labelled, unique } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { tr, typed, unwritten } from "../lib/words.js";
import { answers } from "../parts/answer.js";

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model, chapter }) {
  const name = model?.model ?? "boxed";
  const { verbs } = /** @type {{ verbs: Lab.Verb[] }} */ (await get(`/api/chapters/${chapter}`));
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
  const fields = verb.settings.map((setting) => field(setting, verb.example[setting.name] ?? setting.default));
  const troubles = h("div", { class: "troubles" });
  const answer = answers(verb.name, { words: tr("plain.waiting"), troubles });
  const ask = () => {
    const given = Object.fromEntries(fields.map(({ setting, read }) => [setting.name, read()]));
    for (const key of Object.keys(given)) if (given[key] === undefined) delete given[key];
    return answer.ask(given, { python: inPython(name, verb.name, [], given), command: command(verb, name, given) });
  };
  const asked = h("form", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); ask(); } },
    fields.map(({ box }) => box), h("button", { type: "submit", class: "primary" }, tr("plain.ask")));
  const lead = h("p", { class: "lead" }, verb.help);
  const box = h("section", { class: "plain", dataset: { verb: verb.name } }, lead, asked, troubles, answer.box);
  return { box, stop: answer.stop };
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

/**
 * What a field's text stands for, by kind.
 * @type {Record<Exclude<Lab.Setting["kind"], "yes">, (text: string) => unknown>}
 */
const READ = {
  text: (text) => text,
  whole: (text) => (text === "" ? undefined : unwritten(text)),
  real: (text) => (text === "" ? undefined : unwritten(text)),
  choice: (text) => text,
  texts: (text) => text.split("\n").filter(Boolean),
  numbers: (text) => text.split(/[\s;,]+/).filter(Boolean).map(Number),
  data: (text) => (text === "" ? undefined : parsed(text)),
};

/**
 * What is no JSON is sent as it was typed, to be refused in words that name the field.
 * @param {string} text
 */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * A field for one setting; `read()` is undefined where the verb's default is meant.
 * @param {Lab.Setting} setting
 * @param {unknown} value
 */
function field(setting, value) {
  const id = unique(setting.name);
  const hint = setting.words ? h("p", { class: "small quiet", id: `${id}-words` }, setting.words) : null;
  const input = control(setting, value, { id, "aria-describedby": hint?.id });
  const read = () => {
    const { kind } = setting;
    if (kind === "yes") {
      const { checked } = /** @type {HTMLInputElement} */ (input);
      return checked === Boolean(setting.default) ? undefined : checked;
    }
    const [found, usual] = [input.value, shown(setting.default)].map(READ[kind]);
    return !setting.required && JSON.stringify(found) === JSON.stringify(usual) ? undefined : found;
  };
  return { setting, read, box: labelled(input, setting.name, hint) };
}

/**
 * What is typed into, ticked or chosen from.
 * @param {Lab.Setting} setting
 * @param {unknown} value
 * @param {Lab.Props} props
 * @returns {Lab.Control}
 */
function control({ kind, choices, required, minimum, maximum }, value, props) {
  if (kind === "yes") return h("input", { ...props, type: "checkbox", checked: Boolean(value) });
  if (kind === "choice") {
    return fill(h("select", props), choices.map((one) => h("option", { value: one, selected: one === value }, one)));
  }
  if (kind !== "whole" && kind !== "real") {
    const rows = kind === "texts" ? 3 : 2;
    return h("textarea", { ...props, rows, spellcheck: "false", required, value: shown(value) });
  }
  const said = { role: "spinbutton", "aria-valuemin": minimum, "aria-valuemax": maximum };
  const bounds = minimum === undefined ? {} : said;
  const inputmode = kind === "whole" ? "numeric" : "decimal";
  return h("input", { ...props, ...bounds, type: "text", inputmode, required, value: shown(value) });
}

/**
 * A value as a field holds it.
 * @param {unknown} value
 */
function shown(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.join("\n");
  if (typeof value === "number") return typed(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
