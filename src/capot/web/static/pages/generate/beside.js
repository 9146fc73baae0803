// The same prompt at several temperatures, side by side, on one stream.

import { fill, h, labelled, unique } from "../../lib/dom.js";
import { bits, number, tr, unwritten } from "../../lib/words.js";
import { fault } from "../../parts/fault.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { watched } from "../../lib/resumable.js";
import { raw } from "../../lib/api.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { asked, begun, hear, opening, piece, scale, surprise, wanted, why } from "./line.js";
import { chosen, flags } from "./controls.js";
import { settled, unsettled } from "./story.js";

const HEATS = [0, 0.7, 1, 1.5];
const MOST = 6; // columns, on one stream
const [LEAST, HOTTEST] = [0, 100]; // as the library takes them
const NOTHING = { table: null, python: null, command: null, json: null, page: null };

/** @typedef {{ seed: number, count: number, lines: Lab.Line[] }} Together texts begun together, one a temperature */
/** @typedef {{ box: HTMLElement, strip: Lab.Strip, note: HTMLElement }} Column where one of them is drawn */

/**
 * The instrument of several temperatures; see `one`.
 * @param {Lab.Writing<Together>} parts
 * @returns {Lab.Instrument<Together>}
 */
export const beside = (parts) => new Beside(parts);

class Beside {
  #parts;
  /** @type {Together} */
  #texts = { seed: 0, count: 0, lines: [] };
  /** @type {Column[]} */
  #columns = [];
  /** @type {Lab.Resumable | null} */
  #running = null;
  #heats = new Heats();
  #says = status(() => this.halt());
  #stop = h("button", { type: "button", onclick: () => this.halt(), disabled: true }, tr("actions.stop"));
  #place = h("div", { class: "side-by-side" });
  #key = scale();
  #picture = frame(h("div", {}, this.#place, this.#key), { name: "temperatures" });

  /** @param {Lab.Writing<Together>} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#key.hidden = true;
    const go = h("button", { type: "button", class: "primary", onclick: () => this.#begin() }, tr("generate.go_all"));
    const row = h("div", { class: "row" }, go, this.#stop);
    this.box = h("div", {}, this.#heats.box, row, this.#says.box, this.#picture.box);
    this.#tell();
  }

  get busy() {
    return this.#running !== null;
  }

  /**
   * The visitor leaves; where the page comes back at once (`again`), what it is to go on with.
   * @param {Lab.Leaving} [how]
   */
  leave({ again = false } = {}) {
    const under = again && this.#running ? structuredClone(this.#texts) : null;
    this.#running?.abort();
    return under;
  }

  further() {} // a text that is taken step by step is the other instrument's

  start() {
    const { field, settings, handed } = this.#parts;
    if (handed) return this.#draw(handed); // texts that were under way when the page was drawn anew
    const [from, many, own] = (state.read().all ?? "").split(":");
    if (!from || !field.text) return null;
    return this.#begin(Number(from), Number(many) || settings.count(), unsettled(own, settings.sampling()));
  }

  /** New texts; `many` tokens each, by the settings `sampling` but for the temperature. */
  async #begin(from = this.#seed(), many = this.#parts.settings.count(), sampling = this.#parts.settings.sampling()) {
    const found = this.#heats.chosen();
    if (!found) return this.#heats.focus();
    this.#running?.abort();
    const lines = found.map((temperature) =>
      begun(this.#parts.field.text, { sampling: { ...sampling, temperature }, seed: from, left: many }));
    state.write({ all: "" });
    return this.#draw({ seed: from, count: many, lines });
  }

  #seed() {
    return this.#parts.settings.seed() ?? Math.floor(Math.random() * 2 ** 32);
  }

  /** @param {Together} texts */
  async #draw(texts) {
    this.#texts = texts;
    this.#columns = texts.lines.map(column);
    this.#place.classList.toggle("pairs", [2, 4].includes(texts.lines.length)); // no column left alone on a line
    fill(this.#place, this.#columns.map((one) => one.box));
    this.#key.hidden = false;
    await this.#run();
  }

