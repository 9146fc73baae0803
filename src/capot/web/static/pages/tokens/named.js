// Tokenizers by the names that people give them.

import { has, tr } from "../../lib/words.js";

/** The tokenizer of which the lessons' sentences alone are known. */
export const RECORDED = "llama3";

/**
 * A tokenizer's name as people say it.
 * @param {string} name
 */
export const named = (name) => (has(`tokenizers.${name}`) ? tr(`tokenizers.${name}`) : name);
