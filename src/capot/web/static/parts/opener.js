// Another model in the place of the one at work: the server's owner only. Its opening is followed stage by stage.

import { fill, h, labelled, unique } from "../lib/dom.js";
import { size, tr } from "../lib/words.js";
import { get, LabError, openModel } from "../lib/api.js";
import { fault } from "./fault.js";

const ENGINES = ["", "native", "hf", "scripted"];
const ALWAYS = ["boxed", "scripted"];

/** The dialog of a visitor who is not known as the owner, on a lab that anybody at its machine may enter. */
export function ownerOnly() {
  const id = unique("opener");
  const close = h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, tr("actions.close"));
  /** @type {HTMLDialogElement} */
  const dialog = h("dialog", { "aria-labelledby": `${id}-title` },
    h("h2", { id: `${id}-title` }, tr("opener.title")), h("p", {}, tr("opener.only_owner")),
    h("p", { class: "row" }, close));
  return { dialog, open: () => dialog.showModal() };
}

/**
 * A dialog and the function that shows it; `reopened(model)` hears what is at work afterwards.
 * @param {Lab.AtWork} model
 * @param {(model: Lab.AtWork) => unknown} reopened
 */
export function opener(model, reopened) {
  const stop = () => working?.stop();
  const { name, engine, known, served, go, close, troubles, dialog } = parts(model, { run, stop });
  /** @type {Lab.Stream | null} */
  let working = null;
  close.addEventListener("click", () => dialog.close());
  return { dialog, open };

  async function run() {
    const { box, hear, failed, card } = progress(name.value, stop);
    fill(troubles, box);
    go.disabled = true;
    try {
      working = openModel({ model: name.value.trim(), engine: engine.value || null }, hear);
      await working.done;
      const error = failed();
      if (error) throw error;
      dialog.close();
      reopened(await get("/api/model"));
    } catch (error) {
      fill(troubles, fault(error), await drawn(card()));
      name.setAttribute("aria-invalid", "true");
      name.focus();
    } finally {
      working = null;
      go.disabled = false;
    }
  }

  function open() {
    fill(troubles);
    offer(known, served);
    name.removeAttribute("aria-invalid");
    dialog.showModal();
    name.focus();
  }
}

/**
 * The dialog and what it is made of.
 * @param {Lab.AtWork} model
 * @param {{ run: () => unknown, stop: () => unknown }} acts
 */
function parts(model, { run, stop }) {
  const id = unique("opener");
  const known = h("datalist", { id: `${id}-known` });
  const about = { list: known.id, "aria-describedby": `${id}-hint` };
  const name = h("input", { id, type: "text", required: true, spellcheck: "false", autocomplete: "off", ...about });
  const engines = ENGINES.map((one) => h("option", { value: one }, one || tr("opener.any_engine")));
  const engine = h("select", { id: `${id}-engine` }, engines);
  const go = h("button", { type: "submit", class: "primary" }, tr("opener.open"));
  const close = h("button", { type: "button" }, tr("actions.close"));
  const troubles = h("div");
  const served = h("div", { class: "quiet" });
  const hint = h("p", { class: "quiet", id: `${id}-hint` }, tr("opener.hint"));
  const form = h("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); run(); } },
    h("h2", { id: `${id}-title` }, tr("opener.title")),
    h("p", {}, tr("opener.now", { model: model.model, engine: model.engine })),
    labelled(name, tr("opener.name"), known, hint),
    served,
    troubles,
    labelled(engine, tr("opener.engine")),
    h("p", { class: "row" }, go, close));
  const dialog = h("dialog", { "aria-labelledby": `${id}-title`, onclose: stop }, form);
  return { name, engine, known, served, go, close, troubles, dialog };
}

/**
 * How far the opening of `name` is: a bar that hears the stream's events, the error it ended with, and the card of a
 * model that the hub does not hand out.
 * @param {string} name
 * @param {() => unknown} stop
 */
function progress(name, stop) {
  const words = tr("opener.opening", { model: name });
  const bar = h("progress", { max: 1, value: 0, "aria-label": words });
  const says = h("span", {}, words);
  const button = h("button", { type: "button", onclick: stop }, tr("actions.stop"));
  /** @type {LabError | null} */
  let failed = null;
  /** @type {Lab.Preview | null} */
  let card = null;
  /** @type {Lab.Heard} */
  const hear = (...[kind, body]) => {
    if (kind === "progress") [bar.max, bar.value, says.textContent] = [body.total, body.done + 0.5, body.message];
    if (kind === "notice") says.textContent = body.message;
    if (kind === "card") card = body;
    if (kind === "error") failed = new LabError(body.error.code ?? "", body.error.message);
  };
  const box = h("div", { class: "waiting", role: "status" }, bar, says, button);
  return { box, hear, failed: () => failed, card: () => card };
}

/**
 * What there is to see of a model that is not opened. Its module is read when there is something: no page waits for it.
 * @param {Lab.Preview | null} card
 */
async function drawn(card) {
  if (!card) return null;
  const read = await import("./preview.js").catch(() => null); // where it cannot be had, the refusal stands alone
  return read && read.preview(card);
}

/**
 * Offer the names of what is on this machine, those that an engine opens, and say which servers there are.
 * @param {HTMLDataListElement} known
 * @param {HTMLElement} served
 */
async function offer(known, served) {
  fill(known, ALWAYS.map((value) => h("option", { value })));
  // a help: names can be typed without it
  const none = { models: /** @type {Api.CachedModel[]} */ ([]), servers: /** @type {Api.FoundServer[]} */ ([]) };
  const { models, servers } = await get("/api/models").catch(() => none);
  const label = (/** @type {Api.CachedModel} */ one) => `${one.name} · ${size(one.bytes)} · ${one.engine}`;
  known.append(...models.filter((one) => one.engine).map((one) => h("option", { value: one.name, label: label(one) })));
  const lines = servers.flatMap(({ address, models }) =>
    models.length ? models.map((one) => `${address}#${one.name}`) : [address]);
  const commands = lines.map((line) => h("li", {}, h("code", {}, `capot serve --model "${line}"`)));
  fill(served, lines.length ? [h("p", {}, tr("opener.served")), h("ul", {}, commands)] : null);
}