  async #run() {
    const { lines, seed, count } = this.#texts;
    const work = this.#running = this.#grow();
    this.#tell();
    await work.over;
    if (work.left) return;
    this.#running = null;
    for (const [index, line] of lines.entries()) {
      if (!wanted(line)) continue;
      line.reason = "interrupted";
      this.#columns[index].note.textContent = why(line);
    }
    this.#tell();
    if (lines.every((line) => line.prompt === this.#parts.field.text))
      state.write({ all: [seed, count, settled({ ...lines[0].sampling, temperature: 1 })].join(":") });
  }

  /** @returns {Lab.Resumable} */
  #grow() {
    const { lines } = this.#texts;
    /** @type {() => Lab.Work<"generate">[]} */
    const missing = () => lines.flatMap((line, index) =>
      (wanted(line) ? [{ tag: String(index), verb: "generate", arguments: asked(line), view: false }] : []));
    const again = () => {
      for (const line of lines) if (line.left) line.reason = "";
      this.#run();
    };
    const work = watched(missing, (...event) => {
      const [kind, body, tag] = event;
      const [line, { strip, note }] = [lines[Number(tag)], this.#columns[Number(tag)]];
      hear(line, event, work.stopping);
      if (kind === "step") strip.push(piece(body));
      if (line.reason) note.textContent = why(line);
    }, { says: this.#says, troubles: this.#parts.field.troubles, again });
    return work;
  }

  halt() {
    return this.#running?.stop();
  }

  #tell() {
    this.#stop.disabled = !this.#running;
    const begun = this.#texts.lines.filter((line) => line.tokens.length);
    if (this.#running || !begun.length)
      return this.#picture.update({ caption: this.#running ? "" : tr("generate.empty_all"), ...NOTHING });
    const { seed, lines } = this.#texts;
    return this.#picture.update({
      caption: compared(begun, { count: lines.length, seed }),
      table: asRows(lines),
      json: lines.map((line) => line.result ?? { temperature: line.sampling.temperature, tokens: line.tokens }),
      page: { make: () => together(this.#texts) },
      ...ways(this.#parts.name(), this.#texts),
    });
  }
}

/** The field of the temperatures, kept in the address. */
class Heats {
  #id = unique("heats");
  #troubles = h("div", { class: "troubles", id: `${this.#id}-troubles` });
  /** @type {HTMLInputElement} */
  #field = h("input", {
    id: this.#id,
    type: "text",
    inputmode: "decimal",
    "aria-describedby": this.#troubles.id,
    value: shown(state.read().heats),
    oninput: () => fill(this.#troubles), // gone as one types: nothing moves under a click
    onchange: () => this.chosen(),
  });
  box = labelled(this.#field, tr("generate.heats"), this.#troubles);

  focus() {
    this.#field.focus();
  }

  /**
   * The temperatures typed, with a point or a comma, parted by spaces or semicolons; those that are none or too high;
   * those too many.
   */
  #read() {
    const parts = [...new Set(this.#field.value.split(/[\s;]+/).filter(Boolean))];
    const good = (/** @type {string} */ part) => unwritten(part) >= LEAST && unwritten(part) <= HOTTEST;
    const all = [...new Set(parts.filter(good).map(unwritten))];
    return { found: all.slice(0, MOST), wrong: parts.filter((part) => !good(part)), more: all.slice(MOST) };
  }

  /**
   * What is typed is kept and judged: the temperatures, where it is temperatures alone.
   * @returns {number[] | null}
   */
  chosen() {
    const { found, wrong, more } = this.#read();
    const say = wrongly(wrong) || (more.length ? tr("generate.many_heats", { most: MOST }) : "")
      || (found.length ? "" : tr("generate.no_heat"));
    fill(this.#troubles, say ? fault(new Error(say)) : null);
    this.#field.setAttribute("aria-invalid", String(Boolean(say)));
    state.write({ heats: found.join(" ") === HEATS.join(" ") ? "" : found.join(" ") });
    return say ? null : found;
  }
}

/** @param {string[]} wrong */
function wrongly(wrong) {
  const said = { count: wrong.length, wrong: wrong.join("  "), least: LEAST, most: HOTTEST };
  return wrong.length ? tr("generate.wrong_heats", said) : "";
}

/**
 * Temperatures of an address as the reader writes them.
 * @param {string | undefined} text
 */
const shown = (text) =>
  (text ?? HEATS.join(" ")).split(/[ ;]+/)
    .map((one) => (Number.isFinite(Number(one)) ? number(Number(one)) : one)).join("  ");

/**
 * @param {Lab.Line} line
 * @returns {Column}
 */
function column({ prompt, tokens, sampling }) {
  const title = tr("generate.at", { temperature: number(sampling.temperature) });
  const strip = h("capot-strip", { pieces: [...opening(prompt), ...tokens.map(piece)], "aria-label": title });
  const note = h("p", { class: "quiet" });
  return { strip, note, box: h("section", {}, h("h2", {}, title), strip, note) };
}

/**
 * The sentences under the columns.
 * @param {Lab.Line[]} begun
 * @param {{ count: number, seed: number }} how
 */
function compared(begun, { count, seed }) {
  const [first, last] = [begun[0], begun[begun.length - 1]];
  return tr("generate.compared", {
    count,
    seed: String(seed),
    low: number(first.sampling.temperature),
    high: number(last.sampling.temperature),
    calm: bits(surprise(first), 1),
    wild: bits(surprise(last), 1),
  });
}

/**
 * @param {Lab.Line[]} lines
 * @returns {Lab.Rows}
 */
function asRows(lines) {
  const names = ["column.count", "column.bits", "column.stopped", "column.text"];
  return {
    columns: [tr("generate.temperature"), ...names.map((name) => tr(`generate.${name}`))],
    rows: lines.map((line) => [
      number(line.sampling.temperature),
      line.tokens.length,
      number(surprise(line), 2),
      why(line),
      line.tokens.map((token) => token.token_text || token.label).join(""),
    ]),
  };
}

/**
 * The lines of Python and of shell that give the same texts.
 * @param {string} name
 * @param {Together} texts
 * @returns {Lab.AsCode}
 */
function ways(name, { seed, count, lines }) {
  const sampling = { ...chosen(lines[0].sampling), max_new_tokens: count, seed };
  const calls = lines.map(({ prompt, sampling: { temperature } }) =>
    inPython(name, "generate", [prompt], { ...sampling, temperature }).split("\n"));
  const commands = lines.map((line) => onCommandLine(name, "generate", [line.prompt],
    { ...flags(line.sampling), "--max-new-tokens": count, "--seed": seed }));
  return {
    python: calls.map((one, index) => one.slice(index ? -1 : 0).join("\n")).join("\n"),
    command: commands.join("\n"),
  };
}

/**
 * One page of the pages of all: each as the server draws it, one under the other.
 * @param {Together} texts
 */
async function together({ seed, count, lines }) {
  const pages = [];
  for (const line of lines) {
    const made = { prompt: line.prompt, ...line.sampling, seed, max_new_tokens: count };
    pages.push(await (await raw("/api/page/generate", made)).text());
  }
  const end = pages[0].lastIndexOf("</main>");
  const inside = pages.slice(1).map((text) =>
    text.slice(text.indexOf(">", text.indexOf("<main")) + 1, text.lastIndexOf("</main>")));
  return new Blob([pages[0].slice(0, end), ...inside, pages[0].slice(end)], { type: "text/html" });
}
