// What else a token could have been: a panel under the text, from which another branch begins.

import { fill, h } from "../../lib/dom.js";
import { percent, tr } from "../../lib/words.js";

/**
 * Whether two tokens are the same: by their labels where a server tells texts alone, whose ids are all -1.
 * @param {{ id: number, label: string }} one
 * @param {{ id: number, label: string }} other
 */
const same = (one, other) => one.id === other.id && (one.id >= 0 || one.label === other.label);

/**
 * Whether a token drawn stands further down than those shown beside it.
 * @param {Api.Step} token
 */
const isFar = (token) => !token.alternatives.some((one) => same(one, token));

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
  /** @type {(one: { id: number, label: string, probability: number }, place: number | string) => Lab.Bar} */
  const row = (one, place) => ({
    label: one.label,
    value: one.probability / most,
    text: percent(one.probability),
    marked: same(one, { id, label }),
    hint: tr("generate.row", { id: one.id < 0 ? "–" : String(one.id), rank: place }),
  });
  const rows = alternatives.map((one, place) => row(one, place + 1));
  const far = !rows.some((one) => one.marked);
  return far ? [...rows, { ...row({ id, label, probability }, rank ?? beyond(alternatives)), far }] : rows;
}

/**
 * The rank of a token that is not among those that are told.
 * @param {readonly unknown[]} told
 */
const beyond = (told) => `> ${told.length}`;

/** @param {Api.Step} token */
function hint(token) {
  const { label, rank, alternatives } = token;
  const far = { token: label, rank: rank ?? beyond(alternatives), share: percent(token.probability) };
  const share = percent(alternatives.reduce((sum, one) => sum + one.probability, 0));
  const said = { token: label, share, count: alternatives.length };
  const kept =
    token.chance === null
      ? tr("generate.branch_hint_untold", said)
      : tr("generate.branch_hint", { ...said, chance: percent(token.chance) });
  return [isFar(token) ? tr("generate.far", far) : "", kept].filter(Boolean).join(" ");
}
