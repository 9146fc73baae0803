// Boxes to tick, and one of several to choose: each in its label.

import { h, unique } from "../lib/dom.js";

/**
 * A box to tick; `onChange` is called with whether it is.
 * @param {Lab.Child} label
 * @param {{ checked: boolean, onChange?: (checked: boolean) => unknown, value?: string }} how
 */
export function tick(label, { checked, onChange, value }) {
  /** @type {HTMLInputElement} */
  const input = h("input", { type: "checkbox", value, checked, onchange: () => onChange?.(input.checked) });
  return h("label", { class: "tick" }, input, label);
}

/**
 * One of `values` to choose, called `said(value)` each; `unseen`: the legend is for who does not see the page. A
 * page may have several of a name: each is a group of its own.
 * @template {string | number} Value
 * @param {Value[]} values
 * @param {{
 *   name: string, legend: string, chosen: Value, said: (value: Value) => string, unseen?: boolean,
 *   onChange?: (value: Value) => unknown,
 * }} how
 */
export function choice(values, { name, legend, chosen, said, unseen = false, onChange }) {
  const group = unique(name);
  return h("fieldset", { class: "checks plain" },
    h("legend", { class: unseen ? "offstage" : undefined }, legend),
    values.map((value) => h("label", { class: "tick" },
      h("input", { type: "radio", name: group, value, checked: value === chosen, onchange: () => onChange?.(value) }),
      said(value))));
}

/**
 * Several boxes to tick under one legend, in a fieldset.
 * @param {string} legend
 * @param {HTMLElement[]} boxes
 * @param {{ unseen?: boolean }} [how] see `choice`
 */
export function ticks(legend, boxes, { unseen = false } = {}) {
  return h("fieldset", { class: "checks plain" },
    h("legend", { class: unseen ? "offstage" : undefined }, legend), boxes);
}

/**
 * What is ticked or chosen in a part of a page.
 * @param {Element} part
 */
export function ticked(part) {
  return Array.from(part.querySelectorAll("input"), (one) => (one.checked ? one.value : "")).filter(Boolean);
}
