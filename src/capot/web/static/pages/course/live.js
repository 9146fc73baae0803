// The chapters' own instruments, in a lesson: a text that is written as one watches, bars with their temperature,
// a text cut as one types, words in a plane, answers as they come. The lesson's call comes first; from there they are
// the learner's.

import { h, fill } from "../../lib/dom.js";
import { callDrawn } from "../../lib/api.js";
import { apart } from "../../lib/state.js";
import { tr } from "../../lib/words.js";
import { Awaited } from "../../parts/awaited.js";
import { blocks, ofKind } from "../../parts/blocks.js";
import { promptField } from "../../parts/prompt.js";
import { Trying } from "../card/trying.js";
import { words } from "../embeddings/words.js";
import { controls } from "../generate/controls.js";
import { one } from "../generate/one.js";
import { axes } from "../memory/axes.js";
import { computed } from "../memory/computed.js";
import { Network } from "../network.js";
import { Next } from "../next.js";
import { cutting } from "../tokens.js";
import { common } from "./common.js";
import { asking, measuring, shown, talking } from "./streamed.js";

const CARDS = ["gpu", "precision", "kv_precision", "users_at"];
const SAMPLING = ["temperature", "top_k", "top_p", "min_p"];

/**
 * @typedef {import("./streamed.js").Live} Live
 * @typedef {import("./streamed.js").Played} Played
 * @typedef {import("./streamed.js").How} How
 */

/**
 * What a learner can move in each, and what else it takes.
 * @type {Record<string, { moves: string[], takes: string[], made: (call: Lab.LessonCall, how: How) => Live }>}
 */
const LIVE = {
  generate: { moves: ["prompt", "max_new_tokens", "seed", ...SAMPLING], takes: ["alternatives"], made: writing },
  next: { moves: ["prompt", ...SAMPLING], takes: ["k", "rank", "beside"], made: predicting },
  tokens: { moves: ["text"], takes: ["compare"], made: cut },
  embed: { moves: ["words", "dimensions", "near"], takes: [], made: placed },
  assistant: { moves: ["question", "max_new_tokens", "seed", "after_stop", ...SAMPLING], takes: [], made: asking },
  chat: { moves: [], takes: ["messages", "max_new_tokens", "seed", ...SAMPLING], made: talking },
  memory: { moves: [], takes: ["tokens", "mode", "simulate"], made: measuring },
  computed: { moves: ["known", "mode", ...CARDS], takes: ["tokens", "simulate"], made: onPaper },
  network: { moves: ["prompt", "target", "attention"], takes: ["k", "positions"], made: inside },
  card: { moves: [], takes: ["known"], made: weighed },
};

/**
 * A chapter's instrument for a call; null where it has none, or where the call asks for more than it can be told.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live | null}
 */
export function live(call, how) {
  const known = LIVE[call.verb === "memory" && call.arguments.simulate ? "computed" : call.verb];
  if (!known || (how.vary && !known.moves.includes(how.vary))) return null;
  const isKnown = Object.keys(call.arguments).every((name) => [...known.moves, ...known.takes].includes(name));
  return isKnown ? known.made(call, how) : null;
}

/**
 * What calls of these verbs say; of a verb, its own alone.
 * @typedef {{
 *   prompt: string, text: string, words: string[], rank?: string[], compare?: string[], near?: number,
 *   dimensions?: number, alternatives?: number, k?: number, positions?: number[],
 *   target?: string, attention?: string,
 * }} Given
 * @param {Lab.LessonCall} call
 */
const given = (call) => /** @type {Given} */ (/** @type {unknown} */ (call.arguments));

