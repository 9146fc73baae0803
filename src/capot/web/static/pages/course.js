// The guided mode: the lessons, or one of them with its text, its instruments, its questions and answers on one page.

import { fill, h, labelled, unique } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { cannotObey } from "../lib/link.js";
import { root } from "../lib/place.js";
import * as state from "../lib/state.js";
import { tr } from "../lib/words.js";
import { fault, waiting } from "../parts/fault.js";
import { changing, instrument } from "./course/instrument.js";
import { built } from "./course/nodes.js";
import { Question } from "./course/question.js";
import { CourseRecord, itemOf, keyOf } from "./course/record.js";
import { report } from "./course/report.js";

/** @typedef {{ start?: () => unknown, stop: () => unknown }} Live */

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model, left }) {
  const contents = /** @type {Lab.CourseContents} */ (await get("/api/lessons", { signal: left }));
  const record = new CourseRecord(contents.course);
  left.addEventListener("abort", () => record.close());
  const name = model?.model ?? "boxed";
  const asked = state.read().lesson;
  const here = contents.lessons.find(({ number }) => String(number) === asked);
  if (asked && !here) cannotObey("lesson");
  /** @type {Live[]} */
  const live = [];
  main.classList.add("course");
  main.append(learner(record, contents, name));
  if (here) {
    const lesson = /** @type {Lab.Lesson} */ (await get(`/api/lessons/${here.number}`, { signal: left }));
    main.append(unfolding(lesson, { record, model: name, live }), around(contents, here));
  } else {
    main.append(listed(contents, record));
  }
  main.append(erasing(record));
  return { leave: () => live.forEach((one) => one.stop()) };
}

/**
 * The instruments one after the other, in reading order: the page is drawn meanwhile.
 * @param {Live[]} live
 */
async function begin(live) {
  for (const one of live) await one.start?.();
}

/** @param {number} number */
const address = (number) => `${root}/course#lesson=${number}`;

/**
 * How many questions of a lesson have been answered so far.
 * @param {CourseRecord} record
 * @param {Lab.LessonHead} lesson
 */
const answered = (record, { number, questions }) =>
  Array.from({ length: questions }, (_, place) => record.read(keyOf(number, place))).filter((one) => one.sealed).length;

/**
 * Whose report it is, and the button that makes it.
 * @param {CourseRecord} record
 * @param {Lab.CourseContents} contents
 * @param {string} model
 */
function learner(record, contents, model) {
  const input = h("input", { id: unique("name"), type: "text", autocomplete: "off", maxlength: 80, value: record.name,
    oninput: () => { record.name = input.value; } });
  const troubles = h("div", { class: "troubles" });
  const full = h("p", { class: "warning", role: "status", hidden: record.whole }, tr("course.no_room"));
  document.addEventListener("capot-course", () => { full.hidden = record.whole; }, { signal: record.left });
  record.follow("name", () => { input.value = record.name; });
  const make = async () => {
    const note = waiting(fill(troubles), tr("keep.making"));
    try {
      await report({ record, lessons: contents.lessons, model });
    } catch (error) {
      fill(troubles, fault(error, make));
    } finally {
      note.done();
    }
  };
  return h("div", { class: "learner" },
    h("p", { class: "lead" }, tr("course.lead")),
    h("div", { class: "row" }, labelled(input, tr("course.name")),
      h("button", { type: "button", class: "report-button", onclick: make }, tr("course.report.make"))),
    full, troubles);
}

/**
 * @param {Lab.CourseContents} contents
 * @param {CourseRecord} record
 */
function listed({ lessons }, record) {
  return h("ol", { class: "lessons" }, lessons.map((lesson) => {
    const done = answered(record, lesson);
    return h("li", { class: "panel" },
      h("h2", {}, h("a", { href: address(lesson.number) },
        lesson.number ? `${lesson.number}. ${lesson.title}` : lesson.title)),
      h("p", {}, lesson.goal),
      h("p", { class: "small quiet" }, tr("course.minutes", { minutes: lesson.minutes }), " · ",
        tr("course.done", { done, questions: lesson.questions })));
  }));
}

/**
 * A lesson's parts, up to the first prediction that is not sealed: what comes after it may answer it. What runs in them
 * is added to `live`.
 * @param {Lab.Lesson} lesson
 * @param {{ record: CourseRecord, model: string, live: Live[] }} how
 */
