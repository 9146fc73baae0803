// How the next token is chosen: temperature, top-k, top-p, min-p.

import { h } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { lab } from "../../lib/lab.js";
import { kept, restored } from "../../parts/slider.js";

const SLIDERS = lab.sliders.next;

/** How a token is chosen: the sliders, restored from the address. */
export class Choosing {
  /** @type {Record<string, string>} */
  #saved;
  /** @type {Record<string, number>} */
  values;

  /**
   * @param {Record<string, string>} saved
   * @param {() => unknown} onChange
   */
  constructor(saved, onChange) {
    this.#saved = saved;
    this.values = Object.fromEntries(
      Object.entries(SLIDERS).map(([name, bounds]) => [name, restored(saved[name], bounds)]));
    const slider = (/** @type {string} */ name) => {
      const { min, max, step, coarse } = SLIDERS[name];
      const said = { label: tr(`next.${name}`), hint: tr(`next.hint.${name}`) };
      const oninput = (/** @type {CustomEvent<{ value?: number }>} */ { detail }) => {
        if (detail?.value === undefined) return;
        this.values[name] = detail.value;
        onChange();
      };
      return h("capot-slider", { name, min, max, step, coarse, value: this.values[name], ...said, oninput });
    };
    this.names = Object.keys(SLIDERS);
    this.sliders = this.names.map(slider);
  }

  reset() {
    this.names.forEach((name, index) => { this.sliders[index].value = this.values[name] = SLIDERS[name].start; });
    this.#saved = {};
  }

  /** The settings that are elsewhere than where the model is as it is. */
  get moved() {
    return Object.fromEntries(Object.entries(this.values).filter(([name, value]) => value !== SLIDERS[name].start));
  }

  /** What the address keeps of them. */
  get kept() {
    return kept(this.values, SLIDERS, this.#saved);
  }

  /** What the model makes of its logits, by these settings. */
  get sampling() {
    const { temperature, top_k: topK, top_p: topP, min_p: minP } = this.values;
    return { temperature, topK, topP, minP };
  }
}
