// Words and numbers in the reader's language; the same rules as i18n.py.

import { root } from "./place.js";

/** @type {{ lang: Lab.Language, table: Lab.Words }} */
const words = { lang: "en", table: {} };

/** @type {[number, string][]} */
const SIZES = [[4, "T"], [3, "G"], [2, "M"], [1, "k"]];
/** @type {[number, string][]} */
const AMOUNTS = [[1e9, "billion"], [1e6, "million"], [1e3, "thousand"]];

/** @type {Lab.Language[]} */
export const LANGUAGES = ["fr", "en"];
export const lang = () => words.lang;

/** The language to speak: chosen before, else the browser's, else English. */
export function preferred() {
  const asked = [localStorage.getItem("capot-lang") ?? "", ...navigator.languages];
  const spoken = asked.map((name) => name.slice(0, 2).toLowerCase());
  return spoken.map((name) => LANGUAGES.find((one) => one === name)).find(Boolean) ?? "en";
}

/**
 * Fetch the catalogue of a language and speak it from now on.
 * @param {Lab.Language} name
 */
export async function speak(name) {
  const answer = await fetch(`${root}/api/words/${name}`);
  words.table = (await answer.json()).result;
  words.lang = name;
  document.documentElement.lang = name;
}

/**
 * Choose a language for good.
 * @param {Lab.Language} name
 */
export function choose(name) {
  localStorage.setItem("capot-lang", name);
}

/**
 * What there is in each language, { fr: [], en: [] }, as one list: the reader's own first.
 * @type {<T>(lists: Record<Lab.Language, T[]>) => T[]}
 */
export const ownFirst = (lists) =>
  LANGUAGES.toSorted((a, b) => Number(b === words.lang) - Number(a === words.lang)).flatMap((name) => lists[name]);

/** The terms of the field: { key: { name, forms, said } }. */
export const glossary = () => /** @type {Record<string, Lab.Term>} */ (words.table.glossary ?? {});

/**
 * What the catalogue has under a key: a sentence, its two plurals, or all that stands below.
 * @param {string} key
 */
function entryOf(key) {
  /** @type {string | Lab.Words | undefined} */
  let found = words.table;
  for (const part of key.split(".")) found = typeof found === "object" ? found[part] : undefined;
  return found;
}

/**
 * Whether the catalogue has a sentence for a key.
 * @param {string} key
 */
export const has = (key) => entryOf(key) !== undefined;

/**
 * The sentence of a key, its placeholders filled; numbers are written in the language. `count` chooses a plural,
 * and {tokens:token|tokens} is a number with the word that agrees with it.
 * @param {string} key
 * @param {Record<string, string | number | null | undefined>} [params]
 */
export function tr(key, params = {}) {
  let entry = entryOf(key);
  if (typeof entry === "object" && "other" in entry) {
    entry = single(params.count) ? entry.one : entry.other;
  }
  if (typeof entry !== "string") return key;
  return entry.replace(/\{(\w+)(?::([^{}|]*)\|([^{}|]*))?\}/g, (_, name, one, other) => {
    const value = params[name];
    const written = typeof value === "number" ? number(value) : String(value ?? "");
    return one === undefined ? written : `${written} ${single(value) ? one : other}`;
  });
}

/**
 * Whether a word after this number is in the singular: 0 and 1.5 in French, 1 alone in English.
 * @param {string | number | null | undefined} value
 */
export function single(value) {
  const count = Math.abs(typeof value === "string" ? unwritten(value) : Number(value));
  return words.lang === "fr" ? count < 2 : count === 1;
}

