// The lab's frame: header, rail, and the page of the chapter in the address. Pages are read when they are visited.

import { h, hurry } from "./lib/dom.js";
import { choose, preferred, speak, tr } from "./lib/words.js";
import { get, LabError, reached, visitor } from "./lib/api.js";
import { disobeyed } from "./lib/link.js";
import { chapterAddress, own, read as address, restore } from "./lib/state.js";
import { fault } from "./parts/fault.js";
import { chapterOf, moduleOf, rail, titled } from "./parts/rail.js";
import { tip } from "./parts/terms.js";
import { top } from "./parts/top.js";
import "./parts/strip.js";
import "./parts/bars.js";
import "./parts/slider.js";

/**
 * What there is of the page: the model at work, the frame's parts, the chapter that is shown.
 * @type {{
 *   model: Lab.AtWork | null, turn: number, page: Lab.Page | null, main: HTMLElement, left: AbortController,
 *   tip: HTMLElement,
 *   rail: ReturnType<typeof rail> | null, top: ReturnType<typeof top> | null, wrong: Set<string>, told: HTMLElement,
 * }}
 */
const app = { model: null, turn: 0, page: null, main: h("main"), left: new AbortController(), rail: null, top: null,
  tip: tip(), wrong: new Set(), told: said("") };

/**
 * Go to a chapter without leaving the page.
 * @param {string} address
 */
