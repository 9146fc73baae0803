// What else a token could have been: a panel under the text, from which another branch begins.

import { fill, h } from "../../lib/dom.js";
import { percent, tr } from "../../lib/words.js";

/**
 * Whether a token drawn stands further down than those shown beside it.
 * @param {Api.Step} token
 */
const isFar = ({ id, alternatives }) => !alternatives.some((one) => one.id === id);

/** The panel beside `strip`, whose token it speaks of is pressed. */
export class Others {
  #strip;

  /** @param {Lab.Strip} strip */
  constructor(strip) {
    this.#strip = strip;
    const onkeydown = (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") this.close(true); };
    this.box = h("section", { class: "panel instead", hidden: true, "aria-label": tr("generate.others"), onkeydown });
  }

  /**
   * Show what the token at `index` could have been; `onChange` is called with which is picked, were it the same.
   * @param {Api.Step} token
   * @param {number} index
   * @param {(other: Api.Alternative) => unknown} onChange
   */
  open(token, index, onChange) {
    const onpick = (/** @type {CustomEvent<number>} */ { detail }) => onChange(token.alternatives[detail] ?? token);
    const bars = h("capot-bars", { pick: true, rows: could(token), onpick });
    const close = { "aria-label": tr("generate.close"), onclick: () => this.close(true) };
    const head = h("div", { class: "row spread" },
      h("h2", {}, tr("generate.instead", { place: index + 1, token: token.label })),
      h("button", { type: "button", class: "quiet-button", ...close }, "×"));
    fill(this.box, head, bars, h("p", { class: "quiet" }, hint(token)));
    this.box.hidden = false;
    this.box.dataset.index = String(index);
    this.#mark(index);
    this.box.scrollIntoView({ block: "nearest" });
    bars.querySelector("button")?.focus({ preventScroll: true });
  }

  /** Hide it; `back`: the focus goes to the token again. */
  close(back = false) {
    if (this.box.hidden) return;
    this.box.hidden = true;
    const button = this.#mark(Number(this.box.dataset.index));
    button?.removeAttribute("aria-pressed");
    if (back) button?.focus();
  }

  /** @param {number} index */
  #mark(index) {
    const buttons = [...this.#strip.querySelectorAll("button")];
    for (const [place, button] of buttons.entries()) {
      if (place === index) button.setAttribute("aria-pressed", "true");
      else button.removeAttribute("aria-pressed");
    }
    return buttons[index];
  }
}

/**
 * A row for each token that could have come; the one drawn has its own where it stands further down.
 * @param {Api.Step} token
 * @returns {Lab.Bar[]}
 */
function could({ id, label, probability, rank, alternatives }) {
  const most = alternatives[0].probability;
  /** @type {(one: { id: number, label: string, probability: number }, place: number) => Lab.Bar} */
  const row = (one, place) => ({
    label: one.label,
    value: one.probability / most,
    text: percent(one.probability),
    marked: one.id === id,
    hint: tr("generate.row", { id: String(one.id), rank: place }),
  });
  const rows = alternatives.map((one, place) => row(one, place + 1));
  const far = !rows.some((one) => one.marked);
  return far ? [...rows, { ...row({ id, label, probability }, rank ?? rows.length + 1), far }] : rows;
}

/** @param {Api.Step} token */
function hint(token) {
  const { label, rank, alternatives } = token;
  const far = { token: label, rank: rank ?? `> ${alternatives.length}`, share: percent(token.probability) };
  const share = percent(alternatives.reduce((sum, one) => sum + one.probability, 0));
  const chance = token.chance === null ? "?" : percent(token.chance);
  const said = { token: label, share, chance, count: alternatives.length };
  return [isFar(token) ? tr("generate.far", far) : "", tr("generate.branch_hint", said)].filter(Boolean).join(" ");
}
