// The same prompt at several temperatures, side by side, on one stream.

import { fill, h, unique } from "../../lib/dom.js";
import { number, tr, unwritten } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { watched } from "../../lib/lasting.js";
import { raw } from "../../lib/api.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { asked, begun, hear, opening, piece, scale, surprise, wanted, why } from "./line.js";
import { chosen, flags } from "./controls.js";

const HEATS = [0, 0.7, 1, 1.5];
const MOST = 6; // columns, on one stream

/** The instrument of several temperatures; see `one`. */
export function beside({ field, settings, name }) {
  let lines = [], running = null, seed;
  const id = unique("heats");
  const heats = h("input", { id, type: "text", inputmode: "decimal", value: (state.read().heats ?? HEATS.join(" ")).split(/[ ;]+/).map((text) => number(Number(text))).join("  "), onchange: () => state.write({ heats: read().join(" ") === HEATS.join(" ") ? "" : read().join(" ") }) });
  const says = status(() => halt());
  const go = h("button", { type: "button", class: "primary", onclick: () => begin() }, tr("generate.go_all"));
  const stop = h("button", { type: "button", onclick: () => halt(), disabled: true }, tr("actions.stop"));
  const columns = h("div", { class: "side-by-side" });
  const key = scale();
  key.hidden = true;
  const picture = frame(h("div", {}, columns, key), { name: "temperatures" });
  const box = h("div", {}, h("div", { class: "field" }, h("label", { for: id }, tr("generate.heats")), heats), h("div", { class: "row" }, go, stop), says.box, picture.box);
  tell();
  return { box, start, halt, further: () => {}, leave: () => running?.abort(), get busy() { return running !== null; } };

  /** The temperatures typed, with a point or a comma, parted by spaces or semicolons. */
  function read() {
    const found = heats.value.split(/[\s;]+/).map(unwritten).filter((value) => value >= 0 && value <= 100);
    return [...new Set(found)].slice(0, MOST);
  }

  function start() {
    const saved = state.read();
    if (saved.all && field.text) begin(Number(saved.all));
  }

  async function begin(from = settings.seed() ?? Math.floor(Math.random() * 2 ** 32)) {
    running?.abort();
    seed = from;
    lines = read().map((temperature) => Object.assign(begun(field.text, { sampling: { ...settings.sampling(), temperature }, seed, left: settings.count() }), { temperature }));
    if (!lines.length) return says.note(tr("generate.no_heat"));
    for (const line of lines) Object.assign(line, { strip: h("capot-strip", { pieces: opening(line.prompt), "aria-label": tr("generate.at", { temperature: number(line.temperature) }) }), note: h("p", { class: "quiet" }) });
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
    state.write({ all: seed });
  }

  function halt() {
    return running?.stop();
  }

  function tell() {
    stop.disabled = !running;
    const told = lines.filter((line) => line.tokens.length);
    if (running || !told.length) return picture.update({ caption: running ? "" : tr("generate.empty_all"), table: null, python: null, command: null, json: null, page: null });
    const sampling = { ...chosen(lines[0].sampling), max_new_tokens: settings.count(), seed };
    const [first, last] = [told[0], told.at(-1)];
    const calls = lines.map((line) => inPython(name(), "generate", [line.prompt], { ...sampling, temperature: line.temperature }));
    return picture.update({
      caption: tr("generate.compared", { count: lines.length, seed: String(seed), low: number(first.temperature), high: number(last.temperature), calm: number(surprise(first), 1), wild: number(surprise(last), 1) }),
      table: { columns: [tr("generate.temperature"), tr("generate.column.count"), tr("generate.column.bits"), tr("generate.column.stopped"), tr("generate.column.text")],
        rows: lines.map((line) => [number(line.temperature), line.tokens.length, number(surprise(line), 2), why(line), line.tokens.map((token) => token.token_text || token.label).join("")]) },
      python: [calls[0], ...calls.slice(1).map((text) => text.split("\n").at(-1))].join("\n"),
      command: lines.map((line) => onCommandLine(name(), "generate", [line.prompt], { ...flags(line.sampling), "--max-new-tokens": settings.count(), "--seed": seed })).join("\n"),
      json: lines.map((line) => line.result ?? { temperature: line.temperature, tokens: line.tokens }),
      page: { make: together },
    });
  }

  /** One page of the pages of all: each as the server draws it, one under the other. */
  async function together() {
    const pages = [];
    for (const line of lines) {
      const made = { prompt: line.prompt, ...line.sampling, seed, max_new_tokens: settings.count() };
      pages.push(await (await raw("/api/page/generate", made)).text());
    }
    const end = pages[0].lastIndexOf("</main>");
    const inside = pages.slice(1).map((text) => text.slice(text.indexOf(">", text.indexOf("<main")) + 1, text.lastIndexOf("</main>")));
    return new Blob([pages[0].slice(0, end), ...inside, pages[0].slice(end)], { type: "text/html" });
  }
}
