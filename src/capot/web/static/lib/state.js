// What a page shows, kept in the fragment of its address: never sent, never logged, restored by a link.
// What is too long for an address is kept in the tab instead, and a file is offered in the link's place.

import { inside, root } from "./place.js";

const LIMIT = 8000; // characters of a fragment that every browser and mail program carries
const PROMPT = "capot-prompt";
const QUESTION = "capot-question";
const SETTINGS = "capot-settings";
const CHOICE = ["temperature", "top_k", "top_p", "min_p"];
// what means the same there
/** @type {Record<string, string[]>} */
const CHOOSING = { next: CHOICE, generate: [...CHOICE, "seed"], assistant: [...CHOICE, "seed"] };

// the page on show; one that is being left, by the Back button, no longer owns the address
let shown = location.pathname;

/** The page of this address is the one on show from now on; the texts of a link become the tab's, for other pages. */
export function own() {
  shown = location.pathname;
  const here = read();
  if (here.prompt !== undefined && inside(shown) !== "/assistant") keep(PROMPT, here.prompt);
  if (here.question !== undefined) keep(QUESTION, here.question);
}

/** @param {string} path */
const store = (path) => `capot-long:${path}`;

/** @returns {Record<string, string>} */
function longOnes(path = location.pathname) {
  try {
    return JSON.parse(sessionStorage.getItem(store(path)) ?? "{}");
  } catch {
    return {};
  }
}

/**
 * @param {string} name
 * @param {string} text
 */
function keep(name, text) {
  try {
    sessionStorage.setItem(name, text);
  } catch {
    sessionStorage.removeItem(name); // the tab's own room is full: the page still shows it, a reload will not
  }
}

/**
 * The state as an object of strings.
 * @returns {Record<string, string>}
 */
export function read() {
  return { ...longOnes(), ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
}

/**
 * Part a state in what an address carries and what it cannot, the longest values first.
 * @param {Record<string, string>} state
 * @returns {[string, Record<string, string>]}
 */
function parted(state) {
  const short = { ...state };
  /** @type {Record<string, string>} */
  const long = {};
  while (new URLSearchParams(short).toString().length > LIMIT) {
    const name = Object.keys(short).reduce((a, b) => (short[a].length >= short[b].length ? a : b));
    long[name] = short[name];
    delete short[name];
  }
  return [new URLSearchParams(short).toString(), long];
}

/**
 * Change some of the state; empty values leave it. Whether an address holds all of it.
 * @param {Record<string, string | number | null | undefined>} changes
 */
export function write(changes, { push = false } = {}) {
  if (location.pathname !== shown) return fits();
  const state = read();
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === "") delete state[name];
    else state[name] = String(value);
  }
  const [text, long] = parted(state);
  keep(store(location.pathname), JSON.stringify(long));
  const address = location.pathname + (text ? `#${text}` : "");
  if (address !== location.pathname + location.hash) history[push ? "pushState" : "replaceState"](null, "", address);
  document.dispatchEvent(new CustomEvent("capot-state"));
  return fits();
}

/** Whether the address alone restores what the page shows. */
export const fits = () => Object.keys(longOnes()).length === 0;

/**
 * A text that follows the visitor, in the address as `name` and in the tab, even where it is too long for an address.
 * @param {string} name
 * @param {string} place
 * @returns {Lab.Carried}
 */
function carried(name, place) {
  return {
    get: () => read()[name] ?? sessionStorage.getItem(place) ?? "",
    known: () => read()[name] !== undefined || sessionStorage.getItem(place) !== null,
    set(text) {
      keep(place, text);
      return write({ [name]: text });
    },
  };
}

/** The text to continue, from page to page. */
export const prompt = carried("prompt", PROMPT);

/** The assistant's own: a question is no text to continue. */
export const question = carried("question", QUESTION);

/**
 * The page's own state: what a chapter's parts read and write, where the page is theirs.
 * @type {Lab.Desk}
 */
export const page = { whole: true, read, write, prompt };

/**
 * A state in memory alone, of a part that stands in a page which is not its own. `onChange` is called when it changes.
 * @param {Record<string, unknown>} values
 * @param {() => unknown} onChange
 * @returns {Lab.Desk}
 */
export function apart(values, onChange) {
  /** @type {Record<string, string>} */
  const held = {};
  const put = (/** @type {Record<string, unknown>} */ changes) => {
    let changed = false;
    for (const [name, value] of Object.entries(changes)) {
      const text = value === undefined || value === null ? "" : String(value);
      changed ||= text !== (held[name] ?? "");
      if (text) held[name] = text;
      else delete held[name];
    }
    return changed;
  };
  put(values);
  const tell = (/** @type {Record<string, unknown>} */ changes) => {
    if (put(changes)) onChange();
    return true;
  };
  const set = (/** @type {string} */ prompt) => tell({ prompt });
  const text = { get: () => held.prompt ?? "", known: () => true, set };
  return { whole: false, read: () => ({ ...held }), write: tell, prompt: text };
}

/**
 * How a token is chosen, as it was set on the last page that asks for it.
 * @returns {Record<string, string | undefined>}
 */
function settings() {
  const kept = JSON.parse(sessionStorage.getItem(SETTINGS) ?? "{}");
  const names = location.pathname === shown ? CHOOSING[inside(shown).slice(1)] : null;
  if (!names) return kept;
  const here = read();
  for (const name of names) kept[name] = here[name]; // JSON leaves out what is not set
  keep(SETTINGS, JSON.stringify(kept));
  return kept;
}

/** @type {string | null} */
let grown = null;

/**
 * What the home page's text has become: every link to a chapter carries it, and home keeps what was typed.
 * @param {string | null} text
 */
export function grow(text, { left = false } = {}) {
  if (left && grown !== null) keep(PROMPT, grown); // too long for an address, it is still where the next page begins
  grown = text;
  document.dispatchEvent(new CustomEvent("capot-state"));
}

/**
 * The address of a chapter, the text carried along where it is short enough (the tab carries it anyway), and the
 * settings.
 * @param {string} chapter
 */
export function chapterAddress(chapter) {
  const params = new URLSearchParams();
  const name = chapter === "assistant" ? "question" : "prompt";
  if (chapter === "course") return `${root}/course`; // its instruments have texts of their own
  const text = chapter === "assistant" ? question.get() : (chapter === "home" ? null : grown) ?? prompt.get();
  if (text && text.length < LIMIT / 4) params.set(name, text);
  const set = settings();
  for (const one of CHOOSING[chapter] ?? []) {
    const value = set[one];
    if (value !== undefined) params.set(one, value);
  }
  const query = params.toString();
  return `${root}/${chapter === "home" ? "" : chapter}${query ? `#${query}` : ""}`;
}

/** A state as a file, for what no address can hold; `restore` reads it back. */
export function asFile() {
  const state = { ...read(), prompt: prompt.get() };
  return new Blob([JSON.stringify({ capot: 1, path: inside(location.pathname), state }, null, 1)], {
    type: "application/json",
  });
}

/**
 * The address that shows what `file` holds. Throws where it is no state of ours.
 * @param {File} file
 */
export async function restore(file) {
  const saved = JSON.parse(await file.text());
  if (saved?.capot !== 1 || typeof saved.state !== "object" || !/^\/[a-z]*$/.test(saved.path))
    throw new Error("not a state");
  const state = Object.fromEntries(Object.entries(saved.state).map(([name, value]) => [name, String(value)]));
  const [text, long] = parted(state);
  keep(PROMPT, state.prompt ?? "");
  keep(store(root + saved.path), JSON.stringify(long));
  return root + saved.path + (text ? `#${text}` : "");
}