/**
 * Predict, draw, append: the text comes token by token.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
function writing(call, { model, vary, changed, onChange }) {
  const { prompt, alternatives: _, ...start } = given(call);
  const facts = h("div");
  const { ask, box: troubles, stop } = asker(call);
  const desk = apart({ prompt, ...start }, () => { fill(facts); changed(); });
  const settings = controls({ desk });
  const field = promptField({ onChange: () => {}, own: desk.prompt, rows: 1 });
  const made = one({ field, settings, name: () => model, handed: null, desk, onChange });
  const folded = h("details", { open: Boolean(vary) }, h("summary", {}, tr("course.settings")), field.box,
    settings.box);
  const run = async () => {
    const { result, view, reason } = await made.begin();
    if (reason === "error") return null;
    const whole = result && view && reason !== "interrupted";
    const played = whole ? { result, view } : await ask(); // cut in the middle
    if (played) fill(facts, blocks(ofKind(played.view, "facts")));
    return played;
  };
  const leave = () => {
    stop();
    made.leave();
  };
  return { box: h("div", {}, folded, made.box, troubles, facts), run, stop: leave, page: shown(made) };
}

/**
 * The bars with the temperature under the learner's hand; what else the lesson asks for is told beneath, until the text
 * is another.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
function predicting(call, { model, changed, onChange }) {
  const { prompt, rank = [], ...settings } = given(call);
  const rest = h("div");
  const desk = apart({ prompt, rank: rank[0], ...settings }, () => {
    if (desk.read().prompt !== prompt) fill(rest);
    changed();
  });
  const made = new Next(model, { desk, onChange });
  const { ask, box: troubles, stop } = asker(call);
  const run = async () => {
    const played = await ask();
    if (!played) return null;
    const said = played.view.filter((block) => block.block === "table" && block.title);
    await made.start();
    fill(rest, blocks(said));
    return played;
  };
  return { box: h("div", {}, troubles, made.box, rest), run, page: shown(made), stop: () => { stop(); made.stop(); } };
}

/**
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
function cut(call, { model, changed, onChange }) {
  const { text, compare = [] } = given(call);
  const facts = h("div");
  const desk = apart({ prompt: text }, () => { fill(facts); changed(); });
  const asked = (/** @type {string} */ typed, /** @type {AbortSignal} */ signal) =>
    callDrawn("tokens", { text: typed, compare }, { signal });
  const made = cutting(model, { asked, desk, onChange });
  const box = h("div", {}, made.box, compare.length ? made.others : null, facts);
  const run = async () => {
    const played = await made.start();
    if (played) fill(facts, blocks(ofKind(played.view, "facts")));
    return played;
  };
  return { box, run, stop: made.stop, page: shown(made) };
}

/**
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
function placed(call, { model, changed, onChange }) {
  const { words: some, ...settings } = given(call);
  const desk = apart({ words: some.join(","), near: settings.near, dimensions: settings.dimensions }, changed);
  const made = words(model, { desk, onChange });
  return byItself(made, () => made.start());
}

/**
 * Memory computed: another model, other cards, other users.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
function onPaper(call, { model, vary, changed, onChange }) {
  const asked = /** @type {Api.MemoryRequest} */ (/** @type {unknown} */ (call.arguments));
  const { kv_precision: kv, users_at: users, simulate: _, ...rest } = asked;
  const desk = apart({ ...rest, kv, users }, changed);
  const fits = Boolean(vary) || CARDS.some((name) => name in asked);
  const made = computed(model, axes(desk), { desk, onChange, fits, open: CARDS.includes(vary ?? "") });
  return byItself(made, () => made.start(asked));
}

/**
 * The card, and under it its sum: another number format, another length of text; another shape where the lesson's call
 * shows the published ones.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
function weighed(call, { model, onChange }) {
  const made = common(call, { model, onChange });
  const own = new Trying(model, { published: Boolean(call.arguments.known) });
  const run = async () => {
    const played = await made.run();
    if (played) own.start(/** @type {Api.Card} */ (played.result));
    return played;
  };
  return { ...made, box: h("div", {}, made.box, own.box), run, stop: () => { made.stop(); own.stop(); } };
}

/**
 * The guess after each layer; folded beneath, what the heads read, parts to switch off, what adds up to a logit.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
function inside(call, { model, changed, onChange }) {
  const { prompt, target, attention, k, positions } = given(call);
  const desk = apart({ prompt, target, attention }, changed);
  const made = new Network(model, { desk, onChange });
  const { ask, box: troubles, stop } = asker(call);
  const run = async () => {
    const played = await ask();
    if (!played) return null;
    await made.look();
    return played;
  };
  const page = () => {
    const one = made.page();
    if (!one) return null;
    const rest = { ...(k === undefined ? {} : { k }), ...(positions === undefined ? {} : { positions }) };
    return { verb: call.verb, arguments: { ...one.arguments, ...rest } };
  };
  const box = h("div", {}, troubles, made.parts);
  return { box, run, page, stop: () => { stop(); made.leave(); } };
}

/**
 * An instrument whose own answer is the lesson's.
 * @param {{ box: HTMLElement, stop: () => unknown, page: () => unknown, view: () => Api.Block[] }} made
 * @param {() => Promise<object | null | void>} start
 * @returns {Live}
 */
function byItself(made, start) {
  const run = async () => {
    const result = await start();
    return result ? { result, view: made.view() } : null;
  };
  return { box: made.box, run, stop: made.stop, page: shown(made) };
}

/**
 * A lesson's own call, said where it waits or fails.
 * @param {Lab.LessonCall} call
 */
function asker(call) {
  const box = h("div", { class: "troubles" });
  const awaited = new Awaited(box);
  const verb = /** @type {"next"} */ (call.verb);
  /** @type {() => Promise<Played | null>} */
  const ask = () => awaited.ask((how) => callDrawn(verb, given(call), how), { again: ask });
  return { ask, box, stop: () => awaited.stop() };
}
