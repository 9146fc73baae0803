// The line above every page: what is at work, the glossary, the language, the theme.

import { h } from "../lib/dom.js";
import { amount, lang, LANGUAGES, tr } from "../lib/words.js";
import { chapterAddress } from "../lib/state.js";
import { glossaryPage } from "./glossary.js";
import { inviting } from "./invite.js";
import { opener, ownerOnly } from "./opener.js";
import { isDark, turn } from "./theme.js";

/**
 * The header for a model, which may not be known yet. `relearn(name)` is called when another language is chosen,
 * `reopened` with another model.
 * @param {{
 *   model: Lab.AtWork | null, relearn: (name: Lab.Language) => unknown, reopened: (model: Lab.AtWork) => unknown,
 * }} how
 */
export function top({ model, relearn, reopened }) {
  const sign = h("span", { "aria-hidden": "true" });
  const theme = h("button", { type: "button", class: "quiet-button", onclick: turn },
    sign, h("span", { class: "offstage" }, tr("header.theme")));
  const show = () => {
    theme.setAttribute("aria-pressed", String(isDark()));
    sign.textContent = isDark() ? "☀" : "☾";
  };
  show();
  document.addEventListener("capot-theme", show);
  /** @type {HTMLSelectElement} */
  const language = h("select", { "aria-label": tr("header.language"), onchange: () => relearn(chosen()) },
    LANGUAGES.map((name) =>
      h("option", { value: name, selected: name === lang(), lang: name }, tr(`languages.${name}`))));
  const chosen = () => LANGUAGES[language.selectedIndex];
  const invite = model?.owner && model.coded ? inviting() : null;
  const box = h("header", { class: "top" }, h("a", { class: "brand", href: chapterAddress("home") }, "capot"),
    atWork(model, reopened), h("div", { class: "choices" }, invite, glossaryPage(), language, theme));
  return { box, leave: () => document.removeEventListener("capot-theme", show) };
}

/**
 * Model, parameters, engine, device, precision. For the server's owner it is the button that opens another; where
 * there is no access code, so that anybody at the machine comes in, it says to the others how to be known as the owner.
 * @param {Lab.AtWork | null} model
 * @param {(model: Lab.AtWork) => unknown} reopened
 */
function atWork(model, reopened) {
  if (!model) return h("p", { class: "at-work" });
  const parameters = model.parameters
    ? [amount(model.parameters), h("span", { class: "unit" }, " ", tr("header.parameters"))]
    : null;
  /** @type {[string, Lab.Child][]} */
  const facts = [
    ["model", model.model],
    ["size", parameters],
    ["engine", model.engine],
    ["device", model.device],
    ["dtype", model.dtype],
  ];
  const spans = facts.filter(([, fact]) => fact).map(([name, fact]) => h("span", { class: name }, fact));
  if (!model.owner && model.coded !== false) return h("p", { class: "at-work", title: tr("header.at_work") }, spans);
  const { dialog, open } = model.owner ? opener(model, reopened) : ownerOnly();
  const title = tr("opener.title");
  const button = h("button", { type: "button", class: "facts", title, "aria-haspopup": "dialog", onclick: open },
    spans, h("span", { class: "offstage" }, title));
  return [h("div", { class: "at-work" }, button), dialog];
}
