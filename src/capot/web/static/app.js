// The lab's frame: rail, header, and the page of the chapter in the address. Pages are read when they are visited.

import { fill, h } from "./lib/dom.js";
import { choose, lang, LANGUAGES, preferred, speak, tr, number } from "./lib/words.js";
import { get, LabError } from "./lib/api.js";
import * as state from "./lib/state.js";
import { fault } from "./parts/fault.js";
import "./parts/strip.js";
import "./parts/bars.js";
import "./parts/slider.js";

const CHAPTERS = ["tokens", "embeddings", "next", "generate", "memory", "assistant", "card"];
const app = { model: null, page: null, main: null, visited: new Set(JSON.parse(sessionStorage.getItem("capot-visited") ?? "[]")) };

const chapterOf = (path) => (CHAPTERS.includes(path.slice(1)) ? path.slice(1) : "home");

/** The address of a chapter with the prompt carried along. */
export function door(chapter, changes = {}) {
  const params = new URLSearchParams();
  const text = changes.prompt ?? state.prompt.get();
  if (text && text.length < 4000) params.set("prompt", text);
  for (const [name, value] of Object.entries(changes)) params.set(name, value);
  const query = params.toString();
  return `/${chapter === "home" ? "" : chapter}${query ? `#${query}` : ""}`;
}

/** Go to a chapter without leaving the page. */
export async function go(address) {
  history.pushState(null, "", address);
  await show();
  app.main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function theme() {
  return localStorage.getItem("capot-theme") ?? "";
}

function dress() {
  const chosen = theme();
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  document.dispatchEvent(new CustomEvent("capot-theme"));
}

function isDark() {
  return (theme() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

function rail(current) {
  const link = (chapter) =>
    h("a", {
      href: door(chapter),
      class: app.visited.has(chapter) ? "visited" : "",
      "aria-current": chapter === current ? "page" : undefined,
      title: tr(`chapters.${chapter}.question`),
    }, h("span", { class: "dot", "aria-hidden": "true" }), tr(`chapters.${chapter}.name`),
      app.visited.has(chapter) && chapter !== current ? h("span", { class: "offstage" }, tr("rail.visited")) : null);
  return h("nav", { class: "rail", "aria-label": tr("rail.label") }, link("home"), CHAPTERS.map(link));
}

function header() {
  const m = app.model;
  const facts = m
    ? [m.model, m.parameters ? tr("header.parameters", { n: short(m.parameters) }) : null, m.engine, m.device, m.dtype].filter(Boolean)
    : [];
  return h("header", { class: "top" },
    h("a", { class: "brand", href: door("home") }, "capot"),
    h("p", { class: "at-work", title: tr("header.at_work") }, facts.map((fact) => h("span", {}, fact))),
    h("div", { class: "choices" },
      h("label", {}, h("span", { class: "offstage" }, tr("header.language")),
        h("select", { onchange: (event) => { choose(event.target.value); redraw(); } },
          LANGUAGES.map((name) => h("option", { value: name, selected: name === lang() }, tr(`languages.${name}`))))),
      h("button", {
        type: "button", class: "quiet-button", "aria-pressed": String(isDark()),
        onclick: () => { localStorage.setItem("capot-theme", isDark() ? "light" : "dark"); dress(); header_(); },
      }, h("span", { "aria-hidden": "true" }, isDark() ? "☀" : "☾"), h("span", { class: "offstage" }, tr("header.theme")))));
}

function short(count) {
  for (const [scale, unit] of [[1e9, "G"], [1e6, "M"]]) if (count >= scale) return `${number(count / scale, 1)} ${unit}`;
  return number(count);
}

function header_() {
  document.querySelector("header.top")?.replaceWith(header());
}

async function show() {
  const chapter = chapterOf(location.pathname);
  app.visited.add(chapter);
  sessionStorage.setItem("capot-visited", JSON.stringify([...app.visited]));
  delete document.documentElement.dataset.shown;
  app.page?.leave?.();
  app.page = null;
  document.querySelector("nav.rail")?.replaceWith(rail(chapter));
  document.title = `${tr(`chapters.${chapter}.name`)} · capot`;
  fill(app.main, h("h1", {}, tr(`chapters.${chapter}.question`)));
  try {
    const { default: page } = await import(`./pages/${chapter}.js`);
    if (chapterOf(location.pathname) !== chapter) return; // the visitor has moved on
    app.page = await page(app.main, { model: app.model, go, door });
  } catch (error) {
    if (!(error instanceof LabError)) console.error(error);
    app.main.append(fault(error));
  }
  document.documentElement.dataset.shown = chapter; // what it draws first is there
}

async function redraw() {
  await speak(preferred());
  dress();
  app.main = h("main", { id: "main", tabindex: "-1" });
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); app.main.focus(); } }, tr("header.skip")),
    header(), rail(chapterOf(location.pathname)), app.main,
    h("div", { id: "live", class: "offstage", role: "status", "aria-live": "polite" }));
  await show();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button || link.target || link.download) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { dress(); header_(); });
document.addEventListener("capot-state", () => document.querySelector("nav.rail")?.replaceWith(rail(chapterOf(location.pathname))));

await redraw();
get("/api/model").then((model) => { app.model = model; header_(); document.dispatchEvent(new CustomEvent("capot-model", { detail: model })); }).catch(() => {});
