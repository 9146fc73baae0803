// The guesses: tokens as columns, layers as rows, the last layer on top. A row opens under the layer that is chosen.

import { fill, h } from "../../lib/dom.js";
import { named } from "../../lib/tokens.js";
import { tr } from "../../lib/words.js";
import { arcs } from "./arcs.js";
import { Cells, DRAWN, shaded } from "./cells.js";

/** @typedef {{ layer: number, position: number }} Place */

const FITS = 5; // characters of a cell; of longer ones the whole is said on hover

/** @param {Place} place */
const spotOf = ({ layer, position }) => ({ row: String(layer), column: position });

/** @param {import("./cells.js").Spot} spot */
const placeOf = ({ row, column }) => ({ layer: Number(row), position: column });

/**
 * The picture of all guesses. `chosen(place)` hears of a cell, `switched(layer)` of a layer's button.
 */
export class Grid {
  #cells;
  box;
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
  #switched;

  /** @param {{ chosen: (place: Place) => unknown, switched: (layer: number) => unknown }} how */
  constructor({ chosen, switched }) {
    this.#cells = new Cells((spot) => chosen(placeOf(spot)));
    this.#switched = switched;
    const { table, box } = this.#cells;
    this.box = box;
    table.addEventListener("click", (event) => this.#clicked(event));
    new ResizeObserver(() => this.#resized()).observe(table);
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
   * @param {{ switchable: boolean, label: string }} how
   */
  draw(found, { switchable, label }) {
    this.#found = found;
    this.#first = Math.max(0, found.tokens.length - DRAWN);
    this.#place = this.#shown = null;
    this.#opened.remove();
    const tokens = found.tokens.slice(this.#first);
    this.#cells.draw({ label, corner: tr("network.layer"), columns: tokens.map(named),
      first: this.#first, rows: found.layers.toReversed().map((layer) => this.#row(layer, switchable)) });
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
    const cells = guesses.slice(this.#first).map((guess) => {
      const words = named(guess);
      return shaded(words, guess.probability, { draggable, title: words.length > FITS ? words : undefined });
    });
    return { name, head: button, cells };
  }

  /**
   * The cell of a place, where it is drawn.
   * @param {Place} place
   */
  cell(place) {
    return this.#cells.cell(spotOf(place));
  }

  /** The rows, from what enters the first layer up. */
  get rows() {
    return this.#cells.rows;
  }

  /**
   * Mark a place, the one before being no longer marked.
   * @param {Place} place
   */
  mark(place) {
    const cell = this.#cells.mark(spotOf(place));
    if (cell) this.#place = place;
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
    const [head] = this.#cells.table.rows;
    this.#width = this.#cells.table.clientWidth;
    this.#centers = new Array(this.#first).fill(undefined);
    const cells = /** @type {HTMLElement[]} */ ([...head?.cells ?? []].slice(1));
    for (const cell of cells) this.#centers.push(cell.offsetLeft + cell.offsetWidth / 2);
  }

  #resized() {
    if (!this.#found || this.#cells.table.clientWidth === this.#width) return;
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
    const { table } = this.#cells;
    table.addEventListener("dragstart", ({ target, dataTransfer }) => {
      const spot = this.#cells.spot(target);
      if (!spot) return;
      const place = placeOf(spot);
      dataTransfer?.setData("text/plain", `${place.layer}.${place.position}`);
      held = from(place);
      onto.cell(held)?.classList.add("offered");
    });
    table.addEventListener("dragend", () => {
      if (held) onto.cell(held)?.classList.remove("offered");
      held = null;
    });
    onto.box.addEventListener("dragover", (event) => { if (held) event.preventDefault(); });
    onto.box.addEventListener("drop", (event) => {
      event.preventDefault();
      if (held) dropped(held);
    });
  }

  /** @param {Event} event */
  #clicked({ target }) {
    const power = target instanceof Element ? target.closest(".power") : null;
    if (power) this.#switched(Number(power.closest("tr")?.dataset.layer));
  }
}
