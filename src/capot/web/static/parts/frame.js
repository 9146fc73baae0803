// A picture with its two sentences, and, folded under it: the table, the Python, the command, what to take away.

import { fill, h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { copy, csv, png, save, svgText } from "../lib/keep.js";
import { raw } from "../lib/api.js";
import * as state from "../lib/state.js";

/**
 * A frame around `picture`. `update({ caption, table: { columns, rows }, python, command, json, page })` refreshes
 * what is told and kept; `page` is { verb, arguments } of the one-file copy,
 * or { make } where it takes several.
 */
export function frame(picture, { name, title } = {}) {
  const caption = h("figcaption");
  const folds = h("div", { class: "folds" });
  const figure = h("figure", { class: "picture" }, title ? h("h2", {}, title) : null, picture, caption);
  const box = h("section", { class: "frame" }, figure, folds);
  let told = {};
  const opened = new Set();
  const update = (facts) => {
    told = { ...told, ...facts };
    caption.textContent = told.caption ?? "";
    fill(folds, told.table ? fold("table", table(told.table)) : null,
      told.python ? fold("python", code(told.python)) : null,
      told.command ? fold("command", code(told.command)) : null,
      fold("keep", keep(name, picture, () => told)));
  };
  const fold = (kind, content) =>
    h("details", { open: opened.has(kind), ontoggle: (event) => opened[event.target.open ? "add" : "delete"](kind) },
      h("summary", {}, tr(`folds.${kind}`)), content);
  return { box, update };
}

/** A table of strings; numbers are already written. */
export function table({ columns, rows }) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": tr("folds.table") },
    h("table", {}, h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.slice(0, 2000).map((row) => h("tr", {}, row.map((cell, index) => h(index ? "td" : "th", index ? {} : { scope: "row" }, String(cell ?? ""))))))));
}

function code(text) {
  const button = h("button", { type: "button", class: "small", onclick: () => copied(button, text) }, tr("actions.copy"));
  return h("div", { class: "code" }, h("pre", { tabindex: "0" }, h("code", {}, text)), button);
}

async function copied(button, text) {
  try {
    await copy(text);
    button.textContent = tr("actions.copied");
  } catch {
    button.textContent = tr("actions.copy_failed");
  }
  setTimeout(() => { button.textContent = tr("actions.copy"); }, 1500);
}

function keep(name, picture, told) {
  const action = (label, run) => h("button", { type: "button", class: "small", onclick: run }, tr(`keep.${label}`));
  const svg = () => picture.querySelector?.("svg.drawing") ?? (picture.matches?.("svg") ? picture : null);
  const plot = () => (picture.matches?.(".plotted") ? picture : picture.querySelector?.(".plotted"));
  const link = action("link", () => {
    const fits = state.write({});
    if (fits && location.href.length < 8000) copied(link, location.href);
    else save("capot.json", state.asFile());
  });
  return h("div", { class: "keep" }, link,
    told().table ? action("csv", () => save(`${name}.csv`, csv(told().table.columns, told().table.rows), "text/csv")) : null,
    told().json ? action("json", () => save(`${name}.json`, JSON.stringify(told().json, null, 1), "application/json")) : null,
    plot() ? action("svg", () => plot().keep(name, "svg")) : svg() ? action("svg", () => save(`${name}.svg`, svgText(svg()), "image/svg+xml")) : null,
    plot() ? action("png", () => plot().keep(name, "png")) : svg() ? action("png", async () => save(`${name}.png`, await png(svg()))) : null,
    told().page ? action("page", async () => {
      const { verb, arguments: args, make } = told().page;
      save(`${name}.html`, make ? await make() : await (await raw(`/api/page/${verb}`, args)).blob());
    }) : null);
}
