// A slider with a field beside it: arrows move by fine steps, Shift and arrows by coarse ones, or type the value.

import { h, unique } from "../lib/dom.js";
import { help } from "./terms.js";

/**
 * <capot-slider name min max step coarse value label hint>: sends "input" with { value } while it moves.
 * `value` is a number; what is typed outside the bounds is brought back to them.
 */
class Slider extends HTMLElement {
  connectedCallback() {
    if (this.firstElementChild) return;
    const [min, max, step] = ["min", "max", "step"].map((name) => this.getAttribute(name));
    const id = unique("slider");
    this.range = h("input", { type: "range", id, min, max, step, value: this.getAttribute("value"), oninput: () => this.#heard(this.range.value), onkeydown: (event) => this.#coarse(event) });
    this.field = h("input", { type: "number", min, max, step: "any", value: this.getAttribute("value"), "aria-label": this.getAttribute("label"), onchange: () => this.#heard(this.field.value) });
    const hint = this.getAttribute("hint");
    this.append(h("span", { class: "name" }, h("label", { for: id }, this.getAttribute("label")), hint ? help(this.getAttribute("label"), hint) : null), this.range, this.field);
  }

  get value() {
    return Number(this.range.value);
  }

  set value(value) {
    if (!this.range) this.setAttribute("value", value);
    else [this.range.value, this.field.value] = [value, value];
  }

  #heard(text) {
    const [min, max] = [Number(this.getAttribute("min")), Number(this.getAttribute("max"))];
    const value = Math.min(max, Math.max(min, Number(text) || 0));
    this.range.value = value;
    this.field.value = value;
    this.dispatchEvent(new CustomEvent("input", { detail: { value } }));
  }

  #coarse(event) {
    const direction = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!direction || !event.shiftKey) return;
    event.preventDefault();
    this.#heard(Number(this.range.value) + direction * Number(this.getAttribute("coarse") ?? 10 * Number(this.getAttribute("step"))));
  }
}

customElements.define("capot-slider", Slider);
