// Computed at once, from the model's shape alone: the curve by part, and what fits on which cards.

import { fill, h, later, unique } from "../../lib/dom.js";
import { size, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { call } from "../../lib/api.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { answers } from "../../parts/answer.js";
import { blocks, pictured, redrawn } from "../../parts/blocks.js";
import { frame } from "../../parts/frame.js";
import { scaled } from "./axes.js";
import { verdicts } from "./fit.js";

const PRECISIONS = ["fp32", "bf16", "fp8", "int8", "int4"];
const USUAL = { gpu: "24GB,80GB", precision: "bf16,int8,int4", kv: "bf16", users: "2048,8192" };
const CARDS = ["8GB", "16GB", "24GB", "48GB", "80GB", "141GB"];

/** Several sizes as they are typed: a comma between two digits is a decimal one. */
const parted = (text) => text.split(/(?<=[a-z])\s*[,;]|[,;]\s+/i).map((one) => one.trim()).filter(Boolean);

/** A size of a card as it is sold, with no digits of precision. */
const whole = (bytes) => size(bytes).replace(/[.,]0+(?=\u00a0)/, "");

/** `name` is the model's; `scale` says how axes are drawn: `scale.logarithmic`, and `scale.heard(redraw)`. */
export function computed(name, scale) {
  const saved = state.read();
  const picture = redrawn();
  let last = null;
  const known = h("select", { id: unique("known") }, h("option", { value: "" }, tr("memory.this_model", { name })), saved.known ? h("option", { value: saved.known, selected: true }, saved.known) : null);
  const radios = (key, list, chosen) => h("fieldset", { class: "checks plain" }, h("legend", {}, tr(`memory.${key}`)), list.map((one) => h("label", { class: "tick" }, h("input", { type: "radio", name: key, value: one, checked: one === chosen }), tr(`memory.${key}_is.${one}`))));
  const boxes = (key, list, chosen) => h("fieldset", { class: "checks plain" }, h("legend", {}, tr(`memory.${key}`)), list.map((one) => h("label", { class: "tick" }, h("input", { type: "checkbox", value: one, checked: chosen.includes(one) }), key === "cards" ? whole(parseInt(one, 10) * 1e9) : one)));
  const mode = radios("logits", ["last", "all"], saved.mode ?? "last");
  const asked = parted(saved.gpu ?? USUAL.gpu);
  const cards = boxes("cards", CARDS, asked);
  const other = h("input", { type: "text", id: unique("gpu"), size: 12, value: asked.filter((one) => !CARDS.includes(one)).join(", "), placeholder: tr("memory.other_hint") });
  const precision = boxes("precision", PRECISIONS, (saved.precision ?? USUAL.precision).split(","));
  const kv = h("select", { id: unique("kv") }, PRECISIONS.map((one) => h("option", { value: one, selected: one === (saved.kv ?? USUAL.kv) }, one)));
  const users = h("input", { type: "text", id: unique("users"), size: 12, value: (saved.users ?? USUAL.users).replaceAll(",", ", ") });
  const labelled = (input, key) => h("div", { class: "field" }, h("label", { for: input.id }, tr(`memory.${key}`)), input);
  const troubles = h("div", { class: "troubles" });
  const answer = answers("memory", { words: tr("memory.computing"), troubles, drawn, rows });
  const fits = h("div");
  const fit = frame(fits, { name: "fits", title: tr("memory.fit_title") });
  const soon = later(120, ask);
  const first = h("div", { class: "row" }, labelled(known, "model"), mode, scale.box);
  const second = h("div", { class: "panel settings" }, precision, cards, h("div", { class: "row" }, labelled(other, "other_card"), labelled(kv, "kv"), labelled(users, "users_at")));
  for (const part of [known, mode, cards, other, precision, kv, users]) part.addEventListener("input", soon);
  scale.heard(() => last && draw());
  const box = h("div", {}, first, troubles, answer.box, h("div", { class: "fits-part" }, second, fit.box));
  listed();
  return { box, start: ask, stop: answer.stop };

  function ticked(set) {
    return [...set.querySelectorAll("input:checked")].map((one) => one.value);
  }

  /** The published shapes that the card's chapter knows. */
  async function listed() {
    const { known: shapes } = await call("card", { known: true }).catch(() => ({ known: [] }));
    fill(known, h("option", { value: "" }, tr("memory.this_model", { name })), (shapes ?? []).map((one) => h("option", { value: one.name, selected: one.name === (saved.known ?? "") }, one.name)));
  }

  async function ask() {
    const values = { gpu: [...ticked(cards), ...parted(other.value)].join(",") || USUAL.gpu, precision: ticked(precision).join(",") || USUAL.precision, kv: kv.value, users: users.value.replaceAll(/\s/g, "") || USUAL.users };
    const chosen = ticked(mode)[0];
    state.write({ known: known.value, mode: chosen === "last" ? "" : chosen, ...Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value === USUAL[key] ? "" : value])) });
    const options = { gpu: values.gpu, precision: values.precision, ...(values.kv === USUAL.kv ? {} : { kv_precision: values.kv }), ...(values.users === USUAL.users ? {} : { users_at: values.users }) };
    const args = { simulate: true, ...(known.value ? { known: known.value } : {}), mode: chosen, ...options };
    const flags = { "--simulate": true, "--mode": chosen, "--gpu": values.gpu, "--precision": values.precision, "--kv-precision": options.kv_precision, "--users-at": options.users_at };
    const told = { python: inPython(name, "memory", [], args), command: onCommandLine(known.value || name, "memory", [], flags) };
    const result = await answer.ask(args, told);
    if (result) tell(result, told, args);
    else fit.box.hidden = troubles.querySelector(".fault") !== null; // where it is only asked anew, what there is stays
  }

  function drawn(result, view) {
    last = { view, place: h("div") };
    draw();
    const facts = view.filter((block) => block.block === "facts");
    const texts = view.filter((block) => block.block === "text");
    return [last.place, blocks(texts.filter((block) => block.tone === "warning")), h("details", {}, h("summary", {}, tr("memory.facts")), blocks(facts), blocks(texts.filter((block) => block.tone !== "warning")))];
  }

  function draw() {
    const curves = last.view.find((block) => block.block === "curves");
    if (curves) fill(last.place, pictured(curves, picture(scaled(curves, scale))));
  }

  function rows(_, view) {
    const table = view.find((block) => block.block === "table");
    return { columns: table.columns, rows: table.rows };
  }

  function tell(result, told, args) {
    const table = last.view.filter((block) => block.block === "table")[1];
    fit.box.hidden = !result.fits.length;
    if (!result.fits.length) return;
    fill(fits, verdicts(result.fits));
    fit.update({ caption: table?.caption ?? "", table: { columns: table.columns, rows: table.rows }, json: result.fits, page: { verb: "memory", arguments: args }, ...told });
  }
}
