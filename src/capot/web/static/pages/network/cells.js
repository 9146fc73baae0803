// A table of cells that arrows go through: one is marked, and Tab leads to one of them.

import { fill, h } from "../../lib/dom.js";

/** How many columns are drawn at most: the last ones. */
export const DRAWN = 128;

/** @typedef {{ row: string, column: number }} Spot a cell, by the name of its row; columns are counted from 0 */

/**
 * A cell to draw, shaded by a share from 0 to 1.
 * @param {string} words
 * @param {number} share
 * @param {Lab.Props} [props]
 */
export const shaded = (words, share, props = {}) => h("td", { tabindex: "-1", "aria-selected": "false",
  class: `w${Math.min(9, Math.floor(10 * share))}`, ...props }, words);

/**
 * `chosen(spot)` hears of a cell that is clicked, or chosen with Enter.
 */
export class Cells {
  table = h("table", { class: "heat guesses", role: "grid", onkeydown: (event) => this.#keys(event) });
  box = h("div", { class: "scroll around" }, this.table);
  #first = 0; // the first column that is drawn
  /** @type {Spot | null} */
  #marked = null;
  #chosen;

  /** @param {(spot: Spot) => unknown} chosen */
  constructor(chosen) {
    this.#chosen = chosen;
    this.table.addEventListener("click", ({ target }) => this.#clicked(target));
    this.table.addEventListener("focusin", ({ target }) => this.#focused(target));
    this.box.addEventListener("scroll", () => this.box.classList.toggle("scrolled", this.box.scrollLeft > 0));
  }

  /**
   * @param {{ label: string, corner: string, columns: string[], first: number,
   *   rows: { name: string, head: Lab.Child, cells: HTMLElement[] }[] }} what `first` is the number of the first column
   */
  draw({ label, corner, columns, first, rows }) {
    this.#first = first;
    this.#marked = null;
    const head = h("thead", {}, h("tr", {}, h("th", { scope: "col" }, corner),
      columns.map((name) => h("th", { scope: "col" }, name))));
    const body = rows.map((row) => h("tr", { dataset: { layer: row.name } },
      h("th", { scope: "row" }, row.head), row.cells));
    this.table.ariaLabel = label;
    this.table.style.setProperty("--columns", String(columns.length));
    fill(this.table, head, h("tbody", {}, body));
    const [start] = this.table.querySelectorAll("td[tabindex]");
    if (start instanceof HTMLElement) this.#stop(start);
  }

  /** The rows, the lowest first. */
  get rows() {
    return this.#downward.toReversed();
  }

  get #downward() {
    return /** @type {HTMLTableRowElement[]} */ ([...this.table.querySelectorAll("tr[data-layer]")]);
  }

  /**
   * The cell of a spot, where it is drawn.
   * @param {Spot} spot
   * @returns {HTMLElement | null}
   */
  cell({ row, column }) {
    if (!(column >= this.#first)) return null;
    const found = this.#downward.find((one) => one.dataset.layer === row);
    return found?.cells[column - this.#first + 1] ?? null;
  }

  /**
   * Mark a cell, the one before being no longer marked.
   * @param {Spot} spot
   */
  mark(spot) {
    const before = this.#marked && this.cell(this.#marked);
    if (before) before.ariaSelected = "false";
    const cell = this.cell(spot);
    if (!cell) return null;
    this.#marked = spot;
    cell.ariaSelected = "true";
    this.#stop(cell);
    this.#bring(cell);
    return cell;
  }

  /**
   * Scroll the table, and not the page, until a cell is seen beside the names of the rows.
   * @param {HTMLElement} cell
   */
  #bring(cell) {
    const [box, head] = [this.box, this.table.rows[0].cells[0].offsetWidth];
    const [left, right] = [cell.offsetLeft - head, cell.offsetLeft + cell.offsetWidth - box.clientWidth];
    if (box.scrollLeft > left) box.scrollLeft = left;
    else if (box.scrollLeft < right) box.scrollLeft = right + 4;
  }

  /**
   * The spot of a cell.
   * @param {EventTarget | null} target
   * @returns {Spot | null}
   */
  spot(target) {
    const cell = target instanceof Element ? target.closest("td[tabindex]") : null;
    const row = cell?.closest("tr");
    if (!cell || !row) return null;
    const column = /** @type {HTMLTableCellElement} */ (cell).cellIndex;
    return { row: row.dataset.layer ?? "", column: column - 1 + this.#first };
  }

  /** @param {EventTarget | null} target */
  #clicked(target) {
    const spot = this.spot(target);
    return spot && this.#chosen(spot);
  }

  /** @param {EventTarget | null} target */
  #focused(target) {
    if (target instanceof HTMLElement && target.matches("td[tabindex], .power")) this.#stop(target);
  }

  /**
   * The one stop of the Tab key.
   * @param {HTMLElement} cell
   */
  #stop(cell) {
    for (const stop of this.table.querySelectorAll('[tabindex="0"]')) stop.setAttribute("tabindex", "-1");
    cell.tabIndex = 0;
  }

  /** @param {KeyboardEvent} event */
  #keys(event) {
    const { target, key } = event;
    if (!(target instanceof HTMLElement)) return;
    if ((key === "Enter" || key === " ") && this.spot(target)) {
      event.preventDefault();
      this.#clicked(target);
      return;
    }
    const next = this.#beside(target, key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  /**
   * The cell that a key leads to.
   * @param {HTMLElement} target
   * @param {string} key
   * @returns {HTMLElement | null}
   */
  #beside(target, key) {
    const row = target.closest("tr");
    const column = /** @type {HTMLTableCellElement} */ (target.closest("td, th")).cellIndex;
    const rows = this.#downward;
    const here = rows.findIndex((one) => one === row);
    const up = { ArrowUp: -1, ArrowDown: 1, PageUp: -rows.length, PageDown: rows.length }[key] ?? 0;
    const along = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[key] ?? 0;
    if (!up && !along) return null;
    const to = rows[Math.max(0, Math.min(rows.length - 1, here + up))];
    const cell = to.cells[Math.max(0, Math.min(to.cells.length - 1, column + along))];
    return cell.querySelector("button") ?? (cell.matches("th") ? /** @type {HTMLElement} */ (to.cells[1]) : cell);
  }
}
