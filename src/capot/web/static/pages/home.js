// The whole road at one glance: text, tokens, vectors, layers, probabilities, and a text that grows when a key is
// pressed.

import { fill, h } from "../lib/dom.js";
import { named } from "../lib/tokens.js";
import { bits, number, percent, SURE, tr } from "../lib/words.js";
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
const CHAPTERS = /** @type {const} */ (["tokens", "embeddings", "network", "next", "generate"]);

/** @typedef {typeof CHAPTERS[number]} Chapter */

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model, chapterAddress }) {
  const start = state.prompt.known() ? state.prompt.get() : tr("home.first_prompt");
  if (!state.prompt.known()) state.prompt.set(start);
  const road = new Road(start, chapterAddress, { waits: model?.engine === "openai" });
  main.append(h("p", { class: "lead" }, withTerms(tr("home.lead"))), road.field.box, road.asking, road.box);
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.code !== "Space" || event.repeat || busy(event.target)) return;
    event.preventDefault();
    road.grow(0);
  };
  document.addEventListener("keydown", keys);
  return { drawn: road.begin(), leave: () => {
    road.leave();
    document.removeEventListener("keydown", keys);
  } };
}

/**
 * Whether a key has a meaning of its own where it is pressed.
 * @param {EventTarget | null} target
 */
const busy = (target) =>
  target instanceof Element && target.closest("textarea, input, select, button, a, summary, dialog, [role='button']");

