// A field for each setting of a verb, as `GET /api/chapters/<chapter>` describes it.

import { fill, h, labelled, unique } from "../lib/dom.js";
import { typed, unwritten } from "../lib/words.js";

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
 * Its words are the hint under its label; `said`: its words are the label.
 * @param {Lab.Setting} setting
 * @param {unknown} value
 * @param {{ said?: boolean }} [how]
 */
export function field(setting, value, { said = false } = {}) {
  const id = unique(setting.name);
  const hint = setting.words && !said ? h("p", { class: "small quiet", id: `${id}-words` }, setting.words) : null;
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
  return { setting, read, box: labelled(input, said && setting.words ? setting.words : setting.label, hint) };
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
