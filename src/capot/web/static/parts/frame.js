// A picture with its two sentences, and, folded under it: the table, the Python, the command, what to take away.

import { fill, h, later } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { copy, csv, save } from "../lib/keep.js";
import { drawing, png } from "../lib/drawing.js";
import { raw } from "../lib/api.js";
import * as state from "../lib/state.js";
import { fault, waiting } from "./fault.js";
import { withTerms } from "./terms.js";

const ROWS = 500; // of a table that a page draws; the files hold them all
/** @typedef {"table" | "python" | "command" | "keep"} Kind */
/** @type {Kind[]} */
const KINDS = ["table", "python", "command", "keep"];

/**
 * Asks for one of the facts of a picture.
 * @typedef {<Kind extends keyof Lab.Facts>(kind: Kind) => Lab.Plain<Lab.Facts[Kind]>} Asked
 */

/**
 * A frame around `picture`. `update({ caption, table: { columns, rows }, python, command, json, page })` refreshes
 * what is said and kept; `page` is { verb, arguments } of the one-file copy, or
 * { make } where it takes several. Any of them may be a function that is
 * called when a fold is opened, so that a slider pays for nothing that is not seen.
 * `whole`: the page is the picture's own, and its title a heading.
 * `page()` is what such a copy would be made of now; `onChange` is called when it may have changed.
 * @param {Element} picture
 * @param {{ name: string, title?: string, whole?: boolean, onChange?: () => unknown }} how
 */
export function frame(picture, { name, title, whole = true, onChange }) {
  const caption = h("figcaption");
  const figure = h("figure", { class: "picture" }, title ? heading(whole, title) : null, picture, caption);
  /** @type {Lab.Facts} */
  const current = {};
  /** @type {Asked} */
  const fact = (kind) => {
    const value = current[kind];
    return typeof value === "function" ? value() : value;
  };
  const folds = /** @type {Record<Kind, ReturnType<typeof fold>>} */ (
    Object.fromEntries(KINDS.map((kind) => [kind, fold(kind, () => content(kind))]))
  );
  /** @type {(kind: Kind) => HTMLElement} */
  const content = (kind) => {
    if (kind === "keep") return keep(name, picture, fact);
    return kind === "table" ? table(fact(kind) ?? { columns: [], rows: [] }) : code(fact(kind) ?? "");
  };
  const refresh = later(120, () => { for (const kind of KINDS) folds[kind].refresh(); });
  const update = (/** @type {Lab.Facts} */ facts) => {
    Object.assign(current, facts);
    tell(caption, current.caption ?? "");
    const { json, table: rows } = current;
    for (const kind of KINDS) folds[kind].box.hidden = kind === "keep" ? !json && !rows : !current[kind];
    refresh();
    onChange?.();
  };
  return {
    page: () => fact("page") ?? null,
    box: h(
      "section",
      { class: "frame" },
      figure,
      h(
        "div",
        { class: "folds" },
        KINDS.map((kind) => folds[kind].box),
      ),
    ),
    update,
  };
}

/**
 * A heading where the page is the part's own; apart, its words alone, so that headings of that page keep their order.
 * @param {boolean} whole
 * @param {Lab.Child} [words]
 */
export const heading = (whole, words) => (whole ? h("h2", {}, words) : h("p", { class: "title" }, words));

/**
 * @param {HTMLElement} caption
 * @param {string} words
 */
function tell(caption, words) {
  if (caption.dataset.said === words) return;
  caption.dataset.said = words;
  fill(caption, withTerms(words));
}

/**
 * A fold whose content is made when it is opened, and again when what it shows has changed.
 * @param {Kind} kind
 * @param {() => Lab.Child} content
 */
function fold(kind, content) {
  const place = h("div");
  const show = () => { if (box.open) fill(place, content()); };
  const box = h(
    "details",
    { hidden: true, class: `fold-${kind}`, ontoggle: show },
    h("summary", {}, tr(`folds.${kind}`)),
    place,
  );
  return { box, refresh: () => { if (box.open && !place.contains(document.activeElement)) show(); } };
}

const NUMBER = /^[\u2212-]?[\d.,\u202f\u00a0]+(?:[\u00a0 ]?(?:%|‰|[kMGTµm]?[a-zA-Z]{1,2}))?$/u;

/**
 * A table of strings; numbers are already written, and stand to the right. `title` names it where there are several.
 * @param {Lab.Rows} table
 */
