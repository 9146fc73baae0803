// Tokens in a row: six soft hues and a border each, or one hue by lightness where a probability is shown.

import { h, visible } from "../lib/dom.js";

const HUES = 6;
const STEPS = 10;

/**
 * <capot-strip>: set `pieces` to [{ text, hint, tone, weight, kind, label, ends }]. A pickable strip (attribute `pick`) is a
 * row of buttons: one Tab stop, arrows move, Enter or a click sends "pick" with the index.
 */
class Strip extends HTMLElement {
  #pieces = [];

  set pieces(pieces) {
    this.#pieces = pieces;
    this.replaceChildren(h("ol", { class: "strip" }, pieces.flatMap((piece, index) => this.#items(piece, index))));
  }

  get pieces() {
    return this.#pieces;
  }

  /** Add one piece at the end without touching the others. */
  push(piece) {
    this.#pieces.push(piece);
    if (!this.firstElementChild) this.append(h("ol", { class: "strip" }));
    this.firstElementChild.append(...this.#items(piece, this.#pieces.length - 1));
    this.firstElementChild.querySelector(":scope > .new")?.classList.remove("new");
    this.firstElementChild.querySelector(":scope > :last-child:not(.line-end)")?.classList.add("new");
  }

  /** A piece, and a line end where its text has one (`ends`). */
  #items(piece, index) {
    return piece.ends ? [this.#item(piece, index), h("li", { class: "line-end", "aria-hidden": "true" })] : [this.#item(piece, index)];
  }

  #item(piece, index) {
    const pick = this.hasAttribute("pick") && piece.kind !== "prompt";
    const weight = piece.weight ?? null;
    const step = weight === null ? null : Math.min(Math.floor(weight * STEPS), STEPS - 1);
    const place = step === null ? { class: `${piece.kind ?? "token"} t${(piece.tone ?? index) % HUES}` } : { class: `${piece.kind ?? "token"} w${step}` };
    const face = [visible(piece.text), piece.sub ? h("small", {}, piece.sub) : null];
    const inner = pick
      ? h("button", { type: "button", "aria-label": piece.label ?? undefined, "aria-pressed": piece.chosen ? "true" : undefined,
          onclick: () => this.dispatchEvent(new CustomEvent("pick", { detail: index })), onkeydown: (event) => this.#move(event) }, face)
      : face;
    return h("li", { ...place, tabindex: !pick && piece.hint ? "0" : undefined, "data-hint": piece.hint || undefined,
      onkeydown: pick ? undefined : (event) => this.#move(event) }, inner);
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    const stops = [...this.querySelectorAll("button, li[tabindex]")];
    const here = stops.indexOf(event.currentTarget);
    const next = Math.max(0, Math.min(stops.length - 1, here + step));
    stops[next].focus();
    event.preventDefault();
  }
}

customElements.define("capot-strip", Strip);
