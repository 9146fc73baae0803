// The instruments of a lesson: a chapter's verb, drawn as everywhere in the lab, with what remakes it and a pin.

import { h, fill } from "../../lib/dom.js";
import { callDrawn, get } from "../../lib/api.js";
import { root } from "../../lib/place.js";
import { lang, tr } from "../../lib/words.js";
import { fault } from "../../parts/fault.js";
import { field } from "../../parts/fields.js";
import { common } from "./common.js";
import { live } from "./live.js";

const WRITTEN = ["generate", "assistant", "chat"]; // what these write in a last step, a learner asks for

/** What a chapter's own page reads in its address. */
const CARRIED = { prompt: "prompt", text: "prompt", question: "question", temperature: "temperature", seed: "seed" };

/**
 * @typedef {{
 *   record: import("./record.js").CourseRecord, model: string, id: string, title: string,
 *   vary?: string, again?: () => unknown,
 * }} How `vary` names what a learner is to change; `again` plays a whole question once more
 */

/**
 * One instrument: the chapter's own where it has one for a lesson, else the verb's answer as everywhere in the lab.
 * `run(changes)` plays the lesson's call and answers what came, or null where nothing did.
 * @param {Lab.LessonCall} call
 * @param {How} how
 */
export function instrument(call, { record, model, id, title, vary, again }) {
  let moved = true; // since the lesson's call was played
  /** @type {import("./live.js").Live | null} */
  let made = null;
  /** @type {Api.Block[]} */
  let view = [];
  const settings = h("p", { class: "settings-line quiet" });
  const link = h("a", { class: "chapter-link", href: address(call) }, tr("course.open_chapter"));
  // what is on show: the lesson's own call, until something is moved
  const now = () => /** @type {Record<string, unknown>} */ (moved && made?.page()?.arguments || call.arguments);
  const onChange = () => {
    const changes = named(call, now());
    fill(settings, h("code", {}, said(call.verb, changes)));
    link.href = address({ ...call, arguments: changes });
    tools.hidden = !made?.page();
  };
  const how = { model, onChange, vary, changed: () => { moved = true; }, again: again ?? (() => run()) };
  const pin = pinning({ record, id, made: async () => {
    const given = now();
    if (moved) ({ view } = await callDrawn(call.verb, taken(given)));
    const made = new Date().toISOString();
    return { id, title, verb: call.verb, arguments: given, model, made, lang: lang(), view: slim(view) };
  } });
  const tools = h("div", { class: "row", hidden: true }, pin.button, call.chapter ? link : null, pin.troubles);
  const alone = live(call, how);
  const one = made = alone ?? common(call, how);
  /** @type {(changes?: Record<string, unknown>) => Promise<unknown>} */
  const run = async (changes = {}) => {
    if (record.left.aborted) return null; // the one before was stopped as the page was left: nobody looks at this one
    const played = await one.run(changes);
    if (!played) return null;
    [view, moved] = [played.view, false];
    onChange();
    pin.show();
    return played.result;
  };
  const box = h("div", { class: "instrument", dataset: { verb: call.verb } }, settings, one.box, tools);
  return { box, run, stop: one.stop, live: alone !== null };
}

/** @param {Record<string, unknown>} given */
const taken = (given) => /** @type {Api.Verbs[keyof Api.Verbs]["takes"]} */ (/** @type {unknown} */ (given));

/**
 * What a call of the lesson names, as it stands now.
 * @param {Lab.LessonCall} call
 * @param {Record<string, unknown>} now
 */
const named = (call, now) =>
  Object.fromEntries(Object.entries(call.arguments).map(([name, value]) => [name, now[name] ?? value]));

/**
 * The button that pins a picture, or takes it off.
 * @param {{ record: import("./record.js").CourseRecord, id: string, made: () => Promise<Lab.Pin> }} how
 */
function pinning({ record, id, made }) {
  const troubles = h("div", { class: "troubles" });
  const button = h("button", { type: "button", class: "small pin", onclick: async () => {
    try {
      fill(troubles);
      if (record.pinned(id)) record.unpin(id);
      else record.pin(await made());
    } catch (error) {
      fill(troubles, fault(error));
    }
    show();
  } });
  const show = () => {
    const pinned = record.pinned(id);
    button.setAttribute("aria-pressed", String(pinned));
    button.textContent = tr(pinned ? "course.pinned" : "course.pin");
  };
  show();
  document.addEventListener("capot-course", show, { signal: record.left });
  return { button, show, troubles };
}

/**
 * Blocks as they are kept: of a figure its light face alone, which is the one of paper.
 * @param {Api.Block[]} view
 * @returns {Api.Block[]}
 */
function slim(view) {
  return view.map((block) => ("figure" in block
    ? /** @type {Api.Block} */ ({ ...block, figure: { light: block.figure.light } }) : block));
}

/**
 * A call in one line, as Python writes it.
 * @param {string} verb
 * @param {Record<string, unknown>} given
 */
export function said(verb, given) {
  return `${verb}(${Object.entries(given).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ")})`;
}

/**
 * The chapter's own page, with as much of a call as it takes.
 * @param {Lab.LessonCall} call
 */
function address({ chapter, arguments: given }) {
  const params = new URLSearchParams();
  for (const [name, key] of Object.entries(CARRIED)) {
    if (given[name] !== undefined) params.set(key, String(given[name]));
  }
  return `${root}/${chapter}${params.size ? `#${params}` : ""}`;
}

/**
 * The last step of a lesson: an instrument, one setting of which is the learner's.
 * @param {Lab.ChangePart} part
 * @param {How} how
 */
export function changing(part, { record, model, id, title }) {
  const made = part.calls.map((call, place) =>
    instrument(call, { record, model, id: `${id}.${place}`, title, vary: part.vary }));
  const troubles = h("div");
  const place = h("div");
  const box = h("div", {}, place, troubles, made.map((one) => one.box));
  const path = `/api/chapters/${part.calls[0].of}`;
  const start = async () => {
    if (made.every((one) => one.live)) { // its own fields are the learner's; what is written waits for the button
      if (!WRITTEN.includes(part.calls[0].verb)) for (const one of made) await one.run();
      return;
    }
    try {
      const { verbs } = /** @type {{ verbs: Lab.Verb[] }} */ (await get(path, { signal: record.left }));
      const setting = verbs.find(({ name }) => name === part.calls[0].verb)?.settings
        .find(({ name }) => name === part.vary);
      const run = (/** @type {Record<string, unknown>} */ changes) => made.forEach((one) => one.run(changes));
      if (setting) fill(place, varied(setting, part, run));
    } catch (error) {
      fill(troubles, fault(error, start));
    }
  };
  return { box, start, stop: () => made.forEach((one) => one.stop()) };
}

/**
 * @param {Lab.Setting} setting
 * @param {Lab.ChangePart} part
 * @param {(changes: Record<string, unknown>) => unknown} run
 */
function varied(setting, part, run) {
  const one = field(setting, part.calls[0].arguments[part.vary] ?? setting.default, { said: true });
  const asked = (/** @type {Event} */ event) => {
    event.preventDefault();
    const value = one.read();
    run(value === undefined ? {} : { [part.vary]: value });
  };
  return h("form", { class: "varied", onsubmit: asked }, one.box,
    h("button", { type: "submit", class: "primary" }, tr("course.run")));
}
