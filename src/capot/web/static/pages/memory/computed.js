// Computed at once, from the model's shape alone: the curve by part, and what fits on which cards.

import { fill, h, labelled, later, unique } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { call } from "../../lib/api.js";
import { asFlags, inPython, onCommandLine } from "../../lib/code.js";
import { answers } from "../../parts/answer.js";
import { blocks, ofKind, pictured, redrawn } from "../../parts/blocks.js";
import { fault } from "../../parts/fault.js";
import { frame } from "../../parts/frame.js";
import { choice, tick, ticked, ticks } from "../../parts/ticks.js";
import { scaled } from "./axes.js";
import { sold, verdicts } from "./fit.js";

const PRECISIONS = ["fp32", "bf16", "fp8", "int8", "int4"];
const USUAL = { gpu: "24GB,80GB", precision: "bf16,int8,int4", kv: "bf16", users: "2048,8192" };
const CARDS = ["8GB", "16GB", "24GB", "48GB", "80GB", "141GB"];

/**
 * Several sizes as they are typed: a comma between two digits is a decimal one.
 * @param {string} text
 */
const parted = (text) => text.split(/(?<=[a-z])\s*[,;]|[,;]\s+/i).map((one) => one.trim()).filter(Boolean);

/**
 * `name` is the model's; `scale` says how axes are drawn. It stands in the page of its chapter, or apart, where all
 * that may be read is in sight, the settings are folded unless `open`, and so is what fits unless `fits`. `onChange` is
 * called when what it shows has changed; `start(arguments)` begins with a call that says more than the settings do.
 * @param {string} name
 * @param {Lab.Scale} scale
 * @param {{ desk?: Lab.Desk, onChange?: () => unknown, open?: boolean, fits?: boolean }} [how]
 */
export function computed(name, scale, { desk = state.page, onChange, open = false, fits = true } = {}) {
  const [form, picture] = [settings(name, scale.box, desk), redrawn()];
  const [place, troubles] = [h("div"), h("div", { class: "troubles" })];
  const elsewhere = (/** @type {Lab.Trouble} */ error) => form.refuses(error) && Boolean(ask());
  const answer = answers("memory", { words: tr("memory.computing"), troubles, elsewhere, drawn, onChange,
    rows: (_, found) => rows(found) });
  const fit = fitting(desk.whole);
  /** @type {Api.Block[]} */
  let view = [];
  const soon = later(120, () => ask());
  for (const part of form.parts) part.addEventListener("input", soon);
  scale.onChange(draw);
  const below = [desk.whole ? form.second : folded(tr("generate.settings"), form.second, open), fit.box];
  const last = h("div", { class: "fits-part" }, fits ? below : folded(tr("memory.fit_title"), below));
  const box = h("div", {}, form.first, form.troubles, troubles, answer.box, last);
  const stop = () => [answer, form].forEach((one) => one.stop());
  return { box, start: ask, stop, page: answer.page, view: () => view };

  /**
   * @param {Api.MemoryRequest} [given]
   * @returns {Promise<Api.Memory | null>}
   */
  async function ask(given) {
    const { args, ...facts } = given ? asCode(name, given) : form.asked();
    const result = await answer.ask(args, facts);
    if (result) fit.tell(result, ofKind(view, "table")[1], { page: { verb: "memory", arguments: args }, ...facts });
    else if (troubles.querySelector(".fault")) fit.box.hidden = true; // only asked anew: what there is stays
    return result;
  }

  /**
   * @param {Api.Memory} _
   * @param {Api.Block[]} found
   */
  function drawn(_, found) {
    view = found;
    draw();
    const [warnings, texts] = [true, false].map((warned) =>
      blocks(ofKind(view, "text").filter((block) => (block.tone === "warning") === warned)));
    const facts = blocks(ofKind(view, "facts"));
    if (!desk.whole) return [facts, place, blocks([ofKind(view, "table")[0]]), warnings, texts];
    return [place, warnings, h("details", {}, h("summary", {}, tr("memory.facts")), facts, texts)];
  }

  function draw() {
    const [curves] = ofKind(view, "curves");
    fill(place, curves ? pictured(curves, picture(scaled(curves, scale))) : null);
  }
}

/**
 * @param {string} title
 * @param {Lab.Child} inside
 */
const folded = (title, inside, open = false) => h("details", { open }, h("summary", {}, title), inside);

/** @param {Api.Block[]} view */
function rows(view) {
  const [{ columns, rows }] = ofKind(view, "table");
  return { columns, rows };
}

/**
 * The frame of what fits: hidden where no card is asked about.
 * @param {boolean} whole whether the page is its own
 */
function fitting(whole) {
  const place = h("div");
  const picture = frame(place, { name: "fits", title: tr("memory.fit_title"), whole });
  picture.box.hidden = true;
  return { box: picture.box, tell };

  /**
   * @param {Api.Memory} result
   * @param {Api.Table | undefined} table
   * @param {Lab.Facts} facts
   */
  function tell({ fits }, table, facts) {
    picture.box.hidden = !fits.length;
    if (!fits.length || !table) return;
    fill(place, verdicts(fits));
    const { caption, columns, rows } = table;
    picture.update({ caption: caption ?? "", table: { columns, rows }, json: fits, ...facts });
  }
}

