// The one prompt, on every page: typed here, carried to the others, kept in the address.

import { h, later, unique } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";

/**
 * A text field. `heard(text)` is called `delay` ms after the last key; `fault` lies beside it for an error.
 * Empty, it shows `examples` to click. `own` keeps the text, where it is not the prompt of all pages.
 */
export function promptField({ heard, label, examples = [], delay = 150, initial, rows = 2, own = state.prompt, placeholder }) {
  const id = unique("prompt");
  const start = initial ?? own.get() ?? "";
  const field = h("textarea", { id, rows, spellcheck: "false", value: start, placeholder: placeholder ?? tr("prompt.placeholder"), "aria-describedby": `${id}-troubles` });
  const soon = later(delay, (text) => { own.set(text); heard(text); });
  const shelf = h("div", { class: "examples", "aria-label": tr("prompt.examples") }, h("span", {}, tr("prompt.try")),
    examples.map((text) => h("button", { type: "button", class: "small", onclick: () => set(text) }, text)));
  const troubles = h("div", { class: "troubles", id: `${id}-troubles` });
  const set = (text, { focus = true } = {}) => {
    field.value = text;
    shelf.hidden = Boolean(text);
    own.set(text);
    heard(text);
    if (focus) field.focus();
  };
  field.addEventListener("input", () => { shelf.hidden = Boolean(field.value); soon(field.value); });
  shelf.hidden = Boolean(start);
  const box = h("div", { class: "prompt" }, h("label", { for: id }, label ?? tr("prompt.label")), field, shelf, troubles);
  return { box, field, set, troubles, get text() { return field.value; } };
}
