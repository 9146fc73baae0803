// The one prompt, on every page: typed here, carried to the others, kept in the address.

import { fill, h, hurry, later, unique } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";

/**
 * A text field. `onChange(text)` is called `delay` ms after the last key; `fault` lies beside it for an error.
 * Empty, it shows `examples` to click. `own` keeps the text, where it is not the prompt of all pages. `offer`
 * takes other examples.
 * @param {{
 *   onChange: (text: string) => unknown, label?: string, examples?: string[], delay?: number, initial?: string,
 *   rows?: number, own?: Lab.Carried, placeholder?: string,
 * }} how
 * @returns {Lab.Field}
 */
export function promptField({ onChange, label, own = state.prompt, initial, placeholder, ...how }) {
  const { examples = [], delay = 150, rows = 2 } = how;
  const id = unique("prompt");
  const start = initial ?? own.get() ?? "";
  const about = { placeholder: placeholder ?? tr("prompt.placeholder"), "aria-describedby": `${id}-troubles` };
  const field = h("textarea", { id, rows, spellcheck: "false", value: start, ...about });
  const soon = later(delay, (/** @type {string} */ text) => { own.set(text); onChange(text); });
  const choices = h("div", { class: "examples", "aria-label": tr("prompt.examples") });
  const offer = (/** @type {string[]} */ some) => fill(choices, h("span", {}, tr("prompt.try")),
    some.map((text) => h("button", { type: "button", class: "small", onclick: () => set(text) }, text)));
  offer(examples);
  const troubles = h("div", { class: "troubles", id: `${id}-troubles` });
  /** @type {(text: string, how?: { focus?: boolean }) => void} */
  const set = (text, { focus = true } = {}) => {
    field.value = text;
    choices.hidden = Boolean(text);
    own.set(text);
    onChange(text);
    if (focus) field.focus();
  };
  field.addEventListener("input", () => { choices.hidden = Boolean(field.value); soon(field.value); });
  field.addEventListener("change", hurry); // a button that is pressed next finds what was typed last
  choices.hidden = Boolean(start);
  const name = h("label", { for: id }, label ?? tr("prompt.label"));
  const box = h("div", { class: "prompt" }, name, field, choices, troubles);
  return { box, field, set, troubles, offer, get text() { return field.value; } };
}
