// Tokens as pieces of a strip. A character spread over several tokens gives them one hue, and is named in their hints.

import { tr } from "../lib/words.js";

export const HUES = 6;

const decoder = new TextDecoder("utf-8", { fatal: true });
const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** @param {string} hex */
const unhex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/**
 * The text of several tokens' bytes, or null where they are no whole characters.
 * @param {{ bytes?: string | null }[]} tokens
 */
function joined(tokens) {
  try {
    return decoder.decode(unhex(tokens.map((token) => token.bytes).join("")));
  } catch {
    return null;
  }
}

/**
 * [{ text, part, hint, tone, kind }] from [{ id, bytes, text }]: never a replacement character.
 * @param {Api.Token[]} tokens
 * @returns {Lab.Piece[]}
 */
export function pieces(tokens) {
  /** @type {Lab.Piece[]} */
  const shown = [];
  let tone = 0;
  for (let at = 0; at < tokens.length; tone += 1) {
    const run = whole(tokens, at);
    const shared = run.length > 1 ? joined(run) : null;
    for (const [part, token] of run.entries()) {
      const bytes = token.bytes.match(/../g)?.join(" ").toUpperCase() ?? "";
      const text = shared ?? (token.text || `⟨${bytes}⟩`);
      const hint = shared
        ? tr("strip.part_of", { id: String(token.id), bytes, character: shared })
        : tr("strip.hint", { id: String(token.id), bytes });
      shown.push({
        text,
        part: shared === null ? null : `${part + 1}/${run.length}`,
        hint,
        tone,
        kind: token.special ? "special" : run.length === 1 && token.text ? "token" : "bytes",
      });
    }
    at += run.length;
  }
  return shown;
}

/**
 * The same pieces, each text in one hue wherever it stands, and neighbours in different ones as long as six are enough.
 * @param {Lab.Piece[]} shown
 * @returns {Lab.Piece[]}
 */
export function recurring(shown) {
  const names = shown.map((piece) => piece.text.trim() || piece.text);
  /** @type {Map<string, number>} */
  const hues = new Map();
  let next = 0;
  for (const [name, around] of neighbours(names)) {
    const taken = new Set([...around].map((one) => hues.get(one)));
    const free = Array.from({ length: HUES }, (_, step) => (next + step) % HUES).find((hue) => !taken.has(hue)) ?? next;
    hues.set(name, free);
    next = (free + 1) % HUES;
  }
  return shown.map((piece, at) => ({ ...piece, tone: hues.get(names[at]) }));
}

/**
 * For each name, in their order, the others that stand beside it somewhere.
 * @param {string[]} names
 */
function neighbours(names) {
  /** @type {Map<string, Set<string>>} */
  const beside = new Map(names.map((name) => [name, new Set()]));
  for (const [at, name] of names.entries()) {
    const before = names[at - 1];
    if (at === 0 || before === name) continue;
    beside.get(name)?.add(before);
    beside.get(before)?.add(name);
  }
  return beside;
}

/**
 * The place of the first of the pieces that end at `last` and only together are whole characters, each renamed after
 * them; `last` where there are none. Pieces of half a character have `bytes` (hexadecimal), the others none.
 * @param {Lab.Piece[]} shown
 * @param {number} last
 */
export function united(shown, last) {
  for (let first = last; first >= 0 && last - first < 4 && shown[first].bytes; first -= 1) {
    const run = shown.slice(first, last + 1);
    const text = joined(run);
    if (text === null) continue;
    for (const [part, piece] of run.entries())
      Object.assign(piece, {
        text,
        part: `${part + 1}/${run.length}`,
        bytes: null,
        label: piece.label?.replace(piece.text, text),
      });
    return first;
  }
  return last;
}

/**
 * The tokens from `at` on that only together are whole characters.
 * @param {Api.Token[]} tokens
 * @param {number} at
 */
function whole(tokens, at) {
  if (tokens[at].text || tokens[at].bytes === "") return extended(tokens, at);
  for (let length = 2; length <= 12 && at + length <= tokens.length; length += 1) {
    const run = tokens.slice(at, at + length);
    if (joined(run) !== null) return run;
  }
  return [tokens[at]];
}

/**
 * A token and those after it that only add marks to its last character (accents, skin tones, joiners).
 * @param {Api.Token[]} tokens
 * @param {number} at
 */
function extended(tokens, at) {
  let text = tokens[at].text;
  let length = 1;
  while (at + length < tokens.length && length < 12) {
    const next = tokens[at + length].text;
    if (!next || [...segmenter.segment(text.slice(-8) + next)].length !== [...segmenter.segment(text.slice(-8))].length)
      break;
    text += next;
    length += 1;
  }
  return tokens.slice(at, at + length);
}
