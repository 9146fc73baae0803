// All that one head reads: a row for each token that reads, a column for each that is read. Asked for once it is open.

import { h } from "../../lib/dom.js";
import { named } from "../../lib/tokens.js";
import { percent, tr } from "../../lib/words.js";
import { call } from "../../lib/api.js";
import { Awaited } from "../../parts/awaited.js";
import { frame } from "../../parts/frame.js";
import { Cells, shaded } from "./cells.js";
import { best } from "./heads.js";

const DRAWN = 64; // tokens of a side: the first one, on which many heads rest, and the last ones
const [WRITTEN, LEAST] = [12, 0.005]; // tokens up to which cells bear a number, and from which share on

/** @typedef {{ layer: number, head: number, weights: number[][] }} Weights */

/** The fold and the picture in it. `chosen(reader)` hears of the token whose row is clicked. */
export class Matrix {
  #cells;
  #picture;
  #troubles = h("div", { class: "troubles" });
  #awaited = new Awaited(this.#troubles);
  #title = h("summary", {});
  #reader = 0;
  /** @type {number[]} */
  #places = []; // the positions that are drawn
  #head = "";
  /** @type {Api.NetworkInside | null} */
  #found = null;
  /** @type {Map<string, Weights>} */
  #known = new Map(); // by head
  #ways;
  #desk;

  /** @param {{ chosen: (reader: number) => unknown, ways: (attention: string) => Lab.Facts, desk: Lab.Desk }} how */
  constructor({ chosen, ways, desk }) {
    this.#ways = ways;
    this.#desk = desk;
    this.#cells = new Cells(({ row }) => chosen(Number(row)));
    this.#cells.table.classList.add("matrix");
    this.#picture = frame(this.#cells.box, { name: "attention" });
    this.#picture.box.hidden = true;
    this.box = h("details", { hidden: true, open: desk.read().matrix === "1", ontoggle: () => this.#toggled() },
      this.#title, this.#troubles, this.#picture.box);
  }

  stop() {
    this.#awaited.stop();
  }

  #toggled() {
    this.#desk.write({ matrix: this.box.open ? "1" : "" });
    this.#look();
  }

  /**
   * Another text: what is known of the one before is not its own.
   * @param {Api.NetworkInside} found
   */
  draw(found) {
    this.stop();
    this.#found = found;
    this.#known.clear();
    this.#head = "";
    this.box.hidden = true;
  }

  /**
   * The head that is drawn large, and the token that reads there.
   * @param {string} head none: there is nothing to show
   * @param {number} reader
   */
  show(head, reader) {
    this.#reader = reader;
    this.box.hidden = !head;
    if (head !== this.#head) {
      this.#head = head;
      this.#title.textContent = tr("network.matrix", { name: head });
      this.#look();
    }
    this.#mark();
  }

  async #look() {
    const [found, name] = [this.#found, this.#head];
    if (!this.box.open || !found || !name) return;
    this.stop();
    const known = this.#known.get(name);
    if (known) return this.#tell(found, known);
    const asked = { prompt: found.prompt, k: 1, layers: [0], positions: [-1], attention: name };
    await this.#awaited.ask(async (how) => {
      const { attention } = await call("network", asked, how);
      if (found !== this.#found || !attention) return;
      this.#known.set(name, attention);
      if (name === this.#head) this.#tell(found, attention);
    }, { again: () => this.#look(), failed: () => { this.#picture.box.hidden = true; } });
  }

  /**
   * @param {Api.NetworkInside} found
   * @param {Weights} attention
   */
  #tell(found, attention) {
    const { tokens } = found;
    const name = this.#head;
    const places = this.#places = drawnOf(tokens.length);
    const few = places.length <= WRITTEN;
    this.#cells.table.classList.toggle("fine", !few);
    const cell = (/** @type {number} */ reader, /** @type {number} */ read) =>
      (read > reader ? h("td", {}) : pixel(found, { reader, read, share: attention.weights[reader][read], few }));
    this.#cells.draw({ label: tr("network.matrix_grid", { name }), corner: tr("network.matrix_corner"), first: 0,
      columns: places.map((place) => named(tokens[place])),
      rows: places.map((reader) => ({ name: String(reader), head: named(tokens[reader]),
        cells: places.map((read) => cell(reader, read)) })) });
    const [count, all] = [places.length - 1, tokens.length];
    const cut = all > places.length ? [tr("network.matrix_last", { count, all })] : [];
    this.#picture.box.hidden = false;
    const said = [tr("network.matrix_said", { name }), ...cut, tr("network.no_explanation")];
    this.#picture.update({ caption: said.join(" "), table: () => asTable(found, attention),
      rows: () => asRows(found, attention), json: attention, ...this.#ways(name) });
    this.#mark();
  }

  #mark() {
    const row = this.#known.get(this.#head)?.weights[this.#reader];
    if (!row || !this.box.open) return;
    this.#cells.mark({ row: String(this.#reader), column: this.#places.indexOf(best(row)) });
  }
}

/**
 * The positions that are drawn of a text of so many tokens.
 * @param {number} count
 */
function drawnOf(count) {
  const all = Array.from({ length: count }, (_, place) => place);
  return count > DRAWN ? [0, ...all.slice(1 - DRAWN)] : all;
}

/**
 * A cell: what a token takes from another.
 * @param {Api.NetworkInside} found
 * @param {{ reader: number, read: number, share: number, few: boolean }} what
 */
function pixel({ tokens }, { reader, read, share, few }) {
  const said = tr("network.matrix_cell", { token: named(tokens[reader]), other: named(tokens[read]),
    share: percent(share) });
  return shaded(few && share >= LEAST ? percent(share, 0) : "", share, { title: said, "aria-label": said });
}

/**
 * The tokens that each token reads most.
 * @param {Api.NetworkInside} found
 * @param {Weights} attention
 * @returns {Lab.Rows}
 */
function asTable({ tokens }, { weights }) {
  const columns = ["position", "token", "reads", "share"].map((name) => tr(`network.column.${name}`));
  return { columns, rows: weights.map((row, reader) => {
    const most = best(row.slice(0, reader + 1));
    return [reader, named(tokens[reader]), named(tokens[most]), percent(row[most])];
  }) };
}

/**
 * Every share: what a file holds.
 * @param {Api.NetworkInside} found
 * @param {Weights} attention
 * @returns {Lab.Rows}
 */
function asRows({ tokens }, { weights }) {
  return { columns: ["", ...tokens.map(named)], rows: weights.map((row, reader) => [named(tokens[reader]), ...row]) };
}
