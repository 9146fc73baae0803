// A text as a tree of lines. Each line leaves its parent at a token, by another token or by other settings, and is
// a function of where it leaves, of its settings and of the one seed: so a link holds the tree, and a reload keeps it.

import { begun } from "./line.js";

const KEY = "capot-story";
const NAMES = /** @type {const} */ (["temperature", "top_k", "top_p", "min_p"]);
const MOST = 100; // lines of a link that are grown again

/**
 * The tree of `prompt`, empty.
 * @param {string} prompt
 * @returns {Lab.Story}
 */
export const blank = (prompt) => ({ prompt, base: null, lines: [], current: null });

/**
 * A line that leaves `parent` before its token `at`; `token` is taken instead, where one is given.
 * @param {Lab.Story} story
 * @param {{
 *   parent?: Lab.Branch | null, at?: number, token?: Api.Step | null, sampling: Lab.Sampling, seed?: number,
 *   left: number,
 * }} how
 * @returns {Lab.Branch}
 */
export function leave(story, { parent = null, at = 0, token = null, sampling, seed, left }) {
  const tokens = parent ? [...parent.tokens.slice(0, at), ...(token ? [token] : [])] : [];
  const line = Object.assign(
    begun(story.prompt, { sampling, seed: seed ?? parent?.seed, left, base: parent?.base ?? null, tokens }),
    { parent, at, token, number: story.lines.length + 1 },
  );
  story.lines.push(line);
  story.current = line;
  return line;
}

/**
 * The line whose own the token `at` of `line` is: before a line leaves its parent its tokens are the parent's.
 * @param {Lab.Branch} line
 * @param {number} at
 */
export function owner(line, at) {
  let found = line;
  while (found.parent && (at < found.at || (at === found.at && found.token))) found = found.parent;
  return found;
}

/**
 * Another token of a step as a step of its own.
 * @param {Api.Step} step
 * @param {Api.Alternative} other
 * @returns {Api.Step}
 */
export const instead = (step, other) => ({
  ...step,
  id: other.id,
  label: other.label,
  token_text: other.text,
  text: other.text,
  probability: other.probability,
  logprob: Math.log(other.probability),
  rank: step.alternatives.indexOf(other) + 1,
  chance: other.probability,
  seconds: 0,
});

/**
 * Whether two settings choose alike.
 * @param {Lab.Sampling} a
 * @param {Lab.Sampling} b
 */
export const alike = (a, b) =>
  NAMES.every((name) => a[name] === b[name]) && (a.stop?.[0] ?? "") === (b.stop?.[0] ?? "");

/**
 * Keep the tree for a reload of this tab, its shared beginnings once.
 * @param {Lab.Story} story
 * @param {string} model
 */
export function keep(story, model) {
  const lines = story.lines.map((line) => ({
    ...line,
    parent: line.parent?.number ?? 0,
    tokens: line.tokens.slice(line.parent ? line.at : 0),
    base: null,
    result: null,
    view: null,
  }));
  const { prompt, base, current } = story;
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ model, prompt, base, current: current?.number, lines }));
  } catch {
    sessionStorage.removeItem(KEY); // too long a tree for the browser: the link still has it
  }
}

/**
 * The tree of this prompt and model that this tab kept, else null.
 * @param {string} prompt
 * @param {string} model
 * @returns {Lab.Story | null}
 */
export function kept(prompt, model) {
  const saved = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  if (saved?.prompt !== prompt || !saved.lines.length || (model && saved.model && saved.model !== model)) return null;
  const story = { ...blank(prompt), base: saved.base };
  for (const line of saved.lines) {
    const parent = story.lines[line.parent - 1] ?? null;
    const tokens = [...(parent?.tokens.slice(0, line.at) ?? []), ...line.tokens];
    story.lines.push({ ...line, parent, base: saved.base, tokens });
  }
  story.current = story.lines[saved.current - 1] ?? story.lines[0];
  return story;
}

/**
 * Settings in a link: four numbers, then the stop string where there is one, with no sign that parts what is around it.
 * @param {Lab.Sampling} sampling
 */
