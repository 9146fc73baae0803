// The report: one file of HTML that opens with no server and prints in black and white. It is made in this browser.

import { h } from "../../lib/dom.js";
import { get } from "../../lib/api.js";
import { inPython } from "../../lib/code.js";
import { save } from "../../lib/keep.js";
import { root } from "../../lib/place.js";
import { lang, single, tr, unwritten } from "../../lib/words.js";
import { blocks } from "../../parts/blocks.js";
import { plotly } from "../../parts/figure.js";
import { built } from "./nodes.js";
import { shown } from "./predict.js";
import { keyOf } from "./record.js";

const STYLES = ["theme.css", "lab.css", "chapters.css", "course.css"];
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
const DASHES = ["solid", "dot", "longdash", "dashdot"]; // "dash" is what lies beyond the training
const HATCHES = ["", "/", "x", "|", "."];
const OWN = `
html { color-scheme: light; }
body.report { display: block; max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
* { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.report section { margin: 0 0 1.6rem; }
.report .one { border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem; margin: 0 0 1rem; }
.report dt { font-weight: 620; } .report dd { margin: 0 0 .6em; white-space: pre-wrap; overflow-wrap: anywhere; }
.report pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.report img { max-width: 100%; }
.report .scroll { overflow: visible; max-height: none; }
@page { margin: 14mm 12mm; }
@media print {
  html, body.report { background: #fff; padding: 0; }
  body.report { font-size: 9.5pt; max-width: none; }
  .report :is(dd, figure, pre, tr, .facts) { break-inside: avoid; }
  .report :is(h1, h2, .title, dt, .asked > p) { break-after: avoid; }
}
`;

/**
 * Make the report, and offer it as a file.
 * @param {{ record: import("./record.js").CourseRecord, lessons: Lab.LessonHead[], model: string }} how
 */
export async function report({ record, lessons, model }) {
  const pages = await Promise.all(lessons.map(({ number }) =>
    /** @type {Promise<Lab.Lesson>} */ (get(`/api/lessons/${number}`))));
  const styles = await Promise.all(STYLES.map(async (name) => (await fetch(`${root}/static/${name}`)).text()));
  const pins = await Promise.all(record.pins.map(pinned));
  const body = h("main", {}, h("h1", {}, tr("course.report.title")), head(record, model),
    pages.map((lesson) => ofLesson(lesson, record)).filter(Boolean),
    pins.length ? h("section", {}, h("h2", {}, tr("course.report.pins")), pins) : null);
  for (const part of body.querySelectorAll("[tabindex]")) part.removeAttribute("tabindex");
  save(`${tr("course.report.file")}.html`, whole(body, styles.join("\n")), "text/html");
}

/**
 * @param {HTMLElement} body
 * @param {string} styles
 */