/**
 * A number with thousands parted; `digits` after the point, else as many as it needs (4 at most).
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export function number(value, digits) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const needed = digits ?? (Number.isInteger(value) ? 0 : 4);
  let text = Math.abs(value).toFixed(needed);
  if (digits === undefined && needed) text = text.replace(/0+$/, "").replace(/\.$/, "");
  let [whole, part] = text.split(".");
  whole = whole.replace(/\B(?=(\d{3})+(?!\d))/g, words.lang === "fr" ? "\u202f" : ",");
  const sign = value < 0 && Number(text) !== 0 ? "\u2212" : "";
  return sign + whole + (part ? (words.lang === "fr" ? "," : ".") + part : "");
}

const THOUSANDS = /^-?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$/; // of an English page: 1,500 is not one and a half

/**
 * The number that a reader of either language has written, NaN where it is none.
 * @param {string} text
 */
export function unwritten(text) {
  const bare = text.replace(/[\s\u00a0\u202f]/g, "").replace("\u2212", "-");
  const plain = words.lang === "en" && THOUSANDS.test(bare) ? bare.replaceAll(",", "") : bare.replace(",", ".");
  return plain === "" ? NaN : Number(plain);
}

/**
 * A number as a field holds it: every digit, none of them parted from the others.
 * @param {number} value
 */
export const typed = (value) => (words.lang === "fr" ? String(value).replace(".", ",") : String(value));

const [TINY, NEARLY] = [1e-6, 0.9995]; // shares: less is told as less; from here on three digits would say 100

/**
 * A share of one as a percentage, in three significant digits or with `digits` after the point. Without `digits`, what
 * is not 0 is never written as 0, nor what is not the whole as the whole.
 * @param {number} share
 * @param {number} [digits]
 * @returns {string}
 */
export function percent(share, digits) {
  if (digits === undefined && share > 0 && share < TINY) return `< ${percent(TINY, 4)}`;
  return number(100 * share, digits ?? decimals(share)) + (words.lang === "fr" ? "\u00a0" : "") + "%";
}

/**
 * How many decimals give three significant digits, or else the first one that is no 9; one at least.
 * @param {number} share
 */
function decimals(share) {
  if (share >= NEARLY && share <= 1 - TINY) return Math.ceil(-Math.log10(100 * (1 - share)));
  const rounded = Math.abs(Number((100 * share).toPrecision(3)));
  return rounded > 0 && rounded < Infinity ? Math.max(1, 2 - Math.floor(Math.log10(rounded))) : 1;
}

/**
 * A number of bytes with a decimal unit (GB = 10^9 bytes).
 * @param {number} count
 */
export function size(count) {
  const letter = words.lang === "fr" ? "o" : "B";
  for (const [power, prefix] of SIZES) {
    if (Math.abs(count) >= 1000 ** power) {
      const scaled = count / 1000 ** power;
      const digits = Math.abs(scaled) < 10 ? 2 : Math.abs(scaled) < 100 ? 1 : 0;
      return `${number(scaled, digits)}\u00a0${prefix}${letter}`;
    }
  }
  return `${number(count, 0)}\u00a0${letter}`;
}

/** Bits of entropy below which a choice is as good as made; as in next/result.py. */
export const SURE = 0.5;

/**
 * An amount of information with its unit.
 * @param {number} value
 * @param {number} digits
 */
export const bits = (value, digits) =>
  tr("units.bit", { count: Number(value.toFixed(digits)), n: number(value, digits) });

/**
 * A time in the unit that suits it.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds >= 120) {
    return `${Math.floor(seconds / 60)}\u00a0min\u00a0${String(Math.floor(seconds) % 60).padStart(2, "0")}\u00a0s`;
  }
  if (seconds >= 1) return `${number(seconds, 2)}\u00a0s`;
  if (seconds >= 1e-3) return `${number(seconds * 1e3, 1)}\u00a0ms`;
  return `${number(seconds * 1e6, 0)}\u00a0µs`;
}

/**
 * A number of parameters as short as a table wants it: 7.9M, 1.24B; 7,9 M, 1,24 Md.
 * @param {number} count
 */
export function amount(count) {
  for (const [scale, unit] of AMOUNTS) {
    if (count >= scale) {
      const scaled = count / scale;
      return tr(`units.${unit}`, { n: number(scaled, scaled < 10 ? 2 : scaled < 100 ? 1 : 0) });
    }
  }
  return number(count);
}
