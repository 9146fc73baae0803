// Horizontal bars of plain HTML: redrawn in place, so that a slider moves them within a frame.

import { h } from "../lib/dom.js";

const CHARACTER = 0.61; // em, of a name's letters

/**
 * <capot-bars>: set `rows` to [{ label, value (0..1), text, marked, cut, ghost (0..1), hint }]; "pick" tells which
 * was clicked.
 */
class Bars extends HTMLElement {
  /** @type {Lab.Bar[]} */
  #rows = [];

  /** @param {Lab.Bar[]} rows */
  set rows(rows) {
    const list = /** @type {HTMLElement} */ (this.firstElementChild ?? this.appendChild(h("ol", { class: "bars" })));
    while (list.children.length > rows.length) list.children[rows.length].remove();
    while (list.children.length < rows.length) list.append(this.#line(list.children.length));
    const lines = /** @type {HTMLCollectionOf<HTMLElement>} */ (list.children);
    rows.forEach((row, index) => this.#update(lines[index], row));
    // every line is a grid of its own: the longest name tells them all how wide a column it needs
    const longest = Math.max(0, ...rows.map(({ label }) => label.length));
    list.style.setProperty("--longest", `${(CHARACTER * longest).toFixed(1)}em`);
    this.#rows = rows;
  }

  get rows() {
    return this.#rows;
  }

  /** @param {number} index */
  #line(index) {
    const parts = [
      h("span", { class: "name" }),
      h("span", { class: "track" }, h("i"), h("b", { hidden: true })),
      h("span", { class: "figure" }),
    ];
    const send = () => this.dispatchEvent(new CustomEvent("pick", { detail: index }));
    return h("li", {}, this.hasAttribute("pick") ? h("button", { type: "button", onclick: send }, parts) : parts);
  }

  /**
   * @param {HTMLElement} line
   * @param {Lab.Bar} row
   */
  #update(line, row) {
    const inner = line.firstElementChild?.matches("button") ? line.firstElementChild : line;
    const [name, track, figure] = inner.children;
    // where the bar would stand with nothing moved
    const [bar, ghost] = /** @type {HTMLCollectionOf<HTMLElement>} */ (track.children);
    if (name.textContent !== row.label) name.textContent = row.label;
    if (figure.textContent !== row.text) figure.textContent = row.text;
    bar.style.width = `${(100 * Math.max(0, Math.min(1, row.value))).toFixed(2)}%`;
    const share = row.ghost ?? null;
    ghost.hidden = share === null;
    if (share !== null) ghost.style.width = `${(100 * Math.min(1, share)).toFixed(2)}%`;
    line.classList.toggle("far", Boolean(row.far));
    line.classList.toggle("marked", Boolean(row.marked));
    line.classList.toggle("cut", Boolean(row.cut));
    if (row.hint && line.title !== row.hint) line.title = row.hint;
  }
}

customElements.define("capot-bars", Bars);