/** The five stops of a text that grows, each with what it shows and what it says. */
class Road {
  /** @type {AbortController | null} */
  #running = null;
  /** @type {Api.Prediction | null} */
  #prediction = null;
  #wished = false; // a key was pressed while the model reads: done when it has read
  /** @type {string[]} */
  #added = [];
  #base;
  #chapterAddress;
  #waits; // each answer of a server may cost: it is asked at a click
  #strip = h("capot-strip", { "aria-label": tr("tokens.strip") });
  #points = h("div", { class: "plane" });
  #layers = h("capot-strip", { class: "layers", "aria-label": tr("home.layers") });
  #grown = h("p", { class: "grown", "aria-live": "polite", tabindex: "0", "aria-label": tr("home.grown") });
  #say = {
    tokens: h("p", { class: "quiet" }),
    embeddings: h("p", { class: "quiet" }),
    network: h("p", { class: "quiet" }),
    next: h("p", { class: "quiet" }),
    generate: h("p", { class: "quiet" }),
  };

  /**
   * @param {string} start
   * @param {(chapter: string) => string} chapterAddress
   * @param {{ waits: boolean }} how
   */
  constructor(start, chapterAddress, { waits }) {
    this.#base = start;
    this.#chapterAddress = chapterAddress;
    this.#waits = waits;
    const onChange = (/** @type {string} */ text) => {
      this.#base = text;
      this.#added = [];
      this.begin();
    };
    const ask = h("button", { type: "button", class: "primary", onclick: () => this.look() }, tr("plain.ask"));
    this.asking = h("p", { class: "row", hidden: true }, ask);
    const examples = tr("home.examples").split("|");
    this.field = promptField({ onChange, initial: start, delay: 200, rows: 1, examples });
    const onpick = (/** @type {CustomEvent<number>} */ event) => this.grow(event.detail);
    this.bars = h("capot-bars", { pick: true, onpick });
    const press = () => this.grow(0);
    this.next = h("button", { type: "button", class: "primary", onclick: press }, tr("home.press"));
    const restart = () => { this.#added = []; this.look(); };
    this.again = h("button", { type: "button", onclick: restart }, tr("home.restart"));
    const keys = [tr("home.keys_before"), " ", h("kbd", {}, tr("home.space")), " ", tr("home.keys_after")];
    const row = h("p", { class: "row" }, this.next, this.again, h("span", { class: "quiet" }, keys));
    this.box = h("div", { class: "road" }, this.#stop("tokens", this.#strip), this.#stop("embeddings", this.#points),
      this.#stop("network", this.#layers), this.#stop("next", this.bars), this.#stop("generate", this.#grown, row));
  }

  /**
   * @param {Chapter} chapter
   * @param {...HTMLElement} content
   */
  #stop(chapter, ...content) {
    const title = h("a", { href: this.#chapterAddress(chapter), dataset: { chapter } }, tr(`home.${chapter}`));
    return h("section", { class: `stop ${chapter}` },
      h("h2", {}, title), h("div", { class: "content" }, content), this.#say[chapter]);
  }

  leave() {
    this.#running?.abort();
    state.grow(null, { left: true });
  }

  /**
   * Choose a candidate: it flies to the end of the text, and the road is walked again.
   * @param {number} rank
   */
  grow(rank) {
    const chosen = this.#prediction?.candidates[rank];
    if (!chosen) {
      this.#wished = rank === 0 && this.#running !== null;
      return;
    }
    const from = this.bars.querySelectorAll(".name")[rank];
    this.#added.push(chosen.text);
    this.look();
    fly(from, this.#grown.lastElementChild);
  }

  /** A new text: walked at once, or at a click. */
  async begin() {
    if (!this.#waits) return this.look();
    this.#running?.abort();
    this.#clear();
    this.#rest();
    this.asking.hidden = !this.#carry();
  }

  async look() {
    this.asking.hidden = true;
    this.#running?.abort();
    const control = this.#running = new AbortController();
    this.#prediction = null;
    const text = this.#carry();
    if (!text) {
      this.#clear();
      this.#rest();
      fill(this.#say.tokens, tr("tokens.empty"));
      return;
    }
    const note = waiting(this.field.troubles, tr("home.waiting"), () => control.abort());
    this.box.ariaBusy = "true";
    try {
      await this.#walk(text, { signal: control.signal, queued: note.queued });
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(this.field.troubles, fault(error, () => this.look()));
    } finally {
      note.done();
      if (this.#running === control) this.#rest();
    }
  }

  /** The text as it stands: shown, and carried by the links to the chapters. */
  #carry() {
    const [base, added] = [this.#base, this.#added];
    const text = base + added.join("");
    state.grow(added.length ? text : null);
    for (const link of this.box.querySelectorAll("a"))
      if (link.dataset.chapter) link.href = this.#chapterAddress(link.dataset.chapter);
    fill(this.#grown, base.length > 400 ? `…${base.slice(-400)}` : base, added.map((piece) => h("mark", {}, piece)));
    this.again.disabled = !added.length;
    return text;
  }

  #rest() {
    this.#running = null;
    this.box.ariaBusy = "false";
  }

  /**
   * From stop to stop; where one fails, nothing stays after it that another text has drawn.
   * @param {string} text
   * @param {import("../lib/api.js").Options} options
   */
  async #walk(text, { signal, queued }) {
    let tokens = null;
    try {
      const opinion = call("next", { prompt: text, k: SHOWN }, { signal, queued });
      opinion.catch(() => {}); // heard below, once the tokens are drawn: a text too long to be read is still cut
      tokens = await call("tokens", { text }, { signal });
      this.#drawTokens(tokens);
      this.#prediction = await opinion;
      fill(this.field.troubles);
      this.#drawNext(this.#prediction);
    } catch (error) {
      if (error.name !== "AbortError") this.#clear({ strips: !tokens });
      throw error;
    }
    if (!this.#wished) {
      await this.#drawLayers(text, signal);
      return this.#drawPlane(tokens, signal); // last: it is as high as the others leave room for
    }
    this.#wished = false;
    return this.grow(0);
  }

  #clear({ strips = true } = {}) {
    this.bars.rows = [];
    this.#prediction = null;
    this.next.disabled = true;
    fill(this.field.troubles);
    fill(this.#points);
    this.#layers.pieces = [];
    for (const chapter of CHAPTERS) if (strips || chapter !== "tokens") fill(this.#say[chapter]);
    if (strips) this.#strip.pieces = [];
  }

  /** @param {Api.Tokens} tokens */
  #drawTokens({ tokens, count, characters }) {
    const cut = recurring(pieces(tokens.slice(-STRIP)));
    this.#strip.pieces = count > STRIP ? [{ text: "…", kind: "after" }, ...cut] : cut;
    const said = tr("home.tokens_said", { count, characters: tr("home.characters", { count: characters }) });
    fill(this.#say.tokens, withTerms(said));
  }

  /** @param {Api.Prediction} prediction */
  #drawNext({ candidates, vocabulary_size: vocabulary, entropy_bits: entropy, exact, seen }) {
    this.bars.rows = candidates.map((one, index) => ({
      label: named(one),
      value: one.probability / candidates[0].probability,
      text: percent(one.probability),
      marked: index === 0,
    }));
    const told = { vocabulary, entropy: bits(entropy, 1), choices: number(2 ** entropy, 0), seen: percent(seen) };
    const whole = entropy < SURE ? "home.next_sure" : "home.next_said";
    fill(this.#say.next, withTerms(tr(exact ? whole : "home.next_seen", told)));
    const count = this.#added.length;
    fill(this.#say.generate, withTerms(count ? tr("home.generate_said", { count }) : tr("home.generate_none")));
    this.next.disabled = !candidates.length;
  }

  /**
   * The guess after each layer, at the last token: from where on it is the one that stays.
   * @param {string} text
   * @param {AbortSignal | undefined} signal
   */
  async #drawLayers(text, signal) {
    if (this.#waits) return fill(this.#say.network, tr("home.no_layers")); // no server tells them
    try {
      const { layers } = await call("network", { prompt: text, k: 1, positions: [-1] }, { signal });
      const guesses = layers.map(({ layer, guesses: [guess] }) => ({ ...guess, layer }));
      this.#layers.pieces = guesses.map((guess) => ({ text: named(guess), weight: guess.probability,
        sub: String(guess.layer), hint: hinted(guess) }));
      fill(this.#say.network, withTerms(settling(guesses)));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#layers.pieces = [];
      fill(this.#say.network, error.code === "capability" ? tr("home.no_layers") : fault(error));
    }
  }

  /**
   * The words of the text as points, in the hues of their tokens: repeated words once, the last ones.
   * @param {Api.Tokens} tokens
   * @param {AbortSignal | undefined} signal
   */
  async #drawPlane(tokens, signal) {
    if (signal?.aborted) return; // the words of an older text
    const words = wordsOf(tokens).slice(-WORDS);
    if (words.length < 3) {
      fill(this.#say.embeddings, tr("home.more_words"));
      fill(this.#points);
      return;
    }
    try {
      const found = await call("embed", { words: words.map(([word]) => word) }, { signal });
      fill(this.#points);
      fill(this.#points, drawnPlane(found, new Map(words), this.#points));
      const [x, y] = found.explained_variance;
      const said = { width: found.shape[1], share: percent((x ?? 0) + (y ?? 0), 0) };
      fill(this.#say.embeddings, withTerms(tr("home.embeddings_said", said)));
    } catch (error) {
      if (error.name === "AbortError") return;
      const missing = error.code === "server_cannot";
      fill(this.#points, missing ? null : fault(error));
      fill(this.#say.embeddings, missing ? tr("home.no_vectors") : null);
    }
  }
}

/** @param {Api.PlaceGuess & { layer: number }} guess */
const hinted = (guess) =>
  tr("home.layer_hint", { layer: guess.layer, guess: named(guess), share: percent(guess.probability) });

/**
 * Since which layer the guess is the last one's.
 * @param {{ id: number, text: string, layer: number }[]} guesses
 */
function settling(guesses) {
  const last = guesses[guesses.length - 1];
  let settled = guesses.length - 1;
  while (settled && guesses[settled - 1].id === last.id) settled -= 1;
  const before = guesses[settled - 1];
  if (!before) return tr("home.layers_all", { guess: named(last) });
  return tr("home.layers_said", { guess: named(last), settled: guesses[settled].layer, other: named(before) });
}

/**
 * Words in the plane, as large as the room that `place` gives.
 * @param {Api.Embedding} found
 * @param {Map<string, number>} tones
 * @param {HTMLElement} place
 */
function drawnPlane({ words }, tones, place) {
  const points = words.map(({ word, x, y }) => ({ label: word, x, y, tone: tones.get(word) }));
  return plane(points, {
    label: tr("home.embeddings"),
    width: Math.min(480, Math.max(260, place.clientWidth)),
    height: Math.min(260, Math.max(150, place.clientHeight)),
  });
}

/**
 * [word, tone of its first token], each word once, at its last place.
 * @param {Api.Tokens} cut
 */
function wordsOf({ text, tokens, count }) {
  const encoder = new TextEncoder();
  const shown = Math.max(0, count - STRIP);
  const tones = recurring(pieces(tokens.slice(-STRIP))).map((piece) => piece.tone);
  /** @type {Map<string, number>} */
  const found = new Map();
  const from = tokens[shown]?.start ?? 0;
  let [bytes, before] = [0, 0];
  for (const match of text.matchAll(/[\p{L}\p{N}]+/gu)) {
    bytes += encoder.encode(text.slice(before, match.index)).length;
    before = match.index;
    if (bytes < from) continue;
    const at = tokens.findIndex((token, index) => index >= shown && token.end > bytes);
    found.delete(match[0]);
    found.set(match[0], tones[at - shown] ?? 0);
  }
  return [...found];
}