/**
 * What can be set: `first` and `second` hold it, `parts` are what is typed into and ticked, `asked()` what it asks for.
 * @param {string} name
 * @param {HTMLElement} scale the choice of the axes, which stands among them
 * @param {Lab.Desk} desk
 */
function settings(name, scale, desk) {
  const saved = desk.read();
  const isCurve = desk.whole || !saved.tokens || saved.tokens.includes(",");
  const { known, ...shape } = shapes(name, saved.known ?? "");
  const mode = choice(["last", "all"], {
    name: "logits",
    legend: tr("memory.logits"),
    chosen: saved.mode ?? "last",
    said: (one) => tr(`memory.logits_is.${one}`),
  });
  const { cards, other } = cardsOf(parted(saved.gpu ?? USUAL.gpu));
  const chosen = (saved.precision ?? USUAL.precision).split(",");
  const precision = ticks(tr("memory.precision"), PRECISIONS.map((value) =>
    tick(value, { value, checked: chosen.includes(value) })));
  const kv = h("select", { id: unique("kv") }, PRECISIONS.map((one) => option(one, saved.kv ?? USUAL.kv)));
  const text = (saved.users ?? USUAL.users).replaceAll(",", ", ");
  const users = h("input", { type: "text", id: unique("users"), size: 12, value: text });
  const typed = h("div", { class: "row" },
    labelled(other, tr("memory.other_card")), labelled(kv, tr("memory.kv")), labelled(users, tr("memory.users_at")));
  return {
    first: h("div", { class: "row" }, labelled(known, tr("memory.model")), mode, isCurve ? scale : null),
    second: h("div", { class: "panel settings" }, precision, cards, typed),
    parts: [known, mode, cards, other, precision, kv, users],
    ...shape,
    asked: () => asked(name, desk, { known: known.value, mode: ticked(mode)[0] === "all" ? "all" : "last" }, {
      gpu: [...ticked(cards), ...parted(other.value)].join(",") || USUAL.gpu,
      precision: ticked(precision).join(",") || USUAL.precision,
      kv: kv.value,
      users: users.value.replaceAll(/\s/g, "") || USUAL.users,
    }),
  };
}

/**
 * @param {string} value
 * @param {string} chosen
 */
const option = (value, chosen) => h("option", { value, selected: value === chosen }, value);

/**
 * This model, and the published shapes that the card's chapter knows, to choose from. `refuses(error)`: whether it is
 * about a shape of the address that nobody has published; that is said in `troubles`, and this model's is chosen.
 * @param {string} name
 * @param {string} chosen
 */
function shapes(name, chosen) {
  const own = () => h("option", { value: "" }, tr("memory.this_model", { name }));
  const known = h("select", { id: unique("known") }, own(), chosen ? option(chosen, chosen) : null);
  const asking = new AbortController();
  call("card", { known: true }, { signal: asking.signal }).then(
    (card) => fill(known, own(), card.known.map((one) => option(one.name, chosen))),
    () => fill(known, own()));
  const troubles = h("div", { class: "troubles" });
  known.addEventListener("input", () => fill(troubles));
  let asked = chosen; // the list may come before the refusal, and has no such option
  const refuses = (/** @type {Lab.Trouble} */ error) => {
    if (error.code !== "unknown_shape" || !asked) return false;
    asked = "";
    fill(troubles, fault(error));
    fill(known, own());
    return true;
  };
  return { known, troubles, refuses, stop: () => asking.abort() };
}

/**
 * Cards as they are sold, to tick, and a field for others.
 * @param {string[]} asked
 */
function cardsOf(asked) {
  const boxes = CARDS.map((value) =>
    tick(sold(parseInt(value, 10) * 1e9), { value, checked: asked.includes(value) }));
  const rest = asked.filter((one) => !CARDS.includes(one)).join(", ");
  const placeholder = tr("memory.other_hint");
  const other = h("input", { type: "text", id: unique("gpu"), size: 12, value: rest, placeholder });
  return { cards: ticks(tr("memory.cards"), boxes), other };
}

/**
 * What the settings ask for: the verb's arguments, the lines of Python and of shell that say the same. The desk keeps
 * what is not the usual; the lengths on it are nobody's to move.
 * @param {string} name
 * @param {Lab.Desk} desk
 * @param {{ known: string, mode: "last" | "all" }} shape
 * @param {typeof USUAL} values
 */
function asked(name, desk, { known, mode }, values) {
  const keys = /** @type {(keyof typeof USUAL)[]} */ (Object.keys(USUAL));
  const moved = Object.fromEntries(keys.map((key) => [key, values[key] === USUAL[key] ? "" : values[key]]));
  desk.write({ known, mode: mode === "last" ? "" : mode, ...moved });
  const { gpu, precision } = values;
  const kv = moved.kv ? { kv_precision: moved.kv } : {};
  const users = moved.users ? { users_at: moved.users } : {};
  const { tokens } = desk.whole ? {} : desk.read();
  const shape = { ...(tokens ? { tokens } : {}), simulate: true, ...(known ? { known } : {}) };
  return asCode(name, { ...shape, mode, gpu, precision, ...kv, ...users });
}

/**
 * The verb's arguments with the lines that say the same.
 * @param {string} name
 * @param {Api.MemoryRequest} args
 */
function asCode(name, args) {
  const { known, ...rest } = args;
  return {
    args,
    python: inPython(name, "memory", [], { ...args }),
    command: onCommandLine(known || name, "memory", [], asFlags(rest)),
  };
}