export function settled(sampling) {
  const [stop] = sampling.stop ?? [];
  return [...NAMES.map((name) => sampling[name]), ...(stop ? [encodeURIComponent(stop)] : [])].join(",");
}

/**
 * The settings that `settled` wrote; `otherwise` where a link has none.
 * @param {string | undefined} text
 * @param {Lab.Sampling} otherwise
 * @returns {Lab.Sampling}
 */
export function unsettled(text, otherwise) {
  if (!text) return otherwise;
  const [stop, numbers] = [text.split(",")[NAMES.length], text.split(",").slice(0, NAMES.length).map(Number)];
  if (numbers.length < NAMES.length || numbers.some((value) => !Number.isFinite(value))) return otherwise;
  const [temperature, top_k, top_p, min_p] = numbers;
  return { temperature, top_k, top_p, min_p, ...(stop ? { stop: [decodeURIComponent(stop)] } : {}) };
}

/**
 * For each line parent, place, token taken, tokens drawn, and the settings it was drawn with: the first line's always.
 * @param {Lab.Story} story
 */
function written({ lines }) {
  const [first] = lines;
  const own = (/** @type {Lab.Branch} */ line) =>
    (line !== first && alike(line.sampling, first.sampling) ? [] : [settled(line.sampling)]);
  return lines
    .map((line) => [line.parent?.number ?? 0, line.at, line.token?.id ?? "", line.drawn, ...own(line)].join(":"))
    .join(";");
}

/**
 * Whether an address holds this very tree.
 * @param {Lab.Story} story
 * @param {Record<string, string>} address
 */
export const linked = (story, { tree, drawn }) => written(story) === tree && String(story.lines[0].seed) === drawn;

/**
 * The tree in the address, or wherever a desk keeps it.
 * @param {Lab.Story} story
 * @param {Lab.Desk} desk
 */
export function inAddress(story, desk) {
  const [first] = story.lines;
  if (!first?.tokens.length) return desk.write({ tree: "", drawn: "", on: "" });
  const on = story.current === first ? "" : story.current?.number;
  return desk.write({ tree: written(story), drawn: first.seed, on });
}

/**
 * Grow the tree that an address holds, line after line: `grow(story, line)` settles when a line has what it had.
 * { story, whole, lost }: whether all of it is there, and the settings that are of another model's tree.
 * @param {string} prompt
 * @param {Record<string, string>} address
 * @param {{ sampling: Lab.Sampling, grow: (story: Lab.Story, line: Lab.Branch) => Promise<boolean> }} how
 */
export async function regrow(prompt, { tree, drawn, on }, { sampling, grow }) {
  const story = blank(prompt);
  let first = sampling; // of a link that says no settings: those beside the text
  for (const text of tree.split(";").slice(0, MOST)) {
    const [, , , count, own] = text.split(":");
    const place = leaving(story, text);
    if (!place) return { story: shown(), whole: false, lost: ["tree"] };
    const settings = unsettled(own, first);
    if (!story.lines.length) first = settings;
    const left = Number(count) || 0;
    const line = leave(story, { ...place, sampling: settings, seed: Number(drawn), left });
    if (!(await grow(story, line))) return { story: shown(), whole: false, lost: [] };
    story.base ??= line.base;
  }
  return { story: shown(), whole: true, lost: on && !story.lines[Number(on) - 1] ? ["on"] : [] };

  function shown() {
    story.current = story.lines[Number(on) - 1] ?? story.lines[0] ?? null;
    return story;
  }
}

/**
 * Where a line of a link leaves which other, and by which token; null where it is another model's tree.
 * @param {Lab.Story} story
 * @param {string} text
 */
function leaving(story, text) {
  const [number, place, id] = text.split(":");
  const [parent, at] = [story.lines[Number(number) - 1] ?? null, Number(place)];
  if (Number(number) && !parent) return null;
  if (id === "") return { parent, at, token: null };
  const step = parent?.tokens[at];
  const other = step?.alternatives.find((one) => one.id === Number(id));
  return step && other ? { parent, at, token: instead(step, other) } : null;
}
