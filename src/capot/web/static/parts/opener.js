// Another model in the place of the one at work: the server's owner only. Its opening is followed stage by stage.

import { fill, h, unique } from "../lib/dom.js";
import { size, tr } from "../lib/words.js";
import { get, LabError, openModel } from "../lib/api.js";
import { fault } from "./fault.js";

const ENGINES = ["", "native", "hf", "scripted"];
const ALWAYS = ["boxed", "scripted"];

/** The dialog of a visitor who is not known as the owner, on a lab that anybody at its machine may enter. */
export function told() {
  const id = unique("opener");
  const close = h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, tr("actions.close"));
  const dialog = h("dialog", { "aria-labelledby": `${id}-title` },
    h("h2", { id: `${id}-title` }, tr("opener.title")), h("p", {}, tr("opener.only_owner")), h("p", { class: "row" }, close));
  return { dialog, open: () => dialog.showModal() };
}

/** A dialog and the function that shows it; `reopened(model)` hears what is at work afterwards. */
export function opener(model, reopened) {
  const id = unique("opener");
  const name = h("input", { id, type: "text", required: true, spellcheck: "false", autocomplete: "off", list: `${id}-known`, "aria-describedby": `${id}-hint` });
  const engine = h("select", { id: `${id}-engine` }, ENGINES.map((one) => h("option", { value: one }, one || tr("opener.any_engine"))));
  const known = h("datalist", { id: `${id}-known` });
  const go = h("button", { type: "submit", class: "primary" }, tr("opener.open"));
  const close = h("button", { type: "button", onclick: () => dialog.close() }, tr("actions.close"));
  const troubles = h("div");
  const dialog = h("dialog", { "aria-labelledby": `${id}-title`, onclose: () => working?.stop() },
    h("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); run(); } },
      h("h2", { id: `${id}-title` }, tr("opener.title")),
      h("p", {}, tr("opener.now", { model: model.model, engine: model.engine })),
      h("div", { class: "field" }, h("label", { for: id }, tr("opener.name")), name,
        known, h("p", { class: "quiet", id: `${id}-hint` }, tr("opener.hint"))),
      troubles,
      h("div", { class: "field" }, h("label", { for: `${id}-engine` }, tr("opener.engine")), engine),
      h("p", { class: "row" }, go, close)));
  let working = null;

  async function run() {
    const bar = h("progress", { max: 1, value: 0, "aria-label": tr("opener.opening", { model: name.value }) });
    const says = h("span", {}, tr("opener.opening", { model: name.value }));
    const stop = h("button", { type: "button", onclick: () => working?.stop() }, tr("actions.stop"));
    fill(troubles, h("div", { class: "waiting", role: "status" }, bar, says, stop));
    go.disabled = true;
    let failed = null;
    working = openModel({ model: name.value.trim(), engine: engine.value || null }, (kind, body) => {
      if (kind === "progress") [bar.max, bar.value, says.textContent] = [body.total, body.done + 0.5, body.message];
      if (kind === "notice") says.textContent = body.message;
      if (kind === "error") failed = new LabError(body.error.code, body.error.message);
    });
    try {
      await working.done;
      if (failed) throw failed;
      dialog.close();
      reopened(await get("/api/model"));
    } catch (error) {
      fill(troubles, fault(error));
      name.setAttribute("aria-invalid", "true");
      name.focus();
    } finally {
      working = null;
      go.disabled = false;
    }
  }

  /** Offer the names of what is on this machine, those that an engine opens. */
  async function offer() {
    fill(known, ALWAYS.map((value) => h("option", { value })));
    const { models } = await get("/api/models").catch(() => ({ models: [] })); // a help: names can be typed without it
    known.append(...models.filter((one) => one.engine).map((one) => h("option", { value: one.name, label: `${one.name} · ${size(one.bytes)} · ${one.engine}` })));
  }

  const open = () => {
    fill(troubles);
    offer();
    name.removeAttribute("aria-invalid");
    dialog.showModal();
    name.focus();
  };
  return { dialog, open };
}