function unfolding(lesson, { record, model, live }) {
  const rest = h("p", { class: "quiet unfolds" }, tr("course.unfolds"));
  const box = h("div", { class: "parts" }, rest);
  const isOpen = (/** @type {Lab.LessonPart} */ part) =>
    part.part !== "question" || Boolean(record.read(keyOf(lesson.number, part.place)).sealed);
  let works = Promise.resolve();
  let shown = 0;
  const unfold = () => {
    const waits = lesson.parts.findIndex((part) => !isOpen(part));
    const end = waits < 0 ? lesson.parts.length : waits + 1;
    const before = live.slice(-1); // the prediction just sealed has its run first
    const come = lesson.parts.slice(shown, end).map((_, place) => drawn(lesson, shown + place, { record, model }));
    shown = Math.max(shown, end);
    rest.before(...come.map((part) => part.box));
    rest.hidden = shown === lesson.parts.length;
    const made = come.flatMap((part) => part.live);
    live.push(...made);
    if (made.length) works = works.then(() => begin([...before, ...made]));
  };
  unfold();
  document.addEventListener("capot-course", unfold, { signal: record.left });
  return box;
}

/**
 * A part of a lesson, and what runs in it.
 * @param {Lab.Lesson} lesson
 * @param {number} place
 * @param {{ record: CourseRecord, model: string }} how
 * @returns {{ box: HTMLElement, live: Live[] }}
 */
function drawn({ number, title, parts }, place, { record, model }) {
  const part = parts[place];
  if (part.part === "prose") return { box: h("div", { class: "prose" }, built(part.nodes)), live: [] };
  if (part.part === "question") {
    const question = new Question(part, { number, record, model, title });
    return { box: question.box, live: [question] };
  }
  const figures = parts.slice(0, place + 1).filter((one) => one.part === "figure").length;
  const key = keyOf(number, part.part === "change" ? "change" : `figure${figures}`);
  if (part.part === "change") return change(part, { record, model, key, title });
  const shown = part.calls.map((call, at) => instrument(call, { record, model, id: `${key}.${at}`, title }));
  const live = shown.map((one) => ({ start: () => one.run(), stop: one.stop }));
  return { box: h("div", { class: "shown" }, shown.map((one) => one.box)), live };
}

/**
 * @param {Lab.ChangePart} part
 * @param {{ record: CourseRecord, model: string, key: string, title: string }} how
 */
function change(part, { record, model, key, title }) {
  const made = changing(part, { record, model, id: key, title });
  /** @type {HTMLTextAreaElement} */
  const input = h("textarea", { id: unique("note"), rows: 3, value: record.read(key).why ?? "",
    oninput: () => record.set(key, { why: input.value }) });
  record.follow(itemOf(key), () => { input.value = record.read(key).why ?? ""; });
  const box = h("section", { class: "question change panel", dataset: { question: key } },
    h("h3", {}, tr("course.change")), built(part.ask), made.box, labelled(input, tr("course.changed")));
  return { box, live: [made] };
}

/**
 * The lessons before and after this one, and the way back to them all.
 * @param {Lab.CourseContents} contents
 * @param {Lab.LessonHead} here
 */
function around({ lessons }, here) {
  const at = lessons.findIndex(({ number }) => number === here.number);
  const [before, after] = [lessons[at - 1], lessons[at + 1] ?? lessons.find(({ number }) => number === 0)];
  const link = (/** @type {Lab.LessonHead | undefined} */ lesson, /** @type {string} */ words) =>
    (lesson && lesson.number !== here.number ? h("a", { href: address(lesson.number) }, tr(words, lesson)) : null);
  return h("nav", { class: "row spread around", "aria-label": tr("course.around") },
    link(before, "course.before"), h("a", { href: `${root}/course` }, tr("course.all")), link(after, "course.next"));
}

/**
 * School machines are shared: what this browser keeps can be erased here.
 * @param {CourseRecord} record
 */
function erasing(record) {
  const erase = () => {
    record.erase();
    location.reload();
  };
  return h("details", { class: "erasing" }, h("summary", {}, tr("course.erase")),
    h("p", {}, tr("course.erase_means")),
    h("button", { type: "button", onclick: erase }, tr("course.erase_now")));
}
