// The lines of Python and of shell that hold the same conversation.

import { inPython, quoted } from "../../lib/code.js";
import { flags } from "../generate/controls.js";

/** @typedef {import("./talked.js").Turn} Turn */
/** @typedef {{ options: Turn["options"], messages: string[] }} Group the turns of the same settings */

/**
 * One call for the turns of the same settings; the terminal holds it where they are all of the same.
 * @param {string} name the model's
 * @param {import("./talked.js").Talked} talked
 * @param {Lab.Template} template
 * @returns {Lab.AsCode}
 */
export function lines(name, { turns, conversation }, template) {
  if (!turns.length || !conversation) return { python: null, command: null };
  const groups = grouped(turns);
  const { kind, price_in, price_out } = conversation;
  const prices = { ...(price_in ? { price_in } : {}), ...(price_out ? { price_out } : {}) };
  const more = { kind, ...template.given(), ...prices };
  const calls = groups.map(({ messages, options }, index) =>
    lastLine(inPython(name, "chat", [messages], { ...(index ? {} : more), ...options })).slice("print(".length, -1));
  const talks = calls.map((call, index) =>
    `talk = ${index ? `${call.slice(0, -1)}, conversation=talk.to_dict())` : call}`);
  const head = inPython(name, "chat", []).split("\n").slice(0, -1);
  const alone = groups.length === 1 && groups[0].messages.every((text) => !text.includes("\n"));
  return {
    python: [...head, ...talks, "print(talk)"].join("\n"),
    command: alone ? script(name, groups[0], { ...more, template }) : null,
  };
}

/** @param {string} text */
const lastLine = (text) => text.slice(text.lastIndexOf("\n") + 1);

/**
 * @param {Turn[]} turns
 * @returns {Group[]}
 */
function grouped(turns) {
  /** @type {Group[]} */
  const groups = [];
  for (const { message, options } of turns) {
    const last = groups.at(-1);
    if (last && JSON.stringify(last.options) === JSON.stringify(options)) last.messages.push(message);
    else groups.push({ options, messages: [message] });
  }
  return groups;
}

/**
 * @param {string} name
 * @param {Group} group
 * @param {{ kind: string, system?: string, price_in?: number, price_out?: number, template: Lab.Template }} how
 */
function script(name, { messages, options }, { kind, system, price_in, price_out, template }) {
  const model = name === "boxed" ? undefined : name;
  const given = {
    ...{ "--system": system, "--price-in": price_in, "--price-out": price_out },
    ...flags(options),
    "--model": model,
  };
  const words = Object.entries(given).filter(([, value]) => value !== undefined)
    .map(([flag, value]) => `${flag} ${quoted(String(value))}`);
  const command = ["capot chat --script -", ...words].join(" ");
  const said = `printf '%s\\n' ${messages.map(quoted).join(" ")} | ${command}`;
  const edited = template.given();
  return edited.template || edited.chat_template ? template.files(said) : `${said} --template ${kind}`;
}
