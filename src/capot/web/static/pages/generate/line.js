// One line of text: what it was asked for, the tokens it has, and how to ask for the rest of it.

import { h } from "../../lib/dom.js";
import { number, percent, tr } from "../../lib/words.js";

export const ALTERNATIVES = 8; // other tokens kept for each step

/** A line of `prompt`, with nothing in it yet; `left` tokens are wanted. */
export function begun(prompt, { sampling, seed, left, base = null, tokens = [] }) {
  return { prompt, base, sampling, seed, left, tokens: [...tokens], drawn: 0, runs: 0, reason: "", view: null, result: null };
}

/** The work that is missing of a line, as the stream takes it. */
export function asked(line) {
  const made = line.tokens.length;
  return {
    prompt: line.prompt, ...line.sampling, max_new_tokens: line.left, alternatives: ALTERNATIVES,
    ...(made ? { ids: [...line.base, ...line.tokens.map((token) => token.id)], first_draw: made } : {}),
    ...(line.seed === undefined ? {} : { seed: line.seed }),
  };
}

/** Whether a line is still waited for. */
export const wanted = (line) => line.left > 0 && !line.reason;

/** Take in one event. `stopping`: the visitor asked to stop, else an interrupted line is to be taken up again. */
export function hear(line, kind, body, stopping) {
  if (kind === "started") {
    line.base ??= body.prompt_ids;
    line.seed ??= body.seed;
    line.runs += 1;
    line.reused = body.reused_tokens;
  } else if (kind === "step") {
    line.tokens.push(body);
    line.drawn += 1;
    line.left -= 1;
  } else if (kind === "finished" && (body.stop_reason !== "interrupted" || stopping)) {
    [line.reason, line.stopString, line.speed] = [body.stop_reason, body.stop_string, body.tokens_per_s];
    [line.result, line.view] = line.runs === 1 ? [body.result, body.view] : [null, null];
  } else if (kind === "error") {
    line.reason = "error";
  }
}

/** Whether a line may grow further. */
export const open = (line) => !["end_token", "stop_string", "context_full", "error"].includes(line.reason);

/** A token as a piece of a strip: shaded by its probability, its line end followed by a real one. */
export function piece(token) {
  const share = percent(token.probability);
  const half = !token.token_text && /^(⟨[0-9A-F]{2}⟩)+$/.test(token.label);
  return {
    bytes: half ? token.label.replaceAll(/[⟨⟩]/g, "") : null,
    text: token.label, weight: token.probability, kind: token.token_text ? "token" : "bytes", ends: token.token_text.includes("\n"),
    hint: tr("generate.hint", { share, id: String(token.id) }), label: tr("generate.token_label", { token: token.label, share }),
  };
}

/** The mean surprise of a line's tokens, in bits. */
export const surprise = (line) => line.tokens.reduce((sum, token) => sum - token.logprob / Math.LN2, 0) / (line.tokens.length || 1);

/** Why a line ends where it does. */
export function why(line) {
  return line.reason && line.reason !== "error" ? tr(`generate.reason.${line.reason}`, { stop: line.stopString ?? "" }) : "";
}

/** The two sentences under a line: the answer's own where one answer made it all, else the same from its tokens. */
export function caption(line) {
  const strip = line.view?.find((block) => block.block === "strip");
  const parts = [strip ? strip.caption : told(line), why(line)];
  if (line.speed) parts.push(tr("generate.speed", { speed: number(line.speed, line.speed < 100 ? 1 : 0), seed: String(line.seed), count: line.reused ?? 0 }));
  return parts.filter(Boolean).join(" ");
}

function told(line) {
  const least = line.tokens.reduce((a, b) => (b.probability < a.probability ? b : a));
  const best = line.tokens.filter((token) => token.probability >= token.alternatives[0].probability).length;
  return `${tr("generate.unlikely", { token: least.label, share: percent(least.probability) })} ${tr("generate.best", { count: line.tokens.length, best })}`;
}

/** The last characters of a prompt, as the piece that stands before the text. */
export function opening(prompt) {
  return prompt ? [{ text: prompt.length > 160 ? `…${prompt.slice(-160)}` : prompt, kind: "prompt", label: null }] : [];
}

/** The key to the shades, from unlikely to likely. */
export function scale() {
  return h("p", { class: "scale quiet" }, tr("generate.unlikely_end"), h("span", { class: "shades", "aria-hidden": "true" }, Array.from({ length: 10 }, (_, step) => h("i", { class: `w${step}` }))), tr("generate.likely_end"));
}