async function go(address) {
  leave(); // while the address is still its own
  history.pushState(null, "", address);
  await show();
  app.main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/**
 * End what the page has under way; what it gives back is for the same page in another language.
 * @param {Lab.Leaving} [how]
 */
function leave(how) {
  hurry();
  const handed = app.page?.leave?.(how) ?? null;
  app.page = null;
  app.left.abort(); // what it asked before it could say how it is left
  app.left = new AbortController();
  return handed;
}

/** Pages that compute as one types. Where a server is asked, each answer may cost: its page waits for a click. */
const BY_THEMSELVES = new Set(["tokens", "embeddings", "network", "next", "score", "memory"]);

/**
 * Show the chapter of the address; `handed` is what the same page, in another language, had under way.
 * @param {unknown} [handed]
 */
async function show(handed = null) {
  const [turn, chapter] = [app.turn += 1, chapterOf(location.pathname)];
  delete document.documentElement.dataset.shown;
  leave();
  own();
  app.wrong = new Set(disobeyed(chapter, address())); // before the page writes an address of its own
  app.told.remove();
  app.rail?.at(chapter);
  document.title = `${titled(chapter, "name")} · capot`;
  document.body.append(app.tip);
  const question = h("h1", {}, titled(chapter, "question"));
  const main = h("main", { id: "main", tabindex: "-1", dataset: { chapter } }, question);
  app.main.replaceWith(main); // this page's own: what another appends when it is not wanted any more is seen by nobody
  app.main = main;
  try {
    const waits = app.model?.engine === "openai" && BY_THEMSELVES.has(chapter);
    const { default: page } = await read(`./pages/${waits ? "plain" : moduleOf(chapter)}.js`);
    if (turn !== app.turn) return; // the visitor has moved on
    const made = await page(main, { model: app.model, go, chapterAddress, chapter, handed, left: app.left.signal });
    if (turn !== app.turn) return made?.leave?.();
    app.page = made ?? null; // before its first answer has come: it may be left while it asks
    await made?.drawn;
    if (turn !== app.turn) return;
    tellWrong();
  } catch (error) {
    if (turn !== app.turn) return;
    if (!(error instanceof LabError)) console.error(error);
    main.append(fault(error, () => show()));
  }
  document.documentElement.dataset.shown = chapter; // what it draws first is there
  performance.mark("capot-shown");
}

/** What of the link the page does not obey, under its question; more may come with the model's answer. */
function tellWrong() {
  if (!app.wrong.size) return;
  app.told.textContent = tr("link.disobeyed", { wrong: [...app.wrong].join(", ") });
  if (!app.told.isConnected) app.main.querySelector("h1")?.after(app.told);
}

/**
 * The module of a page. Where no server is there to give it, the page says so as it does for an answer.
 * @param {string} path
 * @returns {Promise<{ default: Lab.Draws }>}
 */
async function read(path) {
  try {
    return await import(path);
  } catch (error) {
    if (error instanceof TypeError && !(await reached())) throw new LabError("unreachable", "");
    throw error;
  }
}

function head() {
  const made = top({ model: app.model, relearn, reopened });
  app.top?.leave();
  app.top?.box.replaceWith(made.box);
  app.top = made;
  return made;
}

/**
 * Every page is drawn anew, whatever the model is called.
 * @param {Lab.AtWork} model
 */
function reopened(model) {
  return atWork(model, { anew: true });
}

// What makes a model another one.
const SAME = /** @type {const} */ (["model", "engine", "device", "dtype"]);

/** Somebody has opened another model, or the server was started again with one. */
async function changed() {
  const model = await get("/api/model").catch(() => null);
  if (!model || SAME.every((name) => model[name] === app.model?.[name])) return;
  await reopened(model);
  app.main.querySelector("h1")?.after(said(tr("opener.changed", { model: model.model })));
}

/**
 * A line under a page's question.
 * @param {string} line
 */
function said(line) {
  return h("p", { class: "quiet", role: "status" }, line);
}

/** @param {Lab.AtWork} model */
function atWork(model, { anew = false } = {}) {
  const before = app.model?.model ?? "boxed"; // what the page's lines of code were written for
  app.model = model;
  visitor.owner = model.owner;
  if (!app.top) return null; // the words have not come yet
  head();
  const other = anew || model.model !== before;
  if (other) leave(); // first, so that what is kept of the page is kept as the other model's
  document.dispatchEvent(new CustomEvent("capot-model", { detail: model }));
  return other ? show() : null;
}

/**
 * Another language: the page is drawn anew, and goes on with what it had under way.
 * @param {Lab.Language} name
 */
async function relearn(name) {
  try {
    await speak(name);
  } catch {
    head(); // the language is what it was
    app.main.prepend(fault(new LabError("unreachable", "")));
    return;
  }
  choose(name);
  await dress(leave({ again: true }));
}

/**
 * The whole page in the language that is spoken.
 * @param {unknown} [handed] see `show`
 */
async function dress(handed = null) {
  app.main = h("main", { id: "main", tabindex: "-1" });
  app.rail = rail();
  const { box } = head();
  const skip = (/** @type {Event} */ event) => { event.preventDefault(); app.main.focus(); };
  document.body.replaceChildren(h("a", { class: "skip", href: "#main", onclick: skip }, tr("header.skip")),
    box, app.rail.box, app.main, app.tip);
  await show(handed);
}

/**
 * Whether a click follows a link of the lab's own, in this tab.
 * @param {MouseEvent} event
 * @param {HTMLAnchorElement} link
 */
function followed(event, link) {
  if (link.origin !== location.origin || link.matches(".skip") || link.target || link.download) return false;
  return !(event.ctrlKey || event.metaKey || event.shiftKey || event.button);
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || !followed(event, link)) return;
  event.preventDefault();
  hurry(); // what was typed last goes along
  go(link.pathname + link.hash);
});
addEventListener("popstate", () => show());
document.addEventListener("capot-opening", changed);
document.addEventListener("capot-disobeyed", ({ detail }) => {
  for (const name of detail) app.wrong.add(name);
  tellWrong();
});
document.addEventListener("capot-state", () => app.rail?.carry());

/**
 * A view kept as a file is dropped anywhere, or chosen under "Export".
 * @param {File} file
 */
const opened = async (file) => {
  try {
    await go(await restore(file));
  } catch {
    app.main.prepend(fault(new Error(tr("keep.no_view", { name: file.name }))));
  }
};
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) opened(file);
});
document.addEventListener("capot-view", (event) => opened(event.detail));

// A page that did not know who computes would ask at once. Without the lab, it says so beside what it asked.
await Promise.all([speak(preferred()), get("/api/model").then(atWork).catch(() => {})]);
await dress();