function whole(body, styles) {
  const page = document.implementation.createHTMLDocument(tr("course.report.title"));
  page.documentElement.lang = lang();
  page.documentElement.dataset.theme = "light";
  page.head.prepend(h("meta", { charset: "utf-8" }),
    h("meta", { "http-equiv": "Content-Security-Policy", content: POLICY }),
    h("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }));
  page.body.className = "capot lab report";
  page.body.append(body);
  // an element of style would be held to the policy of this page, which is not the report's
  const written = page.documentElement.outerHTML.replace("</head>", () => `<style>\n${styles}${OWN}</style>\n</head>`);
  return `<!doctype html>\n${written}\n`;
}

/**
 * Whose report it is, of which model, and when it was made.
 * @param {import("./record.js").CourseRecord} record
 * @param {string} model
 */
function head(record, model) {
  const date = new Date().toLocaleString(lang(), { dateStyle: "long", timeStyle: "short" });
  const rows = [["name", record.name || tr("course.report.no_name")], ["date", date], ["model", model]];
  return h("dl", { class: "facts" },
    rows.map(([key, value]) => [h("dt", {}, tr(`course.report.${key}`)), h("dd", {}, value)]));
}

/**
 * A lesson as far as it was done; null where nothing was.
 * @param {Lab.Lesson} lesson
 * @param {import("./record.js").CourseRecord} record
 */
function ofLesson(lesson, record) {
  const done = lesson.parts.map((part) => {
    if (part.part === "question") return answered(part, record.read(keyOf(lesson.number, part.place)));
    if (part.part === "change") return changed(part, record.read(keyOf(lesson.number, "change")));
    return null;
  }).filter((one) => one !== null);
  return done.length ? h("section", {}, h("h2", {}, lesson.title), done) : null;
}

/**
 * @param {Lab.QuestionPart} part
 * @param {Lab.CourseAnswer} kept
 */
function answered(part, kept) {
  if (!kept.sealed) return null;
  const predicted = shown(part, /** @type {Lab.Predicted} */ (kept.predicted), kept.points);
  const verdict = typeof kept.came === "boolean" ? tr(kept.came ? "course.came" : "course.came_not") : "";
  const held = kept.seenRight ? "course.report.seen_right" : "course.report.seen_wrong";
  const read = typeof kept.seenRight === "boolean" ? tr(held) : "";
  const written = kept.seen ? `${kept.seen}${unitAfter(kept.seen, part)}` : "";
  /** @type {[string, Lab.Child][]} */
  const rows = [
    [part.kind === "words" ? "first" : "predicted", [h("div", {}, predicted), verdict]],
    ["seen", `${written}\n${read}`.trim()],
    ["after", kept.after ?? ""],
    ["why", kept.why ?? ""],
    ["hints", kept.hints ? String(kept.hints) : ""],
    ["answer", kept.shown ? [kept.right ?? "", built(kept.answer ?? [])] : ""],
  ];
  return h("div", { class: "one asked" }, built(part.ask), h("dl", {}, rows.map(([name, value]) =>
    (value === "" ? null : [h("dt", {}, tr(`course.report.${name}`)), h("dd", {}, value)]))));
}

/**
 * The unit after what was read, where that is a number alone: whoever typed a unit has said it.
 * @param {string} seen
 * @param {Lab.QuestionPart} part
 */
function unitAfter(seen, { seen_unit: several, seen_unit_one: one }) {
  const unit = one && single(seen) ? one : several;
  return unit && !Number.isNaN(unwritten(seen)) ? ` ${unit}` : "";
}

/**
 * @param {Lab.ChangePart} part
 * @param {Lab.CourseAnswer} kept
 */
function changed(part, kept) {
  return kept.why ? h("div", { class: "one asked" }, built(part.ask), h("dl", {},
    h("dt", {}, tr("course.report.change")), h("dd", {}, kept.why))) : null;
}

/**
 * A pinned picture, with the lines that make it again.
 * @param {Lab.Pin} pin
 */
async function pinned(pin) {
  const parts = await Promise.all(pin.view.map(async (block) =>
    ("figure" in block ? flat(/** @type {Api.Curves} */ (block)) : blocks([block]))));
  const other = pin.lang && pin.lang !== lang() ? tr(`course.report.pinned_in.${pin.lang}`) : "";
  return h("div", { class: "one" }, h("p", { class: "title" }, pin.title),
    other ? h("p", { class: "small quiet" }, other) : null, h("div", { lang: pin.lang ?? lang() }, parts),
    h("p", { class: "small quiet" }, `${pin.model}, ${new Date(pin.made).toLocaleString(lang())}`),
    h("pre", { class: "small" }, inPython(pin.model, pin.verb, [], pin.arguments)));
}

/**
 * Lines and areas that are told apart without their colours too: each has its own dashes, or its own hatching.
 * @param {Lab.Trace[]} data
 */
function apart(data) {
  const whole = data.filter(({ fill, line }) => !fill && line?.dash !== "dash");
  const areas = data.filter(({ fill }) => fill);
  return data.map((trace) => {
    const [place, area] = [whole.indexOf(trace), areas.indexOf(trace)];
    if (place > 0) return { ...trace, line: { ...trace.line, dash: DASHES[place % DASHES.length] } };
    const shape = HATCHES[area % HATCHES.length];
    return area > 0 ? { ...trace, fillpattern: { shape, fillmode: "replace", fgcolor: trace.line?.color } } : trace;
  });
}

/**
 * A figure of Plotly's as an image, since a report runs no script.
 * @param {Api.Curves} block
 */
async function flat(block) {
  const { data, layout } = block.figure.light;
  const how = { format: "svg", width: 900, height: 480 };
  const src = await (await plotly()).toImage({ data: apart(data), layout }, how);
  return h("figure", { class: "picture" }, block.title ? h("p", { class: "title" }, block.title) : null,
    h("img", { src, alt: block.title || block.caption || tr("figure.label") }),
    block.caption ? h("figcaption", {}, block.caption) : null);
}
