// All heads as stamps of what one token reads, by what they do: where there are hundreds, those that do something
// first.

import { fill, h } from "../../lib/dom.js";
import { named } from "../../lib/tokens.js";
import { number, percent, tr } from "../../lib/words.js";
import { thumbnail } from "./arcs.js";

const SHOWN = 48;
const KINDS = ["induction", "previous", "itself", "first", "mixed", "unmeasured"];

/** @typedef {{ layer: number, head: number }} Head */

/** @param {Head} head */
export const headName = ({ layer, head }) => `${layer}.${head}`;

/**
 * The gallery. `chosen(head)` hears of a stamp, `switched(head)` of a head's button.
 */
export class Gallery {
  #places = h("div", { class: "kinds" });
  #more = h("button", { type: "button", hidden: true, onclick: () => this.#all() });
  box = h("div", { class: "gallery", onkeydown: (/** @type {KeyboardEvent} */ event) => this.#keys(event) },
    this.#places, this.#more);
  /** @type {Api.NetworkInside | null} */
  #found = null;
  /** @type {Api.HeadMeasured[]} */
  #heads = [];
  #whole = false;
  /** @type {Map<string, ArrayLike<number>>} */
  #reads = new Map();
  /** @type {Map<string, { item: HTMLElement, stamp: HTMLElement, power: HTMLElement | null }>} */
  #items = new Map();
  #how;

  /** @param {{ chosen: (name: string) => unknown, switched: (name: string) => unknown }} how */
  constructor(how) {
    this.#how = how;
  }

  /**
   * @param {Api.NetworkInside} found
   * @param {{ switchable: boolean, wanted: string[] }} how `wanted` are shown in any case
   */
  draw(found, { switchable, wanted }) {
    this.#found = found;
    this.#heads = [...found.heads].sort(byDeed);
    const few = this.#heads.slice(0, this.#whole ? undefined : SHOWN);
    const others = this.#heads.slice(few.length).filter((head) => wanted.includes(headName(head)));
    const shown = [...few, ...others];
    this.#items.clear();
    const of = (/** @type {string} */ kind) => shown.filter((head) => kindOf(head) === kind);
    fill(this.#places, KINDS.map((kind) => this.#kind(kind, of(kind), switchable)));
    this.#more.hidden = shown.length === this.#heads.length;
    this.#more.textContent = tr("network.all_heads", { count: this.#heads.length });
    this.#places.querySelector(".stamp")?.setAttribute("tabindex", "0");
    this.#switchable = switchable;
    this.#stamps();
  }

  #switchable = false;

  #all() {
    if (!this.#found) return;
    this.#whole = true;
    this.draw(this.#found, { switchable: this.#switchable, wanted: [] });
    this.#how.chosen("");
  }

  /**
   * The heads of one kind, under its name.
   * @param {string} kind
   * @param {Api.HeadMeasured[]} heads
   * @param {boolean} switchable
   */
  #kind(kind, heads, switchable) {
    if (!heads.length) return null;
    return h("section", {}, h("h3", {}, tr(`network.heads_of.${kind}`)),
      h("ul", { class: "stamps" }, heads.map((head) => this.#item(head, switchable))));
  }

  /**
   * @param {Api.HeadMeasured} head
   * @param {boolean} switchable
   */
  #item(head, switchable) {
    const name = headName(head);
    const stamp = h("button", { type: "button", class: "stamp", tabindex: "-1", "aria-pressed": "false",
      "aria-label": tr("network.show_head", { name, kind: tr(`network.heads_of.${kindOf(head)}`) }),
      title: deeds(head), onclick: () => this.#how.chosen(name) }, h("span", { class: "picture-of" }),
    h("span", { class: "head-name" }, name));
    const power = switchable ? h("button", { type: "button", class: "power small", tabindex: "-1",
      "aria-pressed": "false", "aria-label": tr("network.switch_head", { name }), title: tr("network.switch"),
      onclick: () => this.#how.switched(name) }, powerSign()) : null;
    const item = h("li", {}, stamp, power);
    this.#items.set(name, { item, stamp, power });
    return item;
  }

  /**
   * What the chosen token reads, by head.
   * @param {Map<string, ArrayLike<number>>} reads
   */
  show(reads) {
    if (this.#reads === reads) return; // another layer of the same token
    this.#reads = reads;
    this.#stamps();
  }

  #stamps() {
    const count = this.#found?.tokens.length ?? 0;
    for (const [name, { stamp }] of this.#items) {
      const weights = this.#reads.get(name);
      fill(stamp.children[0], weights ? thumbnail(weights, count) : null);
    }
  }

  /**
   * Which stamp is the one that is drawn large, which layer is chosen, and which heads are off.
   * @param {{ name: string, layer: number, off: (name: string) => boolean }} how
   */
  mark({ name, layer, off }) {
    for (const [each, { item, stamp, power }] of this.#items) {
      stamp.ariaPressed = String(each === name);
      item.classList.toggle("here", each.startsWith(`${layer}.`));
      item.classList.toggle("off", off(each));
      power?.setAttribute("aria-pressed", String(off(each)));
    }
  }

  /**
   * Arrows go from stamp to stamp and to their buttons, as Tab leads to one of them.
   * @param {KeyboardEvent} event
   */
  #keys(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    const { target } = event;
    if (step === undefined || !(target instanceof HTMLElement) || !target.matches(".stamp, .power")) return;
    event.preventDefault();
    const stops = /** @type {HTMLElement[]} */ ([...this.#places.querySelectorAll(".stamp, .power")]);
    const next = stops[Math.max(0, Math.min(stops.length - 1, stops.indexOf(target) + step))];
    for (const stop of stops) stop.tabIndex = stop === next ? 0 : -1;
    next.focus();
  }
}

/** The sign of a switch. */
const powerSign = () => h("svg:svg", { class: "sign", viewBox: "0 0 12 12", "aria-hidden": "true" },
  h("path:svg", { d: "M6 1v5M3.2 2.7a4.2 4.2 0 1 0 5.6 0" }));

/** @param {Api.HeadMeasured} head */
const kindOf = ({ kind }) => kind ?? "unmeasured"; // of a text too short for it

/** @param {Api.HeadMeasured} head */
function deed({ kind, scores }) {
  return kind === null || kind === "mixed" ? 0 : scores[/** @type {keyof Api.HeadScores} */ (kind)] ?? 0;
}

/**
 * Kind by kind, in each those that do it most; those without a name are last, layer by layer.
 * @param {Api.HeadMeasured} one
 * @param {Api.HeadMeasured} other
 */
function byDeed(one, other) {
  return KINDS.indexOf(kindOf(one)) - KINDS.indexOf(kindOf(other)) || deed(other) - deed(one) ||
    one.layer - other.layer || one.head - other.head;
}

/**
 * The measures of a head, in words.
 * @param {Api.HeadMeasured} head
 */
function deeds({ scores }) {
  return Object.entries(scores).filter(([, share]) => share !== null)
    .map(([name, share]) => tr(`network.share.${name}`, { share: percent(share ?? 0, 0) })).join("; ");
}

/**
 * The table under the gallery: what each head reads most.
 * @param {Api.NetworkInside} found
 * @param {Map<string, ArrayLike<number>>} reads
 * @returns {Lab.Rows}
 */
export function headTable(found, reads) {
  const given = new Map(found.contributions.filter((one) => one.head !== null)
    .map((one) => [`${one.layer}.${one.head}`, one.logit]));
  const columns = ["head", "kind", "reads", "share", "logit"].map((name) => tr(`network.column.${name}`));
  const rows = [...found.heads].sort(byDeed).map((head) => {
    const [name, weights] = [headName(head), reads.get(headName(head))];
    const most = weights ? best(weights) : null;
    const logit = given.get(name);
    return [name, tr(`network.heads_of.${kindOf(head)}`), most === null ? "–" : named(found.tokens[most]),
      most === null || !weights ? "–" : percent(weights[most]), logit === undefined ? "–" : number(logit, 2)];
  });
  return { columns, rows };
}

/**
 * The place of the highest number.
 * @param {ArrayLike<number>} weights
 */
export function best(weights) {
  let most = 0;
  for (let place = 1; place < weights.length; place += 1) if (weights[place] > weights[most]) most = place;
  return most;
}
