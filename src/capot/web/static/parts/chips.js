// A list of words to add to and take from: the order is the visitor's, and each word stands once.

import { fill, h, unique } from "../lib/dom.js";
import { tr } from "../lib/words.js";

/**
 * `onChange(words)` is called after each change; words are parted by commas or line ends when typed.
 * @param {string[]} words
 * @param {{ label: string, onChange: (words: string[]) => unknown, max?: number }} how
 */
export function chips(words, { label, onChange, max = 60 }) {
  let list = [...new Set(words)];
  const id = unique("chip");
  const items = h("ul", { class: "chips" });
  /** @type {HTMLInputElement} */
  const field = h("input", { id, type: "text", size: 16, onkeydown: (event) => {
    if (event.key === "Enter" || event.key === ",") { event.preventDefault(); add(field.value); }
    if (event.key === "Backspace" && !field.value && list.length) change(list.slice(0, -1));
  }, onblur: () => add(field.value) });
  /** @type {(word: string, index: number) => HTMLElement} */
  const takeAway = (word, index) => {
    const onclick = () => change(list.filter((_, place) => place !== index));
    return h("button", { type: "button", "aria-label": tr("chips.remove", { word }), onclick }, "×");
  };
  const draw = () => fill(items, list.map((word, index) => h("li", { class: "chip" }, h("span", {}, word),
    takeAway(word, index))));
  /** @type {(next: string[]) => void} */
  const change = (next) => { list = next.slice(0, max); draw(); onChange(list); };
  /** @type {(text: string) => void} */
  const add = (text) => {
    const found = text.split(/[,\n]/).map((word) => word.trim()).filter(Boolean);
    field.value = "";
    const all = [...new Set([...list, ...found])];
    if (all.length > list.length) change(all);
  };
  draw();
  const box = h("div", { class: "field" }, h("label", { for: id }, label), h("div", { class: "row" }, items, field));
  return { box, set: change, get words() { return list; } };
}
