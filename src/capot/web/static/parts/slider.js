// A slider with a field beside it: arrows move by fine steps, Shift and arrows by coarse ones, or type the value.
// The field is a text: a browser's own number field refuses the comma or the point, by its language and not the lab's.

import { h, unique } from "../lib/dom.js";
import { number, tr, unwritten } from "../lib/words.js";
import { help } from "./terms.js";

/**
 * What an address says of a setting, within its bounds; what is counted is whole, whoever wrote it.
 * @param {string | undefined} text
 * @param {import("../lib/lab.js").Slide} bounds
 */
export function restored(text, { min, max, step, start }) {
  const value = text === undefined || text === "" ? start : Number(text);
  if (!Number.isFinite(value)) return start;
  return Math.min(max, Math.max(min, step === 1 ? Math.round(value) : value));
}

/**
 * What an address keeps of settings: those moved, and what was asked for (`saved`), were it the usual.
 * @param {Record<string, number>} values
 * @param {Record<string, import("../lib/lab.js").Slide>} sliders
 * @param {Record<string, string>} saved
 * @returns {Record<string, number | "">}
 */
export function kept(values, sliders, saved) {
  const usual = (/** @type {string} */ name) => values[name] === sliders[name].start && saved[name] === undefined;
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, usual(name) ? "" : value]));
}

/**
 * <capot-slider name min max step coarse value label hint>: sends "input" with { value } while it moves.
 * `value` is a number; what is typed outside the bounds is brought back to them, and what is no number changes nothing:
 * both are said under it.
 */
class Slider extends HTMLElement {
  connectedCallback() {
    if (this.firstElementChild) return;
    const [min, max, step] = ["min", "max", "step"].map((name) => this.getAttribute(name));
    const id = unique("slider");
    /** @type {HTMLInputElement} */
    this.range = h("input", {
      type: "range",
      id,
      min,
      max,
      step,
      value: this.getAttribute("value"),
      oninput: () => this.#changeTo(Number(this.range.value)),
      onkeydown: (event) => this.#keys(event, event.shiftKey),
    });
    /** @type {HTMLInputElement} */
    this.field = h("input", {
      type: "text",
      inputmode: Number.isInteger(Number(step)) ? "numeric" : "decimal",
      autocomplete: "off",
      role: "spinbutton",
      "aria-valuemin": min,
      "aria-valuemax": max,
      "aria-label": this.getAttribute("label"),
      onchange: () => this.#take(this.field.value),
      onkeydown: (event) => this.#keys(event, ["ArrowUp", "ArrowDown"].includes(event.key)),
    });
    /** @type {HTMLElement} */
    this.note = h("span", { class: "note", role: "status" });
    this.#write(Number(this.getAttribute("value")));
    const hint = this.getAttribute("hint");
    this.append(
      h(
        "span",
        { class: "name" },
        h("label", { for: id }, this.getAttribute("label")),
        hint ? help(this.getAttribute("label") ?? "", hint) : null,
      ),
      this.range,
      this.field,
      this.note,
    );
  }

  get value() {
    return Number(this.range.value);
  }

  set value(value) {
    if (!this.range) this.setAttribute("value", String(value));
    else this.#write(value);
  }

  /** @param {number} value */
  #write(value) {
    this.note.textContent = "";
    this.range.value = String(value);
    this.field.value = number(value);
    this.field.setAttribute("aria-valuenow", String(value));
  }

  get #bounds() {
    return [Number(this.getAttribute("min")), Number(this.getAttribute("max"))];
  }

  /**
   * What was typed, and why it does not stay where it does not.
   * @param {string} text
   */
  #take(text) {
    const typed = unwritten(text);
    const [low, high] = this.#bounds;
    this.#changeTo(typed);
    if (Number.isNaN(typed)) this.note.textContent = tr("slider.no_number", { typed: text.trim().slice(0, 20) });
    else if (typed < low || typed > high)
      this.note.textContent = tr("slider.outside", { low: number(low), high: number(high) });
  }

  /** @param {number} typed */
  #changeTo(typed) {
    const [min, max] = this.#bounds;
    // 1.26, not 1.2600000000000002
    const value = Number.isFinite(typed) ? Number(Math.min(max, Math.max(min, typed)).toPrecision(12)) : this.value;
    this.#write(value);
    this.dispatchEvent(new CustomEvent("input", { detail: { value } }));
  }

  /**
   * Arrows by steps that the browser does not take by itself: coarse ones, and those of the field.
   * @param {KeyboardEvent} event
   * @param {boolean} ours
   */
  #keys(event, ours) {
    const direction = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!direction || !ours) return;
    event.preventDefault();
    const step = Number(this.getAttribute("step"));
    this.#changeTo(this.value + direction * (event.shiftKey ? Number(this.getAttribute("coarse") ?? 10 * step) : step));
  }
}

customElements.define("capot-slider", Slider);