export function table({ columns, rows, title: name }) {
  const right = columns.map(
    (_, index) =>
      rows.length > 0 &&
      rows.slice(0, 50).every((row) => ["", "–"].includes(String(row[index] ?? "")) || NUMBER.test(String(row[index]))),
  );
  /** @type {(value: unknown, index: number) => HTMLElement} */
  const cell = (value, index) =>
    h(
      index ? "td" : "th",
      { scope: index ? undefined : "row", class: right[index] ? "r" : undefined },
      String(value ?? ""),
    );
  const drawn = h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": name || tr("folds.table") },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((title, index) =>
            h(title ? "th" : "td", !title ? {} : { scope: "col", class: right[index] ? "r" : undefined }, title),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        rows.slice(0, ROWS).map((row) => h("tr", {}, row.map(cell))),
      ),
    ),
  );
  return rows.length > ROWS
    ? h("div", {}, drawn, h("p", { class: "quiet" }, tr("folds.first_rows", { shown: ROWS, count: rows.length })))
    : drawn;
}

/** @param {string} text */
function code(text) {
  /** @type {HTMLButtonElement} */
  const button = h(
    "button",
    { type: "button", class: "small", onclick: () => copied(button, text) },
    tr("actions.copy"),
  );
  return h("div", { class: "code" }, h("pre", { tabindex: "0" }, h("code", {}, text)), button);
}

/**
 * @param {HTMLElement} button
 * @param {string} text
 */
async function copied(button, text) {
  const before = button.textContent;
  try {
    await copy(text);
    button.textContent = tr("actions.copied");
  } catch {
    button.textContent = tr("actions.copy_failed");
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

/**
 * What a CSV file holds: `rows` where the picture is a table itself.
 * @param {Asked} fact
 */
const cells = (fact) => fact("rows") ?? fact("table");

/** @type {Record<string, (name: string, fact: Asked, picture: Element) => unknown>} */
const FILES = {
  csv(name, fact) {
    const found = cells(fact);
    if (found) save(`${name}.csv`, csv(found.columns, found.rows), "text/csv");
  },
  json: (name, fact) => save(`${name}.json`, JSON.stringify(fact("json"), null, 1), "application/json"),
  svg: (name, _, picture) =>
    plotted(picture)?.keep(name, "svg") ?? save(`${name}.svg`, drawing(picture).text, "image/svg+xml"),
  png: async (name, _, picture) =>
    plotted(picture)?.keep(name, "png") ?? save(`${name}.png`, await png(drawing(picture))),
  async page(name, fact) {
    const page = fact("page");
    if (!page) return;
    const made = page.make ? await page.make() : await (await raw(`/api/page/${page.verb}`, page.arguments)).blob();
    save(`${name}.html`, made);
  },
};

/** @type {(picture: Element) => Lab.Figure | null} */
const plotted = (picture) =>
  /** @type {Lab.Figure | null} */ (picture.matches(".plotted") ? picture : picture.querySelector(".plotted"));

/**
 * @param {string} name
 * @param {Element} picture
 * @param {Asked} fact
 */
function keep(name, picture, fact) {
  const troubles = h("div");
  /** @type {Record<string, (fact: Asked) => unknown>} */
  const has = { csv: cells, json: () => fact("json"), page: () => fact("page") };
  /** @type {(kind: string) => HTMLElement} */
  const action = (kind) => h("button", { type: "button", class: "small", onclick: async () => {
    const note = waiting(fill(troubles), tr("keep.making"));
    try {
      await FILES[kind](name, fact, picture);
    } catch (error) {
      fill(troubles, fault(error));
    } finally {
      note.done();
    }
  } }, tr(`keep.${kind}`));
  return h(
    "div",
    {},
    h(
      "div",
      { class: "keep" },
      link(),
      opening(),
      Object.keys(FILES)
        .filter((kind) => !has[kind] || has[kind](fact))
        .map(action),
    ),
    troubles,
  );
}

/** The link that restores this view; above what an address holds, a file to drop on any page. */
function link() {
  const fits = state.fits();
  const button = h("button", { type: "button", class: "small", onclick: () => {
    if (state.fits()) copied(button, location.href);
    else save("capot-view.json", state.asFile());
  } }, tr(fits ? "keep.link" : "keep.file"));
  return button;
}

/** A view that was kept as a file, shown again. */
function opening() {
  /** @type {HTMLInputElement} */
  const field = h("input", {
    type: "file",
    accept: ".json,application/json",
    hidden: true,
    "aria-label": tr("keep.open"),
    onchange: () => {
      const [file] = field.files ?? [];
      if (file) document.dispatchEvent(new CustomEvent("capot-view", { detail: file }));
    },
  });
  return [h("button", { type: "button", class: "small", onclick: () => field.click() }, tr("keep.open")), field];
}
