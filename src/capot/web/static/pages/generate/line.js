// One line of text: what it was asked for, the tokens it has, and how to ask for the rest of it.

import { h } from "../../lib/dom.js";
import { number, percent, tr } from "../../lib/words.js";
import { ofKind } from "../../parts/blocks.js";

export const ALTERNATIVES = 8; // other tokens kept for each step

/**
 * A line of `prompt`, with nothing in it yet; `left` tokens are wanted.
 * @param {string} prompt
 * @param {{ sampling: Lab.Sampling, seed?: number, left: number, base?: number[] | null, tokens?: Api.Step[] }} how
 * @returns {Lab.Line}
 */
export function begun(prompt, { sampling, seed, left, base = null, tokens = [] }) {
  const empty = { drawn: 0, runs: 0, reason: "", view: null, result: null };
  return { prompt, base, sampling, seed, left, tokens: [...tokens], ...empty };
}

/**
 * The work that is missing of a line, as the stream takes it.
 * @param {Lab.Line} line
 * @returns {Api.GenerateRequest}
 */
export function asked({ prompt, base, sampling, seed, left, tokens }) {
  const made = tokens.length;
  return {
    prompt,
    ...sampling,
    max_new_tokens: left,
    alternatives: ALTERNATIVES,
    ...(made ? { ids: [...(base ?? []), ...tokens.map((token) => token.id)], first_draw: made } : {}),
    ...(seed === undefined ? {} : { seed }),
  };
}

/**
 * Whether a line is still waited for.
 * @param {Lab.Line} line
 */
export const wanted = (line) => line.left > 0 && !line.reason;

/**
 * Take in one event. `stopping`: the visitor asked to stop, else an interrupted line is to be taken up again.
 * @param {Lab.Line} line
 * @param {Lab.Event<"generate">} event
 * @param {boolean} stopping
 */
export function hear(line, [kind, body], stopping) {
  if (kind === "started") {
    line.base ??= body.prompt_ids;
    line.seed ??= body.seed;
    line.runs += 1;
    line.fresh = true;
    // What a line that is taken up again finds in the cache is its own text. What is told is of the prompt.
    // A server tells it at the end, if at all.
    if (body.reused_tokens !== null) line.reused ??= Math.min(body.reused_tokens, line.base.length);
  } else if (kind === "step") {
    line.tokens.push(body);
    line.drawn += 1;
    line.left -= 1;
    paced(line, body.seconds);
  } else if (kind === "finished" && (body.stop_reason !== "interrupted" || stopping)) {
    const whole = line.runs === 1;
    line.reason = body.stop_reason;
    line.stopString = body.stop_string;
    line.speed = whole ? body.tokens_per_s : line.paced && line.paced / (line.spent ?? 0);
    if (whole) line.reused ??= body.result.reused_tokens ?? undefined;
    line.result = whole ? body.result : null;
    line.view = whole ? body.view : null;
  } else if (kind === "error") {
    line.reason = "error";
  }
}

/**
 * Count a token's time. The first of a run waits for more than the token before it.
 * @param {Lab.Line} line
 * @param {number} seconds
 */
function paced(line, seconds) {
  if (!line.fresh) {
    line.paced = (line.paced ?? 0) + 1;
    line.spent = (line.spent ?? 0) + seconds;
  }
  line.fresh = false;
}

/**
 * Whether a line may grow further.
 * @param {Lab.Line} line
 */
export const open = (line) => !["end_token", "stop_string", "context_full", "error"].includes(line.reason);

/**
 * A token as a piece of a strip: shaded by its probability, its line end followed by a real one.
 * @param {Api.Step} token
 * @returns {Lab.Piece}
 */
export function piece(token) {
  const share = percent(token.probability);
  const half = !token.token_text && /^(⟨[0-9A-F]{2}( [0-9A-F]{2})*⟩)+$/.test(token.label);
  return {
    bytes: half ? token.label.replaceAll(/[⟨⟩ ]/g, "") : null,
    text: token.label,
    weight: token.probability,
    kind: token.token_text ? "token" : "bytes",
    ends: token.token_text.includes("\n"),
    hint: tr("generate.hint", { share, id: String(token.id) }),
    label: tr("generate.token_label", { token: token.label, share }),
  };
}

/**
 * The mean surprise of a line's tokens, in bits.
 * @param {Lab.Line} line
 */
export const surprise = (line) =>
  line.tokens.reduce((sum, token) => sum - token.logprob / Math.LN2, 0) / (line.tokens.length || 1);

/**
 * Why a line ends where it does.
 * @param {Lab.Line} line
 */
export function why(line) {
  return line.reason && line.reason !== "error"
    ? tr(`generate.reason.${line.reason}`, { stop: line.stopString ?? "" })
    : "";
}

/**
 * The two sentences under a line: the answer's own where one answer made it all, else the same from its tokens.
 * @param {Lab.Line} line
 */
export function caption(line) {
  const [strip] = ofKind(line.view ?? [], "strip");
  const parts = [strip ? strip.caption : probabilities(line), why(line)];
  if (line.speed) {
    const speed = number(line.speed, line.speed < 100 ? 1 : 0);
    const told = { speed, seed: String(line.seed) };
    const reused = line.reused === undefined ? null : { ...told, count: line.reused };
    parts.push(reused ? tr("generate.speed", reused) : tr("generate.speed_untold", told));
  }
  return parts.filter(Boolean).join(" ");
}

/** @param {Lab.Line} line */
function probabilities(line) {
  const least = line.tokens.reduce((a, b) => (b.probability < a.probability ? b : a));
  const best = line.tokens.filter((token) => token.probability >= token.alternatives[0].probability).length;
  const said = tr("generate.unlikely", { token: least.label, share: percent(least.probability) });
  return `${said} ${tr("generate.best", { count: line.tokens.length, best })}`;
}

/**
 * The last characters of a prompt, as the piece that stands before the text.
 * @param {string} prompt
 * @returns {Lab.Piece[]}
 */
export function opening(prompt) {
  return prompt ? [{ text: prompt.length > 160 ? `…${prompt.slice(-160)}` : prompt, kind: "prompt" }] : [];
}

/** The key to the shades, from unlikely to likely. */
export function scale() {
  const shades = Array.from({ length: 10 }, (_, step) => h("i", { class: `w${step}` }));
  return h("p", { class: "scale quiet" },
    tr("generate.unlikely_end"), h("span", { class: "shades", "aria-hidden": "true" }, shades),
    tr("generate.likely_end"));
}
