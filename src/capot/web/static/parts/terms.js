// The glossary, one hover, focus or tap away: terms in a sentence can be focused, and one tip says what they mean.

import { fill, h } from "../lib/dom.js";
import { glossary, lang, tr } from "../lib/words.js";

/** @type {{ lang: string | null, pattern: RegExp, names: Map<string, string> }} */
const known = { lang: null, pattern: /$^/g, names: new Map() };

function learn() {
  /** @type {[string, string][]} */
  const forms = Object.entries(glossary()).flatMap(([key, { forms: listed }]) =>
    listed.split("|").map((form) => /** @type {[string, string]} */ ([form.toLowerCase(), key])),
  );
  known.names = new Map(forms);
  const any = forms.map(([form]) => form).sort((a, b) => b.length - a.length).join("|");
  known.pattern = any ? new RegExp(`(?<![\\p{L}\\p{N}])(?:${any})(?![\\p{L}\\p{N}])`, "giu") : /$^/g;
  known.lang = lang();
}

/**
 * A sentence as nodes, its first mention of each term explained. Quoted words are left alone: they are the visitor's.
 * @param {string} text
 * @returns {Lab.Child[]}
 */
export function withTerms(text) {
  if (known.lang !== lang()) learn();
  /** @type {Lab.Child[]} */
  const nodes = [];
  const met = new Set();
  let from = 0;
  for (const found of text.replace(/“[^”]*”|«[^»]*»/g, (quoted) => " ".repeat(quoted.length)).matchAll(known.pattern)) {
    const key = known.names.get(found[0].toLowerCase());
    if (met.has(key)) continue;
    met.add(key);
    nodes.push(text.slice(from, found.index), term(found[0], key));
    from = found.index + found[0].length;
  }
  nodes.push(text.slice(from));
  return nodes;
}

/**
 * One word that is explained: by the glossary's `key`, or by `said`.
 * @param {string} word
 * @param {string | null | undefined} key
 * @param {string} [said]
 */
export function term(word, key, said) {
  return h(
    "span",
    {
      role: "button",
      tabindex: "0",
      class: "term",
      "aria-describedby": "tip",
      dataset: { said: said ?? glossary()[key ?? ""]?.said ?? "" },
    },
    word,
  );
}

/**
 * A question mark beside a label, which says `said`.
 * @param {string} label
 * @param {string} said
 */
export function help(label, said) {
  const mark = term("?", null, said);
  mark.classList.add("mark");
  mark.setAttribute("aria-label", tr("glossary_page.what_is", { term: label }));
  return mark;
}

/**
 * @param {EventTarget | null} target
 * @returns {target is HTMLElement}
 */
const isTerm = (target) => target instanceof HTMLElement && target.matches(".term");

/** The one tip of the lab: it shows beside the term under the pointer or in focus, and leaves with Escape. */
export function tip() {
  const box = h("div", { id: "tip", role: "tooltip", hidden: true });
  /** @type {HTMLElement | null} */
  let owner = null;
  /** @type {(word: HTMLElement) => void} */
  const show = (word) => {
    owner = word;
    fill(box, word.dataset.said);
    box.hidden = false;
    const [at, wide] = [word.getBoundingClientRect(), document.documentElement.clientWidth];
    const host = word.closest("dialog, main, header") ?? document.body;
    if (box.parentNode !== host) host.append(box);
    box.style.left = `${Math.max(8, Math.min(at.left, wide - box.offsetWidth - 8))}px`;
    const below = at.bottom + 4;
    box.style.top = `${below + box.offsetHeight < innerHeight ? below : Math.max(4, at.top - box.offsetHeight - 4)}px`;
  };
  const hide = () => { box.hidden = true; owner = null; };
  /** @type {(event: Event) => HTMLElement | null | undefined} */
  const within = ({ target }) => (target instanceof Element ? target.closest(".term, #tip") : null);
  document.addEventListener("pointerover", (event) => {
    const found = within(event);
    if (found?.matches(".term")) show(found);
    else if (!found && owner && owner !== document.activeElement) hide();
  });
  document.addEventListener("focusin", ({ target }) => (isTerm(target) ? show(target) : hide()));
  document.addEventListener("click", ({ target }) => { if (isTerm(target)) show(target); else hide(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && owner) { hide(); event.preventDefault(); }
    if (event.key === " " && isTerm(event.target)) event.preventDefault(); // it is no reason to scroll
  });
  addEventListener("scroll", hide, { passive: true });
  return box;
}
