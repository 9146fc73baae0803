// The guesses: tokens as columns, layers as rows, the last layer on top. A row opens under the layer that is chosen.

import { fill, h, visible } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { arcs } from "./arcs.js";

const DRAWN = 128; // tokens, the last ones

/** @typedef {{ layer: number, position: number }} Place */

/**
 * A token as it is shown; what is no whole character has its number.
 * @param {{ id: number, text: string }} token
 */
export const named = ({ id, text }) => (text ? visible(text) : `id ${id}`);

/**
 * The picture of all guesses. `chosen(place)` hears of a cell, `switched(layer)` of a layer's button.
 */
export class Grid {
  #table = h("table", { class: "heat guesses", role: "grid", onkeydown: (event) => this.#keys(event) });
  box = h("div", { class: "scroll around" }, this.#table);
  #arcs = h("td", { class: "open" });
  #opened = h("tr", { class: "arcs" }, this.#arcs);
  /** @type {Api.NetworkInside | null} */
  #found = null;
  #first = 0; // the first position that is drawn
  /** @type {Place | null} */
  #place = null;
  /** @type {{ weights: ArrayLike<number>, label: string } | null} */
  #shown = null;
  /** @type {(number | undefined)[]} */
  #centers = [];
  #width = 0;
  #dragged = false; // whether its cells can be
  #chosen;
  #switched;

  /** @param {{ chosen: (place: Place) => unknown, switched: (layer: number) => unknown }} how */
  constructor({ chosen, switched }) {
    this.#chosen = chosen;
    this.#switched = switched;
    this.#table.addEventListener("click", (event) => this.#clicked(event));
    this.#table.addEventListener("focusin", ({ target }) => this.#focused(target));
    new ResizeObserver(() => this.#resized()).observe(this.#table);
  }

  /** Where the middle of each position's column is. */
  get centers() {
    return this.#centers;
  }

  /** The first position that is drawn. */
  get first() {
    return this.#first;
  }

  /**
   * @param {Api.NetworkInside} found
   * @param {{ switchable: boolean }} how
   */
  draw(found, { switchable }) {
    this.#found = found;
    this.#first = Math.max(0, found.tokens.length - DRAWN);
    this.#place = this.#shown = null;
    this.#opened.remove();
    const tokens = found.tokens.slice(this.#first);
    const head = h("thead", {}, h("tr", {}, h("th", { scope: "col" }, tr("network.layer")),
      tokens.map((token) => h("th", { scope: "col" }, named(token)))));
    const rows = found.layers.toReversed().map((layer) => this.#row(layer, switchable));
    this.#table.ariaLabel = tr("network.grid");
    this.#table.style.setProperty("--columns", String(tokens.length));
    fill(this.#table, head, h("tbody", {}, rows));
    this.#arcs.colSpan = tokens.length + 1;
    this.#measure();
  }

  /**
   * @param {Api.LayerInside} layer
   * @param {boolean} switchable
   */
  #row({ layer, guesses }, switchable) {
    const name = String(layer);
    const button = layer && switchable ? h("button", { type: "button", class: "power", tabindex: "-1",
      "aria-pressed": "false", "aria-label": tr("network.switch_layer", { layer }) }, name) : name;
    const draggable = this.#dragged ? "true" : undefined;
    const cells = guesses.slice(this.#first).map((guess) => h("td", { tabindex: "-1", draggable,
      class: `w${Math.min(9, Math.floor(10 * guess.probability))}`, "aria-selected": "false" }, named(guess)));
    return h("tr", { dataset: { layer: name } }, h("th", { scope: "row" }, button), cells);
  }

  /**
   * The cell of a place, where it is drawn.
   * @param {Place} place
   * @returns {HTMLElement | null}
   */
  cell({ layer, position }) {
    if (!(position >= this.#first)) return null;
    const row = /** @type {HTMLTableRowElement | null} */ (this.#table.querySelector(`tr[data-layer="${layer}"]`));
    return row?.cells[position - this.#first + 1] ?? null;
  }

  /** The rows, from what enters the first layer up. */
  get rows() {
    const rows = /** @type {HTMLTableRowElement[]} */ ([...this.#table.querySelectorAll("tr[data-layer]")]);
    return rows.toReversed();
  }

  /**
   * Mark a place, the one before being no longer marked.
   * @param {Place} place
   */
  mark(place) {
    const before = this.#place && this.cell(this.#place);
    if (before) before.ariaSelected = "false";
    const cell = this.cell(place);
    if (!cell) return null;
    this.#place = place;
    cell.ariaSelected = "true";
    this.#stop(cell);
    this.#bring(cell);
    return cell;
  }

  /**
   * Mark a place, and open the row under its layer.
   * @param {Place} place
   */
  choose(place) {
    const cell = this.mark(place);
    if (!cell) return;
    if (place.layer) cell.parentElement?.after(this.#opened);
    else this.#opened.remove();
    this.#shown = null;
    fill(this.#arcs);
  }

  /**
   * Scroll the table, and not the page, until a cell is seen beside the layers' numbers.
   * @param {HTMLElement} cell
   */
  #bring(cell) {
    const [box, head] = [this.box, this.#table.rows[0].cells[0].offsetWidth];
    const [left, right] = [cell.offsetLeft - head, cell.offsetLeft + cell.offsetWidth - box.clientWidth];
    if (box.scrollLeft > left) box.scrollLeft = left;
    else if (box.scrollLeft < right) box.scrollLeft = right + 4;
  }

  /**
   * Draw what the chosen token reads.
   * @param {ArrayLike<number>} weights
   * @param {string} label
   */
  show(weights, label) {
    this.#shown = { weights, label };
    if (this.#place?.layer) fill(this.#arcs, arcs(weights, { reader: this.#place.position, centers: this.#centers,
      width: this.#width, label }));
  }

  /**
   * Which layers are switched off.
   * @param {(layer: number) => boolean} off
   */
  power(off) {
    for (const row of this.rows) {
      const layer = Number(row.dataset.layer);
      row.classList.toggle("off", off(layer));
      row.querySelector(".power")?.setAttribute("aria-pressed", String(off(layer)));
    }
  }

  /** Where each column is; read once, after the table is drawn or has another width. */
  #measure() {
    const [head] = this.#table.rows;
    this.#width = this.#table.clientWidth;
    this.#centers = new Array(this.#first).fill(undefined);
    const cells = /** @type {HTMLElement[]} */ ([...head?.cells ?? []].slice(1));
    for (const cell of cells) this.#centers.push(cell.offsetLeft + cell.offsetWidth / 2);
  }

  #resized() {
    if (!this.#found || this.#table.clientWidth === this.#width) return;
    this.#measure();
    if (this.#shown) this.show(this.#shown.weights, this.#shown.label);
  }

  // ------------------------------------------------------------ hands

  /**
   * Let its cells be dragged onto another grid, each to its own place there.
   * @param {{ from: (place: Place) => Place, onto: Grid, dropped: (place: Place) => unknown }} how
   */
  carried({ from, onto, dropped }) {
    /** @type {Place | null} */
    let held = null;
    this.#dragged = true;
    this.#table.addEventListener("dragstart", ({ target, dataTransfer }) => {
      const place = this.#placeOf(target);
      if (!place) return;
      dataTransfer?.setData("text/plain", `${place.layer}.${place.position}`);
      held = from(place);
      onto.cell(held)?.classList.add("offered");
    });
    this.#table.addEventListener("dragend", () => {
      if (held) onto.cell(held)?.classList.remove("offered");
      held = null;
    });
    onto.box.addEventListener("dragover", (event) => { if (held) event.preventDefault(); });
    onto.box.addEventListener("drop", (event) => {
      event.preventDefault();
      if (held) dropped(held);
    });
  }

  /**
   * The place of a cell.
   * @param {EventTarget | null} target
   * @returns {Place | null}
   */
  #placeOf(target) {
    const cell = target instanceof Element ? target.closest("td[tabindex]") : null;
    const row = cell?.closest("tr");
    if (!cell || !row) return null;
    const column = /** @type {HTMLTableCellElement} */ (cell).cellIndex;
    return { layer: Number(row.dataset.layer), position: column - 1 + this.#first };
  }

  /** @param {Event} event */
  #clicked({ target }) {
    const power = target instanceof Element ? target.closest(".power") : null;
    if (power) return this.#switched(Number(power.closest("tr")?.dataset.layer));
    const place = this.#placeOf(target);
    return place && this.#chosen(place);
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
    for (const stop of this.#table.querySelectorAll('[tabindex="0"]')) stop.setAttribute("tabindex", "-1");
    cell.tabIndex = 0;
  }

  /** @param {KeyboardEvent} event */
  #keys(event) {
    const { target, key } = event;
    if (!(target instanceof HTMLElement)) return;
    if ((key === "Enter" || key === " ") && this.#placeOf(target)) {
      event.preventDefault();
      this.#clicked(event);
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
    const rows = /** @type {HTMLTableRowElement[]} */ ([...this.#table.querySelectorAll("tr[data-layer]")]);
    const here = rows.findIndex((one) => one === row);
    const up = { ArrowUp: -1, ArrowDown: 1, PageUp: -rows.length, PageDown: rows.length }[key] ?? 0;
    const along = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[key] ?? 0;
    if (!up && !along) return null;
    const to = rows[Math.max(0, Math.min(rows.length - 1, here + up))];
    const cell = to.cells[Math.max(0, Math.min(to.cells.length - 1, column + along))];
    return cell.querySelector("button") ?? (cell.matches("th") ? /** @type {HTMLElement} */ (to.cells[1]) : cell);
  }
}
