// The whole road at one glance: text, tokens, vectors, probabilities, and a text that grows when a key is pressed.

import { fill, h } from "../lib/dom.js";
import { number, percent, tr } from "../lib/words.js";
import { call } from "../lib/api.js";
import * as state from "../lib/state.js";
import { fault, waiting } from "../parts/fault.js";
import { promptField } from "../parts/prompt.js";
import { pieces } from "../parts/pieces.js";
import { plane } from "../parts/plane.js";

const SHOWN = 8; // candidates

export default async function page(main, { door }) {
  const start = state.prompt.get() || tr("home.first_prompt");
  const strip = h("capot-strip");
  const points = h("div", { class: "plane" });
  const bars = h("capot-bars", { pick: true, onpick: (event) => grow(event.detail) });
  const grown = h("p", { class: "grown", "aria-live": "polite" });
  const told = ["tokens", "embeddings", "next", "generate"].map((name) => [name, h("p", { class: "quiet" })]);
  const say = Object.fromEntries(told);
  let running, prediction, base = start, added = [];

  const field = promptField({ heard: (text) => { [base, added] = [text, []]; look(); }, initial: start, delay: 200 });
  const stop = (chapter, ...content) => h("section", {}, h("h2", {}, h("a", { href: door(chapter), dataset: { chapter } }, tr(`home.${chapter}`))), content, say[chapter]);
  const next = h("button", { type: "button", class: "primary", onclick: () => grow(0) }, tr("home.press"));
  const again = h("button", { type: "button", onclick: () => { added = []; look(); } }, tr("home.restart"));
  main.append(h("p", {}, tr("home.lead")), field.box, h("div", { class: "road" },
    stop("tokens", strip), stop("embeddings", points), stop("next", bars),
    stop("generate", grown, h("p", { class: "row" }, next, again, h("span", { class: "quiet" }, tr("home.keys"))))));
  const keys = (event) => {
    const typing = event.target.closest?.("textarea, input, select, button, a");
    if (event.code === "Space" && !typing) { event.preventDefault(); grow(0); }
  };
  document.addEventListener("keydown", keys);
  look();

  /** Choose a candidate: it goes to the end of the text, and the road is walked again. */
  function grow(rank) {
    const chosen = prediction?.candidates[rank];
    if (!chosen || running) return;
    added.push(chosen.text);
    look();
  }

  async function look() {
    running?.abort();
    const control = running = new AbortController();
    for (const link of main.querySelectorAll("a[data-chapter]")) link.href = door(link.dataset.chapter, { prompt: base + added.join("") });
    fill(grown, base, added.map((text, index) => h("mark", { class: index === added.length - 1 ? "new" : "" }, text)));
    const text = base + added.join("");
    const note = waiting(field.troubles, tr("home.waiting"));
    try {
      if (!text) return clear();
      const [tokens, found] = await Promise.all([
        call("tokens", { text }, { signal: control.signal }),
        call("next", { prompt: text, k: SHOWN }, { signal: control.signal }),
      ]);
      fill(field.troubles);
      prediction = found;
      draw(tokens);
      drawPlane(tokens, control.signal);
    } catch (error) {
      if (error.name !== "AbortError") fill(field.troubles, fault(error, look));
    } finally {
      note.done();
      if (running === control) running = null;
    }
  }

  function clear() {
    [strip.pieces, bars.rows, prediction] = [[], [], null];
    fill(points);
    for (const line of Object.values(say)) line.textContent = "";
  }

  function draw(tokens) {
    strip.pieces = pieces(tokens.tokens).slice(0, 300);
    say.tokens.textContent = tr("home.tokens_said", { count: tokens.count, characters: tokens.characters });
    bars.rows = prediction.candidates.map((one, index) => ({ label: one.text === "" ? `id ${one.id}` : one.text.replaceAll(" ", "·").replaceAll("\n", "⏎"), value: one.probability, text: percent(one.probability), marked: index === 0 }));
    say.next.textContent = tr("home.next_said", { vocabulary: prediction.vocabulary_size, entropy: number(prediction.entropy_bits, 1), choices: number(2 ** prediction.entropy_bits, 0) });
    say.generate.textContent = tr("home.generate_said", { count: added.length });
  }

  /** The words of the text as points: repeated words once, at most twelve. */
  async function drawPlane(tokens, signal) {
    const words = [...new Set(tokens.text.match(/[\p{L}\p{N}]+/gu) ?? [])].slice(-12);
    if (words.length < 3) return fill(points, h("p", { class: "quiet" }, tr("home.more_words")));
    try {
      const found = await call("embed", { words }, { signal });
      fill(points, plane(found.words.map((word) => ({ label: word.word, x: word.x, y: word.y })), { label: tr("home.embeddings") }));
      say.embeddings.textContent = tr("home.embeddings_said", { width: found.shape[1], share: percent(found.explained_variance.slice(0, 2).reduce((a, b) => a + b, 0), 0) });
    } catch (error) {
      if (error.name !== "AbortError") fill(points, fault(error));
    }
  }

  return { leave: () => { running?.abort(); document.removeEventListener("keydown", keys); } };
}
