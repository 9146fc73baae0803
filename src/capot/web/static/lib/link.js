// What a link asks for and its page cannot obey. One table says what each page's address may hold.

import { lab } from "./lab.js";

/** @typedef {(text: string) => boolean} Rule whether a setting can be obeyed as an address has it */

/** @type {Rule} */
const any = () => true;
/** @type {(...names: string[]) => Rule} */
const oneOf = (...names) => (text) => names.includes(text);
/** @type {(...names: string[]) => Rule} */
const someOf = (...names) => (text) => text.split(",").every((one) => names.includes(one));
/** @type {(pattern: RegExp) => Rule} */
const form = (pattern) => (text) => pattern.test(text);
/** @type {(least: number, most: number) => Rule} */
const whole = (least, most) => (text) => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most;

const COUNT = whole(0, Number.MAX_SAFE_INTEGER);
const NUMBER = form(/^\d+(\.\d+)?(e[+-]?\d+)?$/);
// What the page Generate writes of a tree (``story.js``) and of several texts; whose they are only the model tells.
const TREE = form(/^\d+:\d+:\d*:\d+(:[^:;]*)?(;\d+:\d+:\d*:\d+(:[^:;]*)?)*$/);
const ALL = form(/^\d+(:\d*(:[^:]*)?)?$/);
const HEADS = form(/^\d+(\.\d+)?(,\d+(\.\d+)?)*$/);
const PRECISIONS = ["fp32", "bf16", "fp8", "int8", "int4"];

/**
 * The sliders of a verb, each within its bounds; what is counted is whole.
 * @param {string} verb
 * @returns {Record<string, Rule>}
 */
const sliders = (verb) => Object.fromEntries(Object.entries(lab.sliders[verb] ?? {}).map(
  ([name, { min, max, step }]) => [name, within(min, max, step === 1)]));

/** @type {(least: number, most: number, counted: boolean) => Rule} */
const within = (least, most, counted) => (text) => {
  const value = text.trim() === "" ? NaN : Number(text);
  return value >= least && value <= most && (!counted || Number.isInteger(value));
};

/**
 * What the addresses of pages may hold, by page and setting; of a page that is not here nothing is known.
 * @type {Record<string, Record<string, Rule>>}
 */
const RULES = {
  home: {},
  card: {},
  tokens: { ids: oneOf("1"), compare: any, fr: any, en: any },
  embeddings: { view: oneOf("words", "context", "lens"), words: any, dimensions: oneOf("2", "3"), ...sliders("embed"),
    word: any, sentences: any, layer: COUNT },
  network: { at: form(/^\d+\.\d+$/), attention: form(/^\d+\.\d+$/), target: any, off: HEADS, by: oneOf("zero", "mean"),
    matrix: oneOf("1"), beside: any, put: form(/^((attention|mlp|head):)?\d+\.\d+(\.\d+)?$/), between: any,
    tried: oneOf("residual", "attention", "mlp", "head", "every"), toward: any, away: any, steered: COUNT,
    ...sliders("steer") },
  next: { view: oneOf("next", "score"), ...sliders("next"), k: whole(1, 100), as: oneOf("logits"), rank: any },
  score: {},
  generate: { view: oneOf("one", "all"), ...sliders("generate"), seed: COUNT, stop: any, tree: TREE,
    drawn: COUNT, on: COUNT, all: ALL, heats: any },
  memory: { lengths: any, mode: oneOf("last", "all"), axes: oneOf("log"), known: any, gpu: any,
    precision: someOf(...PRECISIONS), kv: oneOf(...PRECISIONS), users: any },
  assistant: { view: oneOf("ways", "talk"), ...sliders("generate"), seed: COUNT, stop: any, asked: any, talk: any,
    kind: oneOf("raw", "few_shot", "stopped", "chat_template"), template: any, chat_template: any, system: any,
    price_in: NUMBER, price_out: NUMBER },
  course: { lesson: COUNT },
};

const LONGEST = 20; // characters of a setting's name that are shown; what a link says is not for the page to repeat

/**
 * A page found out only with its model's answer which settings it cannot obey: the frame says so under its question.
 * @param {...string} names
 */
export function cannotObey(...names) {
  if (names.length) document.dispatchEvent(new CustomEvent("capot-disobeyed", { detail: names }));
}

/**
 * The names of the settings of an address that its page does not obey, as far as the address alone tells.
 * @param {string} chapter
 * @param {Record<string, string>} address
 */
export function disobeyed(chapter, address) {
  if (!RULES[chapter]) return [];
  /** @type {Record<string, Rule>} */
  const known = { prompt: any, question: any, ...RULES[chapter] }; // texts follow the visitor to every page
  return Object.entries(address)
    .filter(([name, text]) => !known[name]?.(text))
    .map(([name]) => (name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name));
}
