// Instruments of a lesson whose answers come as one watches: a question four ways, a conversation, memory measured.

import { fill, h } from "../../lib/dom.js";
import { asFlags, inPython, onCommandLine } from "../../lib/code.js";
import { once } from "../../lib/resumable.js";
import { apart } from "../../lib/state.js";
import { tr } from "../../lib/words.js";
import { blocks, ofKind } from "../../parts/blocks.js";
import { fault } from "../../parts/fault.js";
import { frame, table } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { Coming, said } from "../assistant/talk.js";
import { templates } from "../assistant/template.js";
import { ways } from "../assistant/ways.js";
import { controls } from "../generate/controls.js";
import { asRows, soFar } from "../memory/measured.js";

/**
 * What a chapter's instrument is to a lesson. `run` plays the lesson's call and answers what it came to, or null;
 * `page` is what makes the picture on show again.
 * @typedef {{
 *   box: HTMLElement, run: (changes?: Record<string, unknown>) => Promise<Played | null>, stop: () => unknown,
 *   page: () => { verb: string, arguments: object } | null,
 * }} Live
 * @typedef {{ result: unknown, view: Api.Block[] }} Played
 * @typedef {{
 *   model: string, vary?: string, changed: () => unknown, onChange: () => unknown, again: () => unknown,
 * }} How
 * `vary` names what a learner is to change; `changed`: something was moved; `onChange`: another picture is on show;
 * `again` plays it once more where it failed
 */

/**
 * What makes the picture on show again.
 * @param {{ page: () => unknown }} made
 * @returns {Live["page"]}
 */
export const shown = (made) => () => /** @type {ReturnType<Live["page"]>} */ (made.page());

/**
 * One question, the ways beside each other.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
export function asking(call, { model, vary, changed, onChange, again }) {
  const { question, ...start } = /** @type {Api.AssistantRequest} */ (/** @type {unknown} */ (call.arguments));
  const box = h("div");
  const desk = apart({ prompt: question, ...start }, changed);
  /** @type {ReturnType<typeof ways> | null} */
  let made = null;
  const fold = (/** @type {HTMLElement[]} */ fields) =>
    h("details", { open: Boolean(vary) }, h("summary", {}, tr("course.settings")), fields);
  const build = async () => {
    const template = await templates(() => made?.changed(), { desk });
    made = ways({ settings: controls({ template: true, desk }), template, name: () => model, handed: null,
      apart: { desk, fold, onChange, again } });
    fill(box, made.box);
    return made;
  };
  const failed = (/** @type {Lab.Trouble} */ error) => {
    fill(box, fault(error, again));
    return null;
  };
  let building = build().catch(failed);
  const run = async () => {
    const built = await building ?? await (building = build().catch(failed));
    const { seed, ...settings } = start;
    return built && built.ask({ question, ...settings, ...(seed == null ? {} : { seed }) });
  };
  const page = () => /** @type {ReturnType<Live["page"]>} */ (made?.page() ?? null);
  return { box, run, stop: () => made?.leave(), page };
}

