// All the terms of the field on one sheet, in the reader's language.

import { fill, h, unique } from "../lib/dom.js";
import { glossary, lang, tr } from "../lib/words.js";
import { meaning } from "./meanings.js";

/** The button that opens the sheet, and the sheet. */
export function glossaryPage() {
  const id = unique("glossary");
  const sheet = h("dialog", { class: "sheet", "aria-labelledby": id });
  const open = () => {
    const terms = Object.entries(glossary()).sort(([, a], [, b]) => a.name.localeCompare(b.name, lang()));
    fill(
      sheet,
      h("h2", { id }, tr("glossary_page.title")),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": id },
        h(
          "dl",
          {},
          terms.map(([key, { name, said }]) => [h("dt", {}, name), h("dd", {}, said, meaning(key))]),
        ),
      ),
      h(
        "p",
        { class: "row" },
        h("button", { type: "button", class: "primary", onclick: () => sheet.close() }, tr("actions.close")),
      ),
    );
    sheet.showModal();
  };
  sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
  return [
    h(
      "button",
      { type: "button", class: "quiet-button glossary", "aria-haspopup": "dialog", onclick: open },
      h("span", { class: "long" }, tr("glossary_page.title")),
      h("span", { class: "brief", "aria-hidden": "true" }, "?"),
    ),
    sheet,
  ];
}
