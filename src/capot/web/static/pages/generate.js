// Predict, choose, append, repeat: one text that can be left at any token, or several temperatures side by side.

import { h } from "../lib/dom.js";
import { ownFirst, tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { promptField } from "../parts/prompt.js";
import { tabs } from "../parts/tabs.js";
import { controls } from "./generate/controls.js";
import { one } from "./generate/one.js";
import { beside } from "./generate/beside.js";

const EXAMPLES = {
  fr: ["Il était une fois", "La capitale de l’Australie est"],
  en: ["Once upon a time", "The capital of Australia is"],
};
const TYPED = "textarea, input, select, button, a, summary, [tabindex='0']"; // where a key has a meaning of its own

/** @typedef {"one" | "all"} View */
/** @typedef {Lab.Story | import("./generate/beside.js").Together} Handed what the open view had under way */

/**
 * @param {HTMLElement} main
 * @param {Lab.Context<Handed>} context
 * @returns {Promise<Lab.Page<Handed>>}
 */
export default async function page(main, context) {
  let model = context.model?.model ?? null;
  const named = (/** @type {CustomEvent<Lab.AtWork>} */ event) => { model = event.detail.model; };
  document.addEventListener("capot-model", named);
  const onChange = (/** @type {string} */ text) => {
    if (text !== state.read().prompt) state.write({ tree: "", drawn: "", on: "", all: "" });
  };
  const field = promptField({ onChange, examples: ownFirst(EXAMPLES) });
  const settings = controls();
  let { handed } = context;
  /** @type {Lab.Instrument<Handed> | null} */
  let current = null;
  const open = (/** @type {View} */ view, /** @type {HTMLElement} */ place) => {
    current?.leave();
    settings.showTemperature(view === "one");
    current = instrument(view, { field, settings, name: () => model ?? "boxed", handed });
    handed = null;
    place.replaceChildren(current.box);
    return current.start();
  };
  const names = /** @type {View[]} */ (["one", "all"]);
  const title = (/** @type {View} */ view) => tr(`generate.tab.${view}`);
  const box = tabs({ names, label: tr("generate.views"), title, open });
  main.append(h("p", { class: "lead" }, tr("generate.lead")), field.box, settings.box, box);
  const stopListening = listening(() => current);
  return { leave: (how) => {
    stopListening();
    document.removeEventListener("capot-model", named);
    return current?.leave(how);
  } };
}

/**
 * A view's instrument; what is handed on is what the view that was open had given.
 * @param {View} view
 * @param {Lab.Writing<Handed>} parts
 * @returns {Lab.Instrument<Handed>}
 */
function instrument(view, parts) {
  return view === "one"
    ? one(/** @type {Lab.Writing<Lab.Story>} */ (parts))
    : beside(/** @type {Lab.Writing<import("./generate/beside.js").Together>} */ (parts));
}

/**
 * The keys of the page: Space takes one token more, Escape stops. Returns what ends the listening.
 * @param {() => Lab.Instrument<Handed> | null} current
 */
function listening(current) {
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const typing = event.target instanceof Element && event.target.closest(TYPED);
    if (event.code === "Space" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      current()?.further(1);
    }
    if (event.key === "Escape" && current()?.busy) current()?.halt();
  };
  const hidden = () => { current()?.leave(); }; // a reload in the middle keeps what there is
  document.addEventListener("keydown", keys);
  addEventListener("pagehide", hidden);
  return () => {
    document.removeEventListener("keydown", keys);
    removeEventListener("pagehide", hidden);
  };
}
