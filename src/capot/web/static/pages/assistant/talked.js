// A conversation as this tab keeps it and as an address holds it.

import { lang } from "../../lib/words.js";
import { cannotObey } from "../../lib/link.js";
import * as state from "../../lib/state.js";

const KEY = "capot-talk";

/**
 * What was said, and how it was to be answered.
 * @typedef {{ message: string, options: Partial<Lab.Sampling> & { max_new_tokens: number, seed: number } }} Turn
 * @typedef {Api.Conversation & { bill?: unknown }} Conversation
 */

/**
 * `prompt`: the last tokens that were sent; `typed`: what was not sent yet.
 * @typedef {{
 *   conversation: Conversation | null, view: Api.Block[] | null, turns: Turn[], prompt: Api.Token[] | null,
 *   seed: number, kind?: string, typed?: string, lang?: Lab.Language,
 * }} Talked
 */

/** @returns {Talked} */
export const fresh = () =>
  ({ conversation: null, view: null, turns: [], prompt: null, seed: Math.floor(Math.random() * 2 ** 32) });

/**
 * What this tab kept, where it is the conversation of the address.
 * @returns {Talked}
 */
export function saved() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  const linked = linkedTalk();
  if (linked && JSON.stringify(linked.turns) !== JSON.stringify(kept?.turns)) return { ...fresh(), ...linked };
  return kept ?? fresh();
}

/** @returns {Partial<Talked> | null} */
function linkedTalk() {
  try {
    return JSON.parse(state.read().talk ?? "null");
  } catch {
    cannotObey("talk");
    return null;
  }
}

/**
 * Keep it in the tab, and in the address without what is drawn of it.
 * @param {Talked} talked
 */
export function keep(talked) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ ...talked, lang: lang() }));
  } catch {
    sessionStorage.removeItem(KEY);
  }
  const { turns, seed } = talked;
  const conversation = { ...talked.conversation };
  delete conversation.bill;
  state.write({ talk: turns.length ? JSON.stringify({ conversation, turns, seed }) : "" });
}
