// Tokens as they are shown: the same name everywhere, that of a token's own chapter.

import { visible } from "./dom.js";

/**
 * How the server writes the tokens of its answers whose text does not tell it: half a character, a hidden one.
 * @type {Map<number, string>}
 */
const labels = new Map();

/**
 * Hear of labels, by id; those of another model are no more.
 * @param {Record<string, string>} found
 */
export function learn(found) {
  for (const [id, label] of Object.entries(found)) labels.set(Number(id), label);
}

export const forget = () => labels.clear();

/**
 * A token as it is shown: spaces and line ends drawn, half a character as its bytes, ⟨F0 9F⟩.
 * @param {{ id: number, text: string, label?: string }} token
 */
export const named = ({ id, text, label }) => label ?? labels.get(id) ?? (text ? visible(text) : `⟨${id}⟩`);