/**
 * A conversation: each message is sent once the one before is answered, and each answer comes as it is written.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
export function talking(call, { model, onChange, again }) {
  const { messages, ...settings } = /** @type {Api.ChatRequest} */ (/** @type {unknown} */ (call.arguments));
  const log = h("ol", { class: "chat", "aria-live": "polite" });
  const [bill, troubles] = [h("div", { class: "bill" }), h("div", { class: "troubles" })];
  const picture = frame(bill, { name: "conversation", onChange });
  const works = working();
  const turn = async (/** @type {string} */ message, /** @type {Api.Conversation | null} */ conversation) => {
    const coming = new Coming(message, model);
    log.append(...coming.items);
    const given = { ...settings, messages: [message], conversation };
    return /** @type {Promise<Played | null>} */ (works.done("chat", given, (...[kind, body]) => {
      if (kind === "started") coming.again();
      if (kind === "step") coming.write(body.text);
    }, { troubles, again }));
  };
  const run = async () => {
    fill(log);
    picture.box.hidden = true;
    /** @type {Played | null} */
    let played = null;
    for (const message of /** @type {string[]} */ (messages)) {
      played = await turn(message, /** @type {Api.Conversation | null} */ (played?.result ?? null));
      if (!played) return null;
    }
    return played && show(played);
  };
  const show = (/** @type {Played} */ played) => {
    const [chat] = ofKind(played.view, "chat");
    fill(log, chat.turns.map(said));
    const rest = played.view.filter(({ block }) => block !== "chat" && block !== "heading");
    fill(bill, blocks(rest));
    const [rows] = ofKind(rest, "table");
    const python = inPython(model, "chat", [messages], settings);
    picture.update({ ...facts(call, played), table: rows ?? null, python, command: null });
    picture.box.hidden = false;
    return played;
  };
  picture.box.hidden = true;
  return { box: h("div", {}, log, works.box, troubles, picture.box), run, stop: works.leave, page: shown(picture) };
}

/**
 * Memory measured on this machine, row after row.
 * @param {Lab.LessonCall} call
 * @param {How} how
 * @returns {Live}
 */
export function measuring(call, { model, onChange, again }) {
  const [place, troubles] = [h("div", { class: "answer" }), h("div", { class: "troubles" })];
  const picture = frame(place, { name: "memory", onChange });
  const works = working();
  const run = async () => {
    /** @type {Api.Row[]} */
    let rows = [];
    picture.box.hidden = true;
    const come = h("div", { class: "measuring" });
    works.box.after(come);
    const played = await works.done("memory", call.arguments, (...[kind, body]) => {
      if (kind !== "progress") return;
      // after a cut every length is measured again: rows stay until theirs comes
      rows = [...rows.filter((one) => one.tokens !== body.row.tokens), body.row];
      fill(come, soFar(body.done, body.total ?? rows.length), table(asRows(rows)));
    }, { troubles, again });
    come.remove();
    if (!played) return null;
    fill(place, blocks(played.view));
    const command = onCommandLine(model, "memory", [], asFlags(call.arguments));
    const python = inPython(model, "memory", [], call.arguments);
    picture.update({ ...facts(call, played), table: null, python, command });
    picture.box.hidden = false;
    return played;
  };
  picture.box.hidden = true;
  return { box: h("div", {}, works.box, troubles, picture.box), run, stop: works.leave, page: shown(picture) };
}

/**
 * What a frame keeps of a call of the lesson.
 * @param {Lab.LessonCall} call
 * @param {Played} played
 */
const facts = (call, { result }) => ({
  caption: "", json: result,
  page: /** @type {Lab.Facts["page"]} */ ({ verb: call.verb, arguments: call.arguments }),
});

/** Works on a stream, one at a time, with the line that says where they stand. */
function working() {
  /** @type {Lab.Resumable | null} */
  let running = null;
  const says = status(() => running?.stop());

  /**
   * What a work came to; null where it was stopped or failed.
   * @template {keyof Api.Verbs} Verb
   * @param {Verb} verb
   * @param {object} given
   * @param {Lab.Heard<Verb>} on
   * @param {{ troubles: HTMLElement, again: () => unknown }} how
   * @returns {Promise<Played | null>}
   */
  async function done(verb, given, on, { troubles, again }) {
    /** @type {Played | null} */
    let played = null;
    const args = /** @type {Api.Verbs[Verb]["takes"]} */ (given);
    const work = running = once({ verb, arguments: args, prompt: true, view: true }, (...event) => {
      on(...event);
      if (event[0] === "finished") played = /** @type {Played} */ (event[1]);
    }, { says, troubles, again });
    const fine = await work.over;
    running = null;
    return fine && !work.stopping ? played : null;
  }

  return { box: says.box, done, leave: () => running?.abort() };
}
