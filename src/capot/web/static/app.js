// The lab's frame: header, rail, and the page of the chapter in the address. Pages are read when they are visited.

import { fill, h } from "./lib/dom.js";
import { preferred, speak, tr } from "./lib/words.js";
import { get, LabError, visitor } from "./lib/api.js";
import { door, own, restore } from "./lib/state.js";
import { fault } from "./parts/fault.js";
import { chapterOf, moduleOf, rail, titled } from "./parts/rail.js";
import { tip } from "./parts/terms.js";
import { top } from "./parts/top.js";
import "./parts/strip.js";
import "./parts/bars.js";
import "./parts/slider.js";

const app = { model: null, turn: 0, page: null, main: null, rail: null, top: null, tip: tip() };

/** Go to a chapter without leaving the page. */
async function go(address) {
  leave(); // while the address is still its own
  history.pushState(null, "", address);
  await show();
  app.main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function leave() {
  app.page?.leave?.();
  app.page = null;
}

async function show() {
  const [turn, chapter] = [app.turn += 1, chapterOf(location.pathname)];
  delete document.documentElement.dataset.shown;
  leave();
  own();
  app.rail.at(chapter);
  document.title = `${titled(chapter, "name")} · capot`;
  document.body.append(app.tip);
  fill(app.main, h("h1", {}, titled(chapter, "question")));
  app.main.dataset.chapter = chapter;
  try {
    const { default: page } = await import(`./pages/${moduleOf(chapter)}.js`);
    if (turn !== app.turn) return; // the visitor has moved on
    app.page = await page(app.main, { model: app.model, go, door, chapter });
  } catch (error) {
    if (!(error instanceof LabError)) console.error(error);
    app.main.append(fault(error, show));
  }
  document.documentElement.dataset.shown = chapter; // what it draws first is there
  performance.mark("capot-shown");
}

function head() {
  const made = top({ model: app.model, relearn: dress, reopened });
  app.top?.leave();
  app.top?.box.replaceWith(made.box);
  app.top = made;
}

function reopened(model) {
  app.model = { model: null }; // every page is drawn anew, whatever it is called
  return atWork(model);
}

/** Somebody has opened another model, or the server was started again with one. */
async function changed() {
  const model = await get("/api/model").catch(() => null);
  if (!model || ["model", "engine", "device", "dtype"].every((name) => model[name] === app.model?.[name])) return;
  await reopened(model);
  app.main.querySelector("h1").after(h("p", { class: "quiet", role: "status" }, tr("opener.changed", { model: model.model })));
}

function atWork(model) {
  const before = app.model?.model ?? "boxed"; // what the page's lines of code were written for
  app.model = model;
  visitor.owner = model.owner;
  if (!app.top) return; // the words have not come yet
  head();
  const other = model.model !== before;
  if (other) leave(); // first, so that what is kept of the page is kept as the other model's
  document.dispatchEvent(new CustomEvent("capot-model", { detail: model }));
  return other ? show() : null;
}

/** The whole page in the visitor's language. */
async function dress() {
  await speak(preferred());
  app.main = h("main", { id: "main", tabindex: "-1" });
  app.rail = rail();
  head();
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); app.main.focus(); } }, tr("header.skip")),
    app.top.box, app.rail.box, app.main, app.tip);
  await show();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || link.origin !== location.origin || link.matches(".skip") || event.ctrlKey || event.metaKey || event.shiftKey || event.button || link.target || link.download) return;
  event.preventDefault();
  go(link.pathname + link.hash);
});
addEventListener("popstate", show);
document.addEventListener("capot-opening", changed);
document.addEventListener("capot-state", () => app.rail.carry());

// A view kept as a file is dropped anywhere, or chosen under "Take it away".
const opened = async (file) => {
  try {
    await go(await restore(file));
  } catch {
    app.main.prepend(fault(new Error(tr("keep.no_view", { name: file.name }))));
  }
};
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) opened(event.dataTransfer.files[0]); });
document.addEventListener("capot-view", (event) => opened(event.detail));

get("/api/model").then(atWork).catch(() => {}); // where the server is away, the page says so beside what was asked
await dress();
