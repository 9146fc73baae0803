// Any chapter without a page of its own: a form made of what its verbs take, and their answers' blocks.

import { fill, h, unique } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { tr, typed, unwritten } from "../lib/words.js";
import { answers } from "../parts/answer.js";

export default async function page(main, { model, chapter }) {
  const name = model?.model ?? "boxed";
  const { verbs } = await get(`/api/chapters/${chapter}`);
  const made = verbs.map((verb) => form(verb, name));
  main.append(...made.map(({ box }) => box));
  return { leave: () => made.forEach(({ stop }) => stop()) };
}

/** One verb: its fields, a button, and where its answers are drawn. */
function form(verb, name) {
  const fields = verb.settings.map((setting) => field(setting, verb.example[setting.name] ?? setting.default));
  const troubles = h("div", { class: "troubles" });
  const answer = answers(verb.name, { words: tr("plain.waiting"), troubles });
  const submit = (event) => { event.preventDefault(); ask(); };
  const ask = () => {
    const given = Object.fromEntries(fields.map(({ setting, read }) => [setting.name, read()]).filter(([, value]) => value !== undefined));
    const flags = Object.fromEntries(Object.entries(given).map(([key, value]) => [`--${key.replaceAll("_", "-")}`, value]));
    const [first] = verb.settings;
    const { [`--${first?.name}`]: led, ...others } = flags;
    const told = { python: inPython(name, verb.name, [], given), command: onCommandLine(name, verb.name, led === undefined ? [] : [led].flat(), others) };
    return answer.ask(given, told);
  };
  const box = h("section", { class: "plain", dataset: { verb: verb.name } }, h("p", { class: "lead" }, verb.help),
    h("form", { onsubmit: submit }, fields.map(({ box: one }) => one), h("button", { type: "submit", class: "primary" }, tr("plain.ask"))), troubles, answer.box);
  return { box, stop: answer.stop };
}

const READ = {
  text: (text) => text,
  whole: (text) => (text === "" ? undefined : unwritten(text)),
  real: (text) => (text === "" ? undefined : unwritten(text)),
  choice: (text) => text,
  texts: (text) => text.split("\n").filter(Boolean),
  numbers: (text) => text.split(/[\s;,]+/).filter(Boolean).map(Number),
  data: (text) => (text === "" ? undefined : JSON.parse(text)),
};

/** A field for one setting; `read()` is undefined where the verb's default is meant. */
function field(setting, value) {
  const id = unique(setting.name);
  const input = CONTROLS[setting.kind]?.(setting, value, id) ?? area(setting, value, id);
  const hint = setting.words ? h("p", { class: "small quiet", id: `${id}-words` }, setting.words) : null;
  if (hint) input.setAttribute("aria-describedby", hint.id);
  const read = () => {
    if (setting.kind === "yes") return input.checked === Boolean(setting.default) ? undefined : input.checked;
    const [found, usual] = [READ[setting.kind](input.value), READ[setting.kind](shown(setting.default))];
    return !setting.required && JSON.stringify(found) === JSON.stringify(usual) ? undefined : found;
  };
  return { setting, read, box: h("div", { class: "field" }, h("label", { for: id }, setting.name), input, hint) };
}

const CONTROLS = {
  yes: (_, value, id) => h("input", { id, type: "checkbox", checked: Boolean(value) }),
  choice: ({ choices }, value, id) => {
    const select = h("select", { id });
    fill(select, choices.map((choice) => h("option", { value: choice, selected: choice === value }, choice)));
    return select;
  },
  whole: (setting, value, id) => h("input", { id, type: "text", inputmode: "numeric", value: shown(value), ...marks(setting) }),
  real: (setting, value, id) => h("input", { id, type: "text", inputmode: "decimal", value: shown(value), ...marks(setting) }),
};

const area = (setting, value, id) => h("textarea", { id, rows: setting.kind === "texts" ? 3 : 2, spellcheck: "false", required: setting.required, value: shown(value) });

/** The bounds, said to who hears the page. */
const marks = ({ minimum, maximum }) => (minimum === undefined ? {} : { role: "spinbutton", "aria-valuemin": minimum, "aria-valuemax": maximum });

/** A value as a field holds it. */
function shown(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.join("\n");
  return typeof value === "number" ? typed(value) : typeof value === "object" ? JSON.stringify(value) : String(value);
}
