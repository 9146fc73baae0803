// From a text predictor to an assistant: one question four ways, then a conversation and its bill.

import { h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { tabs } from "../parts/tabs.js";
import { controls } from "./generate/controls.js";
import { templates } from "./assistant/template.js";
import { ways } from "./assistant/ways.js";
import { talk } from "./assistant/talk.js";

/** @typedef {"ways" | "talk"} View */
/** @typedef {import("./assistant/ways.js").Asked} Asked */
/** @typedef {import("./assistant/talk.js").Sending} Sending */
/** @typedef {Asked | Sending} Handed what the open view had under way */

/**
 * @param {HTMLElement} main
 * @param {Lab.Context<Handed>} context
 * @returns {Promise<Lab.Page<Handed>>}
 */
export default async function page(main, context) {
  let model = context.model?.model ?? null;
  const named = (/** @type {CustomEvent<Lab.AtWork>} */ event) => { model = event.detail.model; };
  const { left } = context;
  document.addEventListener("capot-model", named, { signal: left });
  const before = state.read(); // a link of before had one text for all pages
  if (before.prompt !== undefined && before.question === undefined)
    state.write({ question: before.prompt, prompt: "" });
  const settings = controls({ template: true });
  let { handed } = context;
  /** @type {Lab.Assistant<Handed> | null} */
  let current = null;
  const template = await templates(() => current?.changed?.(), { signal: left });
  const open = (/** @type {View} */ view, /** @type {HTMLElement} */ place) => {
    current?.leave();
    current = instrument(view, { settings, template, name: () => model ?? "boxed", handed });
    handed = null;
    place.replaceChildren(current.box);
    current.start();
  };
  const names = /** @type {View[]} */ (["ways", "talk"]);
  const title = (/** @type {View} */ view) => tr(`assistant.tab.${view}`);
  main.append(h("p", { class: "lead" }, tr("assistant.lead")),
    tabs({ names, label: tr("assistant.views"), title, open }));
  const hidden = () => { current?.leave(); };
  addEventListener("pagehide", hidden, { signal: left });
  return { leave: (how) => current?.leave(how) };
}

/**
 * A view's instrument; what is handed on is what the view that was open had given.
 * @param {View} view
 * @param {Lab.Assisting<Handed>} parts
 * @returns {Lab.Assistant<Handed>}
 */
function instrument(view, parts) {
  return view === "ways"
    ? ways(/** @type {Lab.Assisting<Asked>} */ (parts))
    : talk(/** @type {Lab.Assisting<Sending>} */ (parts));
}
