// The same prompt at several temperatures, side by side, on one stream.

import { fill, h, unique } from "../../lib/dom.js";
import { bits, number, tr, unwritten } from "../../lib/words.js";
import { fault } from "../../parts/fault.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { watched } from "../../lib/lasting.js";
import { raw } from "../../lib/api.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { asked, begun, hear, opening, piece, scale, surprise, wanted, why } from "./line.js";
import { chosen, flags } from "./controls.js";
import { settled, unsettled } from "./story.js";

const HEATS = [0, 0.7, 1, 1.5];
const MOST = 6; // columns, on one stream
const [LEAST, HOTTEST] = [0, 100]; // as the library takes them

/** The instrument of several temperatures; see `one`. */
export function beside({ field, settings, name, handed }) {
  let lines = [], running = null, seed, count;
  const id = unique("heats");
  const troubles = h("div", { class: "troubles", id: `${id}-troubles` });
  const heats = h("input", { id, type: "text", inputmode: "decimal", "aria-describedby": troubles.id, value: shown(state.read().heats), oninput: () => fill(troubles), onchange: heard }); // gone as one types: nothing moves under a click
  const says = status(() => halt());
  const go = h("button", { type: "button", class: "primary", onclick: () => begin() }, tr("generate.go_all"));
  const stop = h("button", { type: "button", onclick: () => halt(), disabled: true }, tr("actions.stop"));
  const columns = h("div", { class: "side-by-side" });
  const key = scale();
  key.hidden = true;
  const picture = frame(h("div", {}, columns, key), { name: "temperatures" });
  const box = h("div", {}, h("div", { class: "field" }, h("label", { for: id }, tr("generate.heats")), heats, troubles), h("div", { class: "row" }, go, stop), says.box, picture.box);
  tell();
  return { box, start, halt, further: () => {}, leave, get busy() { return running !== null; } };

  /** The visitor leaves; where the page comes back at once (`again`), what it is to go on with. */
  function leave({ again = false } = {}) {
    const under = again && running ? { seed, count, lines: lines.map(({ strip: _, note: __, ...line }) => structuredClone(line)) } : null;
    running?.abort();
    return under;
  }

  /** The temperatures typed, with a point or a comma, parted by spaces or semicolons; those that are none or too high; those too many. */
  function read() {
    const parts = [...new Set(heats.value.split(/[\s;]+/).filter(Boolean))];
    const good = (part) => unwritten(part) >= LEAST && unwritten(part) <= HOTTEST;
    const all = [...new Set(parts.filter(good).map(unwritten))];
    return { found: all.slice(0, MOST), wrong: parts.filter((part) => !good(part)), more: all.slice(MOST) };
  }

  /** What is typed is kept and judged: whether it is temperatures alone. */
  function heard() {
    const { found, wrong, more } = read();
    const say = wrong.length ? tr("generate.wrong_heats", { count: wrong.length, wrong: wrong.join("  "), least: LEAST, most: HOTTEST })
      : more.length ? tr("generate.many_heats", { most: MOST }) : found.length ? "" : tr("generate.no_heat");
    fill(troubles, say ? fault(new Error(say)) : null);
    heats.setAttribute("aria-invalid", String(Boolean(say)));
    state.write({ heats: found.join(" ") === HEATS.join(" ") ? "" : found.join(" ") });
    return say ? null : found;
  }

  function start() {
    if (handed) return goOn(handed);
    const saved = state.read();
    const [from, many, own] = (saved.all ?? "").split(":");
    if (from && field.text) begin(Number(from), Number(many) || settings.count(), unsettled(own, settings.sampling()));
  }

  /** Texts that were under way when the page was drawn anew. */
  function goOn(under) {
    [seed, count, lines] = [under.seed, under.count, under.lines];
    return draw();
  }

  /** New texts; `many` tokens each, by the settings `sampling` but for the temperature. */
  async function begin(from = settings.seed() ?? Math.floor(Math.random() * 2 ** 32), many = settings.count(), sampling = settings.sampling()) {
    const found = heard();
    if (!found) return heats.focus();
    running?.abort();
    [seed, count] = [from, many];
    lines = found.map((temperature) => Object.assign(begun(field.text, { sampling: { ...sampling, temperature }, seed, left: count }), { temperature }));
    state.write({ all: "" });
    return draw();
  }

  async function draw() {
    for (const line of lines) Object.assign(line, { strip: h("capot-strip", { pieces: [...opening(line.prompt), ...line.tokens.map(piece)], "aria-label": tr("generate.at", { temperature: number(line.temperature) }) }), note: h("p", { class: "quiet" }) });
    columns.classList.toggle("pairs", [2, 4].includes(lines.length)); // no column left alone on a line
    fill(columns, lines.map((line) => h("section", {}, h("h2", {}, tr("generate.at", { temperature: number(line.temperature) })), line.strip, line.note)));
    key.hidden = false;
    await run();
  }

  async function run() {
    const missing = () => lines.flatMap((line, index) => (wanted(line) ? [{ tag: String(index), verb: "generate", arguments: asked(line), view: false }] : []));
    const again = () => { for (const line of lines) if (line.left) line.reason = ""; run(); };
    const work = running = watched(missing, (kind, body, tag) => {
      const line = lines[Number(tag)];
      hear(line, kind, body, work.stopping);
      if (kind === "step") line.strip.push(piece(body));
      if (line.reason) line.note.textContent = why(line);
    }, { says, troubles: field.troubles, again });
    tell();
    await work.over;
    if (work.left) return;
    running = null;
    for (const line of lines.filter(wanted)) line.note.textContent = why(Object.assign(line, { reason: "interrupted" }));
    tell();
    if (lines.every((line) => line.prompt === field.text)) state.write({ all: [seed, count, settled({ ...lines[0].sampling, temperature: 1 })].join(":") });
  }

  function halt() {
    return running?.stop();
  }

  function tell() {
    stop.disabled = !running;
    const told = lines.filter((line) => line.tokens.length);
    if (running || !told.length) return picture.update({ caption: running ? "" : tr("generate.empty_all"), table: null, python: null, command: null, json: null, page: null });
    const sampling = { ...chosen(lines[0].sampling), max_new_tokens: count, seed };
    const [first, last] = [told[0], told.at(-1)];
    const calls = lines.map((line) => inPython(name(), "generate", [line.prompt], { ...sampling, temperature: line.temperature }));
    return picture.update({
      caption: tr("generate.compared", { count: lines.length, seed: String(seed), low: number(first.temperature), high: number(last.temperature), calm: bits(surprise(first), 1), wild: bits(surprise(last), 1) }),
      table: { columns: [tr("generate.temperature"), tr("generate.column.count"), tr("generate.column.bits"), tr("generate.column.stopped"), tr("generate.column.text")],
        rows: lines.map((line) => [number(line.temperature), line.tokens.length, number(surprise(line), 2), why(line), line.tokens.map((token) => token.token_text || token.label).join("")]) },
      python: [calls[0], ...calls.slice(1).map((text) => text.split("\n").at(-1))].join("\n"),
      command: lines.map((line) => onCommandLine(name(), "generate", [line.prompt], { ...flags(line.sampling), "--max-new-tokens": count, "--seed": seed })).join("\n"),
      json: lines.map((line) => line.result ?? { temperature: line.temperature, tokens: line.tokens }),
      page: { make: together },
    });
  }

  /** One page of the pages of all: each as the server draws it, one under the other. */
  async function together() {
    const pages = [];
    for (const line of lines) {
      const made = { prompt: line.prompt, ...line.sampling, seed, max_new_tokens: count };
      pages.push(await (await raw("/api/page/generate", made)).text());
    }
    const end = pages[0].lastIndexOf("</main>");
    const inside = pages.slice(1).map((text) => text.slice(text.indexOf(">", text.indexOf("<main")) + 1, text.lastIndexOf("</main>")));
    return new Blob([pages[0].slice(0, end), ...inside, pages[0].slice(end)], { type: "text/html" });
  }
}

/** Temperatures of an address as the reader writes them. */
const shown = (text) => (text ?? HEATS.join(" ")).split(/[ ;]+/).map((one) => (Number.isFinite(Number(one)) ? number(Number(one)) : one)).join("  ");
