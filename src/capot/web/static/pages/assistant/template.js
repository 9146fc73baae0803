// The template, to edit: the packaged dialogue in TOML, and the model's own in Jinja where it has one.

import { fill, h, unique } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { get } from "../../lib/api.js";
import { quoted } from "../../lib/code.js";
import * as state from "../../lib/state.js";
import { fault } from "../../parts/fault.js";

/** @typedef {"template" | "chat_template"} Name */

const CODE = { rows: 12, class: "code-field", spellcheck: "false" };
/** @type {Name[]} */
const NAMES = ["template", "chat_template"];

/**
 * Two texts and a system's part. `heard()` is called when one has changed. `given()` are the arguments of the verbs,
 * empty where nothing was edited; `files(command)` the lines of a shell that write what was edited before `command`;
 * `refused(error)` says an error of a template, and answers whether it is one.
 * @param {() => unknown} heard
 * @returns {Promise<Lab.Template>}
 */
export async function templates(heard) {
  const found = await get("/api/templates");
  const saved = state.read();
  const own = saved.chat_template ?? found.chat_template ?? "";
  /** @type {{ template: string, chat_template: string }} */
  const texts = { template: saved.template ?? found.template, chat_template: own };
  const shared = { onchange: changed, rows: 1, placeholder: tr("assistant.no_system") };
  const system = field("system", { ...shared, value: saved.system ?? "" });
  /** @type {[keyof typeof texts, ReturnType<typeof field>][]} */
  const areas = NAMES.filter((name) => name === "template" || found.chat_template)
    .map((name) => [name, field(name, { onchange: changed, value: texts[name], ...CODE })]);
  const troubles = h("div");
  const back = h("button", { type: "button", class: "small", onclick: restore }, tr("assistant.original"));
  const open = Boolean(saved.template || saved.chat_template || saved.system);
  const lead = h("p", { class: "quiet" }, tr("assistant.template_lead"));
  const box = h("details", { open }, h("summary", {}, tr("assistant.template")), lead, areas.map(([, area]) => area.box),
    h("div", { class: "row" }, back), system.box);
  const whole = h("div", { class: "template" }, box, troubles);
  const written = (/** @type {string} */ command) => files(command, edited());
  return { box: whole, given, files: written, own: Boolean(found.chat_template), refused };

  function restore() {
    for (const [name, area] of areas) area.input.value = found[name] ?? "";
    changed();
  }

  /** @returns {{ template?: string, chat_template?: string }} */
  function edited() {
    const now = areas.map(([name, area]) => [name, area.input.value]);
    return Object.fromEntries(now.filter(([name, text]) => text.trim() && text !== found[/** @type {Name} */ (name)]));
  }

  function changed() {
    const now = edited();
    state.write({ template: now.template ?? "", chat_template: now.chat_template ?? "", system: system.input.value });
    fill(troubles);
    heard();
  }

  function given() {
    return { ...edited(), ...(system.input.value ? { system: system.input.value } : {}) };
  }

  /**
   * An error of a template is said under it. Whether it was one.
   * @param {Lab.Trouble} error
   */
  function refused(error) {
    if (!/template/.test(error.code ?? "")) return false;
    fill(troubles, fault(error));
    box.open = true;
    return true;
  }
}

/**
 * A text to edit, under its name.
 * @param {string} name
 * @param {Lab.Props} props
 */
function field(name, props) {
  const id = unique(name);
  const input = h("textarea", { id, ...props });
  return { input, box: h("div", { class: "prompt" }, h("label", { for: id }, tr(`assistant.${name}`)), input) };
}

/**
 * A command line reads a template from a file: one of the two, since --template takes one.
 * @param {string} command
 * @param {{ template?: string, chat_template?: string }} edited
 */
function files(command, edited) {
  const now = Object.entries(edited)[0];
  if (!now) return command;
  const name = now[0] === "template" ? "template.toml" : "template.jinja";
  return `printf %s ${quoted(now[1])} > ${name}\n${command} --template ${name}`;
}
