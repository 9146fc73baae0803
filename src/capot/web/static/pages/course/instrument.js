// The instruments of a lesson: a chapter's verb, drawn as everywhere in the lab, with what remakes it and a pin.

import { h, fill } from "../../lib/dom.js";
import { get } from "../../lib/api.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { root } from "../../lib/place.js";
import { tr } from "../../lib/words.js";
import { answers } from "../../parts/answer.js";
import { blocks } from "../../parts/blocks.js";
import { fault } from "../../parts/fault.js";
import { field } from "../../parts/fields.js";

/** What a chapter's own page reads in its address. */
const CARRIED = { prompt: "prompt", text: "prompt", question: "question", temperature: "temperature", seed: "seed" };

/**
 * @typedef {{
 *   record: import("./record.js").CourseRecord, model: string, id: string, title: string,
 *   done?: (result: unknown) => unknown,
 * }} How
 */

/**
 * One instrument. `run(arguments)` draws its answer and returns it, or null where it failed.
 * @param {Lab.LessonCall} call
 * @param {How} how
 */
export function instrument(call, { record, model, id, title }) {
  /** @type {Api.Block[]} */
  let view = [];
  let given = call.arguments;
  const answer = answers(call.verb, {
    words: tr("plain.waiting"),
    drawn: (_, drawn) => { view = drawn; return blocks(drawn); },
  });
  const pin = pinning({ record, id, made: () => ({
    id, title, verb: call.verb, arguments: given, model, made: new Date().toISOString(), view: slim(view),
  }) });
  const door = h("a", { class: "door", href: address(call) }, tr("course.open_chapter"));
  const settings = h("p", { class: "settings-line quiet" });
  const tools = h("div", { class: "row", hidden: true }, pin.button, call.chapter ? door : null);
  const run = async (/** @type {Record<string, unknown>} */ changes = {}) => {
    given = { ...call.arguments, ...changes };
    fill(settings, h("code", {}, said(call.verb, given)));
    door.href = address({ ...call, arguments: given });
    const taken = /** @type {Api.Verbs[keyof Api.Verbs]["takes"]} */ (/** @type {unknown} */ (given));
    const found = await answer.ask(taken, {
      python: inPython(model, call.verb, [], given), command: onCommandLine(model, call.verb, [], flags(given)),
    });
    if (found) tools.hidden = false;
    pin.show();
    return found;
  };
  const box = h("div", { class: "instrument", dataset: { verb: call.verb } }, settings, answer.box, tools);
  return { box, run, stop: answer.stop };
}

/**
 * The button that pins a picture, or takes it off.
 * @param {{ record: import("./record.js").CourseRecord, id: string, made: () => Lab.Pin }} how
 */
function pinning({ record, id, made }) {
  const button = h("button", { type: "button", class: "small pin", onclick: () => {
    if (record.pinned(id)) record.unpin(id);
    else record.pin(made());
    show();
  } });
  const show = () => {
    const pinned = record.pinned(id);
    button.setAttribute("aria-pressed", String(pinned));
    button.textContent = tr(pinned ? "course.pinned" : "course.pin");
  };
  show();
  return { button, show };
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

/** @param {Record<string, unknown>} given */
const flags = (given) =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [`--${name.replaceAll("_", "-")}`, value]));

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
  const made = part.calls.map((call, place) => instrument(call, { record, model, id: `${id}.${place}`, title }));
  const troubles = h("div");
  const place = h("div");
  const box = h("div", {}, place, troubles, made.map((one) => one.box));
  const start = async () => {
    try {
      const { verbs } = /** @type {{ verbs: Lab.Verb[] }} */ (await get(`/api/chapters/${part.calls[0].of}`));
      const setting = verbs.find(({ name }) => name === part.calls[0].verb)?.settings
        .find(({ name }) => name === part.vary);
      const run = (/** @type {Record<string, unknown>} */ changes) => made.forEach((one) => one.run(changes));
      if (setting) fill(place, varied({ ...setting, words: "" }, part, run));
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
  const one = field(setting, part.calls[0].arguments[part.vary] ?? setting.default);
  const asked = (/** @type {Event} */ event) => {
    event.preventDefault();
    const value = one.read();
    run(value === undefined ? {} : { [part.vary]: value });
  };
  return h("form", { class: "varied", onsubmit: asked }, one.box,
    h("button", { type: "submit", class: "primary" }, tr("course.run")));
}
