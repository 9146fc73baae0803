// The whole road at one glance: text, tokens, vectors, probabilities, and a text that grows when a key is pressed.

import { fill, h, visible } from "../lib/dom.js";
import { bits, number, percent, tr } from "../lib/words.js";
import { call } from "../lib/api.js";
import * as state from "../lib/state.js";
import { fault, waiting } from "../parts/fault.js";
import { fly } from "../parts/flight.js";
import { promptField } from "../parts/prompt.js";
import { pieces, recurring } from "../parts/pieces.js";
import { plane } from "../parts/plane.js";
import { withTerms } from "../parts/terms.js";

const SHOWN = 6; // candidates
const STRIP = 120; // tokens drawn: the chapter shows them all
const WORDS = 12; // points drawn
const CHAPTERS = ["tokens", "embeddings", "next", "generate"];

export default async function page(main, { door }) {
  const start = state.prompt.known() ? state.prompt.get() : tr("home.first_prompt");
  if (!state.prompt.known()) state.prompt.set(start);
  const strip = h("capot-strip", { "aria-label": tr("tokens.strip") });
  const points = h("div", { class: "plane" });
  const bars = h("capot-bars", { pick: true, onpick: (event) => grow(event.detail) });
  const grown = h("p", { class: "grown", "aria-live": "polite", tabindex: "0", "aria-label": tr("home.grown") });
  const say = Object.fromEntries(CHAPTERS.map((name) => [name, h("p", { class: "quiet" })]));
  let running = null, prediction = null, wished = false, base = start, added = [];

  const field = promptField({ heard: (text) => { [base, added] = [text, []]; look(); }, initial: start, delay: 200, rows: 1, examples: tr("home.examples").split("|") });
  const stop = (chapter, ...content) => h("section", { class: `stop ${chapter}` },
    h("h2", {}, h("a", { href: door(chapter), dataset: { chapter } }, tr(`home.${chapter}`))), h("div", { class: "content" }, content), say[chapter]);
  const next = h("button", { type: "button", class: "primary", onclick: () => grow(0) }, tr("home.press"));
  const again = h("button", { type: "button", onclick: () => { added = []; look(); } }, tr("home.restart"));
  const road = h("div", { class: "road" },
    stop("tokens", strip), stop("embeddings", points), stop("next", bars),
    stop("generate", grown, h("p", { class: "row" }, next, again, h("span", { class: "quiet" }, tr("home.keys_before"), " ", h("kbd", {}, tr("home.space")), " ", tr("home.keys_after")))));
  main.append(h("p", { class: "lead" }, withTerms(tr("home.lead"))), field.box, road);
  const keys = (event) => {
    const busy = event.target.closest?.("textarea, input, select, button, a, summary, dialog, [role='button']");
    if (event.code === "Space" && !busy && !event.repeat) { event.preventDefault(); grow(0); }
  };
  document.addEventListener("keydown", keys);
  await look();

  /** Choose a candidate: it flies to the end of the text, and the road is walked again. */
  function grow(rank) {
    const chosen = prediction?.candidates[rank];
    if (!chosen) {
      wished = rank === 0 && running !== null; // pressed while the model reads: done when it has read
      return;
    }
    const from = bars.querySelectorAll(".name")[rank];
    added.push(chosen.text);
    look();
    fly(from, grown.lastElementChild);
  }

  async function look() {
    running?.abort();
    const control = running = new AbortController();
    prediction = null;
    const text = base + added.join("");
    state.grow(added.length ? text : null);
    for (const link of main.querySelectorAll("a[data-chapter]")) link.href = door(link.dataset.chapter);
    fill(grown, base.length > 400 ? `…${base.slice(-400)}` : base, added.map((piece) => h("mark", {}, piece)));
    again.disabled = !added.length;
    if (!text) {
      clear();
      [running, road.ariaBusy] = [null, "false"];
      return fill(say.tokens, tr("tokens.empty"));
    }
    const note = waiting(field.troubles, tr("home.waiting"), () => control.abort());
    road.ariaBusy = "true";
    let tokens = null;
    try {
      const opinion = call("next", { prompt: text, k: SHOWN }, { signal: control.signal, queued: note.queued });
      opinion.catch(() => {}); // heard below, once the tokens are drawn: a text too long to be read is still cut
      tokens = await call("tokens", { text }, { signal: control.signal });
      drawTokens(tokens);
      prediction = await opinion;
      fill(field.troubles);
      drawNext();
      if (wished) {
        wished = false;
        return grow(0);
      }
      await drawPlane(tokens, control.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      clear({ strips: !tokens }); // nothing may stay that another text has drawn
      fill(field.troubles, fault(error, look));
    } finally {
      note.done();
      if (running === control) [running, road.ariaBusy] = [null, "false"];
    }
  }

  function clear({ strips = true } = {}) {
    [bars.rows, prediction, next.disabled] = [[], null, true];
    fill(field.troubles);
    fill(points);
    for (const chapter of CHAPTERS) if (strips || chapter !== "tokens") fill(say[chapter]);
    if (strips) strip.pieces = [];
  }

  function drawTokens(tokens) {
    const cut = recurring(pieces(tokens.tokens.slice(-STRIP)));
    strip.pieces = tokens.count > STRIP ? [{ text: "…", kind: "after" }, ...cut] : cut;
    fill(say.tokens, withTerms(tr("home.tokens_said", { count: tokens.count, characters: tr("home.characters", { count: tokens.characters }) })));
  }

  function drawNext() {
    bars.rows = prediction.candidates.map((one, index) => ({ label: one.text ? visible(one.text) : one.label, value: one.probability / prediction.candidates[0].probability, text: percent(one.probability), marked: index === 0 }));
    fill(say.next, withTerms(tr("home.next_said", { vocabulary: prediction.vocabulary_size, entropy: bits(prediction.entropy_bits, 1), choices: number(2 ** prediction.entropy_bits, 0) })));
    fill(say.generate, withTerms(added.length ? tr("home.generate_said", { count: added.length }) : tr("home.generate_none")));
    next.disabled = !prediction.candidates.length;
  }

  /** The words of the text as points, in the hues of their tokens: repeated words once, the last ones. */
  async function drawPlane(tokens, signal) {
    const words = wordsOf(tokens).slice(-WORDS);
    if (words.length < 3) {
      fill(say.embeddings, tr("home.more_words"));
      return fill(points);
    }
    try {
      const found = await call("embed", { words: words.map(([word]) => word) }, { signal });
      const tones = new Map(words);
      fill(points);
      fill(points, plane(found.words.map((word) => ({ label: word.word, x: word.x, y: word.y, tone: tones.get(word.word) })), { label: tr("home.embeddings"), width: Math.min(480, Math.max(260, points.clientWidth)), height: Math.min(260, Math.max(190, points.clientHeight)) }));
      fill(say.embeddings, withTerms(tr("home.embeddings_said", { width: found.shape[1], share: percent(found.explained_variance.slice(0, 2).reduce((a, b) => a + b, 0), 0) })));
    } catch (error) {
      if (error.name !== "AbortError") fill(points, fault(error));
    }
  }

  return { leave: () => { running?.abort(); state.grow(null, { left: true }); document.removeEventListener("keydown", keys); } };
}

/** [word, tone of its first token], each word once, at its last place. */
function wordsOf(tokens) {
  const encoder = new TextEncoder();
  const shown = Math.max(0, tokens.count - STRIP);
  const tones = recurring(pieces(tokens.tokens.slice(-STRIP))).map((piece) => piece.tone);
  const found = new Map();
  const from = tokens.tokens[shown]?.start ?? 0;
  let [bytes, before] = [0, 0];
  for (const match of tokens.text.matchAll(/[\p{L}\p{N}]+/gu)) {
    bytes += encoder.encode(tokens.text.slice(before, match.index)).length;
    before = match.index;
    if (bytes < from) continue;
    const at = tokens.tokens.findIndex((token, index) => index >= shown && token.end > bytes);
    found.delete(match[0]);
    found.set(match[0], tones[at - shown] ?? 0);
  }
  return [...found];
}
