// The chapters in order, with what has been visited; on a phone, the bar at the bottom.

import { h } from "../lib/dom.js";
import { lang, tr } from "../lib/words.js";
import { lab } from "../lib/lab.js";
import { inside } from "../lib/place.js";
import { chapterAddress } from "../lib/state.js";

export const CHAPTERS = ["home", "course", ...lab.chapters.map(({ name }) => name)];
const KEY = "capot-visited";

/**
 * The chapter that an address names.
 * @param {string} path
 */
export const chapterOf = (path) => (CHAPTERS.includes(inside(path).slice(1)) ? inside(path).slice(1) : "home");

/** @param {string} chapter */
const of = (chapter) => lab.chapters.find(({ name }) => name === chapter);

/**
 * A chapter's `name` or `question` in the reader's language; the road's are the page's own.
 * @param {string} chapter
 * @param {"name" | "question"} what
 */
export const titled = (chapter, what) => of(chapter)?.words[lang()][what] ?? tr(`chapters.${chapter}.${what}`);

/**
 * The module that draws a chapter: its own, or the one that draws any.
 * @param {string} chapter
 */
export const moduleOf = (chapter) => of(chapter)?.page ?? chapter;

/** The rail: `at(chapter)` marks where the visitor is; its links carry the prompt along. */
export function rail() {
  const visited = new Set((sessionStorage.getItem(KEY) ?? "").split(",").filter(Boolean));
  const said = CHAPTERS.map(() => h("span", { class: "offstage" }));
  const links = CHAPTERS.map((chapter, index) =>
    h(
      "a",
      { title: titled(chapter, "question"), dataset: { chapter } },
      h("span", { class: "dot", "aria-hidden": "true" }),
      titled(chapter, "name"),
      said[index],
    ),
  );
  // whole addresses: a link to "/#..." that is scrolled out of sight would pass for one that skips to a part of this
  // page
  const carry = () => {
    for (const link of links) link.href = location.origin + chapterAddress(link.dataset.chapter ?? "");
  };
  const box = h("nav", { class: "rail", "aria-label": tr("rail.label") }, links);
  /** @param {string} chapter */
  function at(chapter) {
    visited.add(chapter);
    sessionStorage.setItem(KEY, [...visited].join(","));
    for (const [index, link] of links.entries()) {
      const here = link.dataset.chapter === chapter;
      const seen = visited.has(link.dataset.chapter ?? "");
      link.classList.toggle("visited", seen);
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      said[index].textContent = seen && !here ? ` ${tr("rail.visited")}` : "";
      if (here && box.scrollWidth > box.clientWidth)
        box.scrollLeft = link.offsetLeft - (box.clientWidth - link.offsetWidth) / 2;
    }
    carry();
  }
  return { box, at, carry };
}
