// What a million tokens cost, sent and written: two fields, kept in the address.

import { h, labelled, unique } from "../../lib/dom.js";
import { tr, typed, unwritten } from "../../lib/words.js";
import * as state from "../../lib/state.js";

const KEYS = /** @type {const} */ (["price_in", "price_out"]);

/** @param {typeof KEYS[number]} key */
const priceOf = (key) => Number(state.read()[key]) || 0;

/** The prices asked for, 0 where there are none. */
export const prices = () => ({ price_in: priceOf("price_in"), price_out: priceOf("price_out") });

/**
 * The two fields; `onChange` is called when one has changed.
 * @param {() => unknown} onChange
 */
export const priceFields = (onChange) => KEYS.map((key) => {
  const input = field(key, onChange);
  return labelled(input, tr(`assistant.${key}`));
});

/**
 * @param {typeof KEYS[number]} key
 * @param {() => unknown} onChange
 */
function field(key, onChange) {
  const shown = () => (priceOf(key) ? typed(priceOf(key)) : "");
  const onchange = () => {
    const value = input.value.trim() ? unwritten(input.value) : 0;
    if (value >= 0 && Number.isFinite(value)) state.write({ [key]: value || "" }); // else it goes back to what it was
    input.value = shown();
    onChange();
  };
  const props = { type: "text", inputmode: "decimal", autocomplete: "off", placeholder: "0", onchange };
  /** @type {HTMLInputElement} */
  const input = h("input", { id: unique(key), value: shown(), ...props });
  return input;
}
