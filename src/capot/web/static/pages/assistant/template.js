// The template, to edit: the packaged dialogue in TOML, and the model's own in Jinja where it has one.

import { fill, h, unique } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { get } from "../../lib/api.js";
import { quoted } from "../../lib/code.js";
import * as state from "../../lib/state.js";
import { fault } from "../../parts/fault.js";

/**
 * Two texts and a system's part. `heard()` is called when one has changed. `given()` are the arguments of the verbs, empty
 * where nothing was edited; `files(command)` the lines of a shell that write what was edited before `command`;
 * `refused(error)` says an error of a template, and answers whether it is one.
 */
export async function templates(heard) {
  const found = await get("/api/templates");
  const saved = state.read();
  const texts = { template: saved.template ?? found.template, chat_template: saved.chat_template ?? found.chat_template ?? "" };
  const system = field("system", { value: saved.system ?? "", rows: 1, placeholder: tr("assistant.no_system") });
  const areas = Object.keys(texts).filter((name) => name === "template" || found.chat_template).map((name) => [name, field(name, { value: texts[name], rows: 12, class: "code-field", spellcheck: "false" })]);
  const troubles = h("div");
  const back = h("button", { type: "button", class: "small", onclick: () => { for (const [name, area] of areas) area.input.value = found[name]; changed(); } }, tr("assistant.original"));
  const box = h("details", { open: Boolean(saved.template || saved.chat_template || saved.system) }, h("summary", {}, tr("assistant.template")),
    h("p", { class: "quiet" }, tr("assistant.template_lead")), areas.map(([, area]) => area.box), h("div", { class: "row" }, back), system.box);
  return { box: h("div", { class: "template" }, box, troubles), given, files, own: Boolean(found.chat_template), refused };

  function field(name, props) {
    const id = unique(name);
    const input = h("textarea", { id, ...props, onchange: changed });
    return { input, box: h("div", { class: "prompt" }, h("label", { for: id }, tr(`assistant.${name}`)), input) };
  }

  function edited() {
    return Object.fromEntries(areas.filter(([name, area]) => area.input.value.trim() && area.input.value !== found[name]).map(([name, area]) => [name, area.input.value]));
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

  /** An error of a template is said under it. Whether it was one. */
  function refused(error) {
    if (!/template/.test(error.code)) return false;
    fill(troubles, fault(error));
    box.open = true;
    return true;
  }

  /** A command line reads a template from a file: one of the two, since --template takes one. */
  function files(command) {
    const now = Object.entries(edited())[0];
    if (!now) return command;
    const name = now[0] === "template" ? "template.toml" : "template.jinja";
    return `printf %s ${quoted(now[1])} > ${name}\n${command} --template ${name}`;
  }
}
