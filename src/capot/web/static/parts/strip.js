// Tokens in a row: six soft hues and a border each, or one hue by lightness where a probability is shown.

import { h, visible } from "../lib/dom.js";
import { HUES, united } from "./pieces.js";

const STEPS = 10;

/**
 * <capot-strip>: set `pieces` to [{ text, part, hint, tone, weight, kind, label, bytes, ends }]. A pickable strip
 * (attribute `pick`) is a row of buttons: Enter or a click sends "pick" with the index. Either way a strip is one Tab
 * stop, and arrows move in it.
 */
class Strip extends HTMLElement {
  /** @type {Lab.Piece[]} */
  #pieces = [];

  /** @param {Lab.Piece[]} pieces */
  set pieces(pieces) {
    this.#pieces = pieces;
    for (const place of pieces.keys()) united(pieces, place);
    const list = h(
      "ol",
      { class: "strip", "aria-label": this.getAttribute("aria-label") ?? undefined },
      pieces.flatMap((piece, index) => this.#items(piece, index)),
    );
    this.replaceChildren(list);
    list.querySelector("[tabindex]")?.setAttribute("tabindex", "0");
  }

  connectedCallback() {
    this.addEventListener("focusin", ({ target }) => { // the stop that Tab comes back to
      for (const stop of this.querySelectorAll('[tabindex="0"]'))
        if (stop !== target) stop.setAttribute("tabindex", "-1");
      if (target instanceof Element) target.setAttribute("tabindex", "0");
    });
  }

  get pieces() {
    return this.#pieces;
  }

  /**
   * Add one piece at the end without touching the others, save those it makes a character with.
   * @param {Lab.Piece} piece
   */
  push(piece) {
    this.#pieces.push(piece);
    const list = this.firstElementChild ?? this.appendChild(h("ol", { class: "strip" }));
    const last = this.#pieces.length - 1;
    list.append(...this.#items(piece, last));
    const first = united(this.#pieces, last);
    const items = first < last ? this.querySelectorAll(":scope > ol > li:not(.line-end)") : [];
    for (let place = first; place <= last && items.length; place += 1)
      items[place].replaceWith(this.#item(this.#pieces[place], place));
    if (!this.querySelector('[tabindex="0"]')) this.querySelector("[tabindex]")?.setAttribute("tabindex", "0");
    list.querySelector(":scope > .new")?.classList.remove("new");
    list.querySelector(":scope > :last-child:not(.line-end)")?.classList.add("new");
  }

  /**
   * A piece, and a line end where its text has one (`ends`).
   * @param {Lab.Piece} piece
   * @param {number} index
   */
  #items(piece, index) {
    return piece.ends
      ? [this.#item(piece, index), h("li", { class: "line-end", "aria-hidden": "true" })]
      : [this.#item(piece, index)];
  }

  /**
   * @param {Lab.Piece} piece
   * @param {number} index
   */
  #item(piece, index) {
    const pick = this.hasAttribute("pick") && piece.kind !== "prompt";
    const weight = piece.weight ?? null;
    const step = weight === null ? null : Math.min(Math.floor(weight * STEPS), STEPS - 1);
    const place =
      step === null
        ? { class: `${piece.kind ?? "token"} t${(piece.tone ?? index) % HUES}` }
        : { class: `${piece.kind ?? "token"} w${step}` };
    const [, text, part] = (piece.kind === "bytes" && /^(.+) (\d+\/\d+)$/s.exec(piece.text)) || [
      null,
      piece.text,
      piece.part,
    ]; // a view writes both as one
    const face = [visible(text), part ? h("sub", {}, part) : null, piece.sub ? h("small", {}, piece.sub) : null];
    const inner = pick
      ? h(
          "button",
          {
            type: "button",
            tabindex: "-1",
            "aria-label": piece.label ?? undefined,
            "aria-pressed": piece.chosen ? "true" : undefined,
            onclick: () => this.dispatchEvent(new CustomEvent("pick", { detail: index })),
            onkeydown: (event) => this.#move(event),
          },
          face,
        )
      : face;
    return h(
      "li",
      {
        ...place,
        tabindex: !pick && piece.hint ? "-1" : undefined,
        "aria-label": !pick && piece.hint ? `${piece.text}, ${piece.hint}` : undefined,
        "data-hint": piece.hint || undefined,
        onkeydown: pick ? undefined : (event) => this.#move(event),
      },
      inner,
    );
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    const stops = /** @type {HTMLElement[]} */ ([...this.querySelectorAll("button, li[tabindex]")]);
    const here = stops.indexOf(/** @type {HTMLElement} */ (event.currentTarget));
    const next = Math.max(0, Math.min(stops.length - 1, here + step));
    stops[next].focus();
    event.preventDefault();
  }
}

customElements.define("capot-strip", Strip);
