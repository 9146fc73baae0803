// What each place changes: a state of the other text tried in every place, asked for by a button since each costs a
// part of a pass.

import { fill, h, labelled, unique } from "../../lib/dom.js";
import { named } from "../../lib/tokens.js";
import { number, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { asFlags, inPython, onCommandLine } from "../../lib/code.js";
import { once } from "../../lib/resumable.js";
import { fault } from "../../parts/fault.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { choice } from "../../parts/ticks.js";
import { Cells, DRAWN, shaded } from "./cells.js";
import { headName } from "./heads.js";
import { firstOf } from "./logit.js";
import { BOTH } from "./sides.js";

const TRIED = /** @type {const} */ (["residual", "attention", "mlp", "head", "every"]);

/**
 * A place where a state is put; `head` is null where it is no single head's.
 * @typedef {{ part: Api.Patching["part"], layer: number, head: number | null, position: number }} Spot
 */

/** @typedef {{ found: Api.NetworkInside, source: Api.NetworkInside }} Texts */

/**
 * The button, how far it has come, and the picture. `chosen(spot)` hears of a cell, `found(answer)` of the whole; both
 * have the place marked.
 */
export class Changes {
  #name;
  #how;
  #cells = new Cells(({ row, column }) => this.#clicked(row, column));
  #picture = frame(this.#cells.box, { name: "patch-grid" });
  #says = status(() => this.#running?.stop());
  #troubles = h("div", { class: "troubles" });
  #under = h("div", { class: "status", role: "status" });
  #go = h("button", { type: "button", class: "primary", onclick: () => this.#ask() }, tr("network.try_places"));
  #stop = h("button", { type: "button", disabled: true, onclick: () => this.#running?.stop() }, tr("actions.stop"));
  #cost = h("p", { class: "quiet small" });
  /** @type {HTMLInputElement} */
  #between;
  #layer = h("select", { id: unique("layer"), onchange: () => this.#tell() });
  /** @type {typeof TRIED[number]} */
  #tried = TRIED.find((one) => one === state.read().tried) ?? "residual";
  /** @type {Lab.Resumable | null} */
  #running = null;
  /** @type {Texts | null} */
  #texts = null;
  /** @type {Api.Patching | null} */
  #answer = null;

  /** @param {{ name: string, chosen: (spot: Spot) => unknown, found: (answer: Api.Patching) => unknown }} how */
  constructor({ name, ...how }) {
    this.#name = name;
    this.#how = how;
    this.#between = h("input", { type: "text", id: unique("between"), size: 16, value: state.read().between ?? "",
      placeholder: tr("network.between_placeholder"), onchange: () => state.write({ between: this.#between.value }) });
    const part = choice([...TRIED], { name: "tried", legend: tr("network.tried"), chosen: this.#tried,
      said: (one) => tr(`network.tried_${one}`), onChange: (one) => this.#turn(one) });
    const fields = h("div", { class: "row" }, labelled(this.#layer, tr("network.layer")),
      labelled(this.#between, tr("network.between")), this.#go, this.#stop);
    this.#picture.box.hidden = true;
    this.box = h("section", { class: "changes" }, h("h3", {}, tr("network.changes")), part, fields, this.#cost,
      this.#troubles, this.#says.box, this.#under, this.#picture.box);
  }

  stop() {
    this.#running?.abort();
    this.#ended();
  }

  /**
   * Other texts: what was drawn is not theirs.
   * @param {Texts} texts
   */
  look(texts) {
    this.stop();
    this.#texts = texts;
    this.#answer = null;
    fill(this.#troubles);
    this.#says.clear();
    this.#picture.box.hidden = true;
    const chosen = this.#layer.value;
    const option = (/** @type {number} */ layer) => h("option", { value: String(layer) }, String(layer));
    fill(this.#layer, h("option", { value: "" }, tr("network.all_layers")),
      texts.found.layers.map(({ layer }) => option(layer)));
    this.#layer.value = [...this.#layer.options].some((one) => one.value === chosen) ? chosen : "";
    this.#tell();
  }

  /** @param {typeof TRIED[number]} tried */
  #turn(tried) {
    this.#tried = tried;
    state.write({ tried: tried === "residual" ? "" : tried });
    this.#tell();
  }

  /** How many places there are to try. Only the stream is there before the first layer. */
  #tell() {
    if (!this.#texts) return;
    for (const option of this.#layer.options) option.disabled = option.value === "0" && this.#tried !== "residual";
    if (this.#layer.selectedOptions[0]?.disabled) this.#layer.value = "";
    const { found, source } = this.#texts;
    const [tokens, layers] = [Math.min(found.tokens.length, source.tokens.length), found.layers.length - 1];
    const heads = found.heads.length / Math.max(1, layers);
    const each = { residual: tokens, attention: tokens, mlp: tokens, head: heads, every: heads * tokens }[this.#tried];
    const levels = this.#layer.value ? 1 : layers + (this.#tried === "residual" ? 1 : 0);
    this.#cost.textContent = tr("network.places", { count: each * levels });
    this.#go.disabled = !each || this.#running !== null;
  }

  /** @returns {Api.PatchRequest} */
  get #asked() {
    const { found, source } = /** @type {Texts} */ (this.#texts);
    const between = this.#between.value.split(",").map((one) => one.trim()).filter(Boolean);
    return { prompt: found.prompt, source: source.prompt,
      ...(this.#tried === "residual" ? {} : { part: this.#tried === "every" ? "head" : this.#tried }),
      ...(this.#tried === "every" ? { every_position: true } : {}),
      ...(this.#layer.value ? { layer: Number(this.#layer.value) } : {}),
      ...(between.length ? { between } : {}) };
  }

  async #ask() {
    if (!this.#texts) return;
    this.stop();
    const asked = this.#asked;
    const work = this.#running = once({ verb: "patch", arguments: { ...asked, ...BOTH } },
      (...[kind, body]) => {
        if (kind === "progress") this.#progress(body);
        if (kind === "error" && body.error.code !== "interrupted") fill(this.#troubles, fault(body.error));
        if (kind === "finished") this.#draw(/** @type {Api.Patching} */ (body.result), asked);
      }, { says: this.#says, troubles: this.#troubles, again: () => this.#ask(), kinds: ["queued"],
        words: tr("network.trying") });
    this.#stop.disabled = !(this.#go.disabled = true);
    await work.over;
    if (!work.left) this.#ended();
  }

  #ended() {
    this.#running = null;
    fill(this.#under);
    this.#stop.disabled = true;
    this.#tell();
  }

  /** @param {{ done: number, total: number }} body */
  #progress({ done, total }) {
    this.#says.clear();
    const words = tr("network.tried_so_far", { done, total });
    fill(this.#under, h("p", { class: "waiting" },
      h("progress", { max: total, value: done, "aria-label": words }), h("span", {}, words)));
  }

  // ------------------------------------------------------------ the picture

  /**
   * @param {Api.Patching} answer
   * @param {Api.PatchRequest} asked
   */
  #draw(answer, asked) {
    this.#answer = answer;
    this.#picture.box.hidden = false;
    const all = rowsOf(answer);
    const { columns, first } = columnsOf(answer, all[0][1]);
    const rows = all.map(([name, places]) => ({ name, head: name,
      cells: places.slice(-columns.length).map((place) => cellOf(answer, place)) }));
    const heads = answer.part === "head" && !onOneToken(answer);
    this.#cells.draw({ label: tr("network.changes_grid"), corner: tr(heads ? "network.column.head" : "network.layer"),
      columns, first, rows });
    this.#picture.update({ caption: this.#said(answer), table: () => asTable(answer), json: answer,
      ...this.#ways(asked) });
    this.#how.found(answer);
  }

  /**
   * Mark a place, where it is drawn.
   * @param {Spot} spot
   */
  mark(spot) {
    const answer = this.#answer;
    if (answer?.part !== spot.part) return;
    const one = onOneToken(answer);
    this.#cells.mark({ row: rowName(spot, one), column: one ? spot.head ?? 0 : spot.position });
  }

  /**
   * @param {string} row
   * @param {number} column
   */
  #clicked(row, column) {
    const answer = this.#answer;
    if (!answer) return;
    const [layer, head] = row.split(".").map(Number);
    const one = onOneToken(answer);
    this.#how.chosen({ part: answer.part, layer, head: one ? column : head ?? null,
      position: one ? answer.grid[0].position : column });
  }

  /** @param {Api.Patching} answer */
  #said({ between: [first, second], difference: { before, source } }) {
    const numbers = { before: number(before, 1), source: number(source, 1) };
    const said = tr("network.changes_said", { first: named(first), second: named(second), ...numbers });
    return [...firstOf(first), ...firstOf(second), said].join(" ");
  }

  /**
   * Python, command and page that show the same.
   * @param {Api.PatchRequest} asked
   * @returns {Lab.Facts}
   */
  #ways({ prompt, ...options }) {
    const { between, every_position: every, ...others } = options;
    return {
      python: inPython(this.#name, "patch", [prompt], options),
      command: onCommandLine(this.#name, "patch", [prompt],
        { ...asFlags(others), "--between": between?.join(","), "--every-position": every }),
      page: { verb: "patch", arguments: { prompt, ...options } },
    };
  }
}

/** Heads tried at one token: they are the columns then. @param {Api.Patching} answer */
const onOneToken = ({ part, grid }) => part === "head" && grid.every((one) => one.position === grid[0].position);

/**
 * @param {{ layer: number, head: number | null }} place
 * @param {boolean} one whether heads are columns
 */
const rowName = ({ layer, head }, one) => (head === null || one ? String(layer) : headName({ layer, head }));

/**
 * The names of the columns, and the number of the first: tokens, or heads where one token alone was tried.
 * @param {Api.Patching} answer
 * @param {Api.PlaceChanged[]} places of a row
 */
function columnsOf(answer, places) {
  if (onOneToken(answer)) return { columns: places.map((place) => String(place.head)), first: places[0].head ?? 1 };
  const drawn = places.slice(-DRAWN);
  return { columns: drawn.map((place) => named(answer.tokens[place.position])), first: drawn[0].position };
}

/**
 * The places row by row, the last layer on top.
 * @param {Api.Patching} answer
 * @returns {[string, Api.PlaceChanged[]][]}
 */
function rowsOf(answer) {
  const one = onOneToken(answer);
  /** @type {Map<string, Api.PlaceChanged[]>} */
  const rows = new Map();
  for (const place of answer.grid) {
    const name = rowName(place, one);
    rows.set(name, [...rows.get(name) ?? [], place]);
  }
  return [...rows].toReversed();
}

/**
 * A cell, shaded by how far it is on the way to the other text's answer.
 * @param {Api.Patching} answer
 * @param {Api.PlaceChanged} place
 */
function cellOf({ difference: { before, source } }, { difference }) {
  const way = source - before;
  const share = Math.abs(way) > 1e-6 ? Math.max(0, Math.min(1, (difference - before) / way)) : 0;
  return shaded(number(difference, 1), share);
}

/**
 * @param {Api.Patching} answer
 * @returns {Lab.Rows}
 */
function asTable({ tokens, grid }) {
  const columns = ["layer", "head", "position", "token", "difference"].map((name) => tr(`network.column.${name}`));
  return { columns, rows: grid.map(({ layer, head, position, difference }) =>
    [layer, head ?? "–", position, named(tokens[position]), number(difference, 2)]) };
}
