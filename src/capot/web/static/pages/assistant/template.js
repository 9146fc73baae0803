// The template, to edit: the packaged dialogue in TOML, and the model's own in Jinja where it has one.

import { fill, h, unique } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { get } from "../../lib/api.js";
import { quoted } from "../../lib/code.js";
import * as state from "../../lib/state.js";
import { fault } from "../../parts/fault.js";

/** @typedef {"template" | "chat_template"} Name */
/** @typedef {{ name: Name, input: HTMLTextAreaElement, box: HTMLElement, original: string }} Area a text to edit */
/** @typedef {Partial<Record<Name, string>>} Edited those that are not as they were */

const CODE = { rows: 12, class: "code-field", spellcheck: "false" };
/** @type {Name[]} */
const NAMES = ["template", "chat_template"];

/**
 * Two texts and a system's part. `onChange()` is called when one has changed. `given()` are the arguments of the verbs,
 * empty where nothing was edited; `files(command)` the lines of a shell that write what was edited before `command`;
 * `refused(error)` says an error of a template, and answers whether it is one.
 * @param {() => unknown} onChange
 * @param {{ desk?: Lab.Desk, signal?: AbortSignal }} [how] `desk` keeps what is edited; `signal` ends the asking
 * @returns {Promise<Lab.Template>}
 */
export async function templates(onChange, { desk = state.page, signal } = {}) {
  const found = await get("/api/templates", { signal });
  const saved = desk.read();
  const areas = NAMES.filter((name) => name === "template" || found.chat_template).map((name) =>
    areaOf(name, { original: found[name] ?? "", value: saved[name] ?? found[name] ?? "", onchange: changed }));
  const system = field("system",
    { onchange: changed, rows: 1, placeholder: tr("assistant.no_system"), value: saved.system ?? "" });
  const troubles = h("div");
  const open = Boolean(saved.template || saved.chat_template || saved.system);
  const box = folded(areas, system.box, { open, changed });
  const own = Boolean(found.chat_template);
  const written = (/** @type {string} */ command) => files(command, edited(areas));
  return { box: h("div", { class: "template" }, box, troubles), given, files: written, own, refused };

  function changed() {
    const now = edited(areas);
    desk.write({ template: now.template ?? "", chat_template: now.chat_template ?? "", system: system.input.value });
    fill(troubles);
    onChange();
  }

  function given() {
    return { ...edited(areas), ...(system.input.value ? { system: system.input.value } : {}) };
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
 * The fold of all that can be edited, with a button that brings back what was.
 * @param {Area[]} areas
 * @param {HTMLElement} system
 * @param {{ open: boolean, changed: () => unknown }} how
 */
function folded(areas, system, { open, changed }) {
  const restore = () => {
    for (const { input, original } of areas) input.value = original;
    changed();
  };
  const back = h("button", { type: "button", class: "small", onclick: restore }, tr("assistant.original"));
  return h("details", { open }, h("summary", {}, tr("assistant.template")),
    h("p", { class: "quiet" }, tr("assistant.template_lead")), areas.map((area) => area.box),
    h("div", { class: "row" }, back), system);
}

/**
 * @param {Area[]} areas
 * @returns {Edited}
 */
function edited(areas) {
  const now = areas.map(({ name, input, original }) => ({ name, text: input.value, original }));
  const changed = now.filter(({ text, original }) => text.trim() && text !== original);
  return Object.fromEntries(changed.map(({ name, text }) => [name, text]));
}

/**
 * @param {Name} name
 * @param {{ original: string, value: string, onchange: () => unknown }} how
 * @returns {Area}
 */
const areaOf = (name, { original, ...props }) => ({ name, original, ...field(name, { ...props, ...CODE }) });

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
 * @param {Edited} edited
 */
function files(command, edited) {
  const now = Object.entries(edited)[0];
  if (!now) return command;
  const name = now[0] === "template" ? "template.toml" : "template.jinja";
  return `printf %s ${quoted(now[1])} > ${name}\n${command} --template ${name}`;
}
