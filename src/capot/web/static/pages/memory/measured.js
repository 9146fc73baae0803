// Measured on this machine when asked: row after row, with a way to stop that keeps what there is.

import { fill, h, unique } from "../../lib/dom.js";
import { duration, number, size, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { once } from "../../lib/lasting.js";
import { blocks, pictured, redrawn } from "../../parts/blocks.js";
import { fault } from "../../parts/fault.js";
import { frame, table } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { scaled } from "./axes.js";

const LENGTHS = "1, 16, 64, 256, 512, 1024";

/** See `computed`; `mode()` is which logits are kept. */
export function measured(name, scale, mode) {
  let running = null, last = null, rows = [];
  const pictures = [redrawn(), redrawn()];
  const lengths = h("input", { type: "text", id: unique("lengths"), size: 26, value: state.read().lengths ?? LENGTHS, onchange: () => state.write({ lengths: lengths.value === LENGTHS ? "" : lengths.value }) });
  const says = status(() => halt());
  const go = h("button", { type: "button", class: "primary", onclick: () => measure() }, tr("memory.measure"));
  const stop = h("button", { type: "button", disabled: true, onclick: () => halt() }, tr("actions.stop"));
  const troubles = h("div", { class: "troubles" });
  const progress = h("div", { class: "measuring", hidden: true });
  const place = h("div");
  const picture = frame(h("div", {}, progress, place), { name: "measured" });
  picture.box.hidden = true;
  scale.heard(() => last && draw());
  const box = h("section", {}, h("h2", {}, tr("memory.measured_title")), h("p", {}, tr("memory.measured_lead", { model: name })),
    h("div", { class: "row" }, h("div", { class: "field" }, h("label", { for: lengths.id }, tr("memory.lengths")), lengths), go, stop), troubles, says.box, picture.box);
  return { box, measure, stop: quit };

  /** Whether anything was under way. */
  function quit() {
    const under = running !== null;
    running?.abort();
    return under;
  }

  async function measure() {
    const tokens = lengths.value.split(/[\s,;]+/).filter(Boolean).map(Number);
    const args = { tokens: tokens.some((one) => !Number.isInteger(one)) ? lengths.value : tokens, mode: mode() };
    [rows, last] = [[], null];
    fill(place);
    const work = running = once({ verb: "memory", arguments: args, view: true }, (kind, body) => {
      if (kind === "progress") { // after a cut every length is measured again: rows stay until theirs comes
        rows = [...rows.filter((row) => row.tokens !== body.row.tokens), body.row].sort((a, b) => a.tokens - b.tokens);
        show(body);
      }
      if (kind === "error" && body.error.code !== "interrupted") fill(troubles, fault(body.error));
      if (kind === "finished") last = { ...body, args };
    }, { says, troubles, again: measure, kinds: ["queued"], words: tr("memory.measuring") });
    stop.disabled = !(go.disabled = true);
    await work.over;
    if (work.left) return;
    running = null;
    go.disabled = !(stop.disabled = true);
    if (last) tell();
  }

  function halt() {
    return running?.stop();
  }

  /** What is measured so far, with how much of it that is. */
  function show({ done, total }) {
    says.clear();
    picture.box.hidden = progress.hidden = false;
    const words = tr("memory.progress", { done, total: total ?? rows.length });
    fill(progress, h("p", { class: "waiting" }, h("span", {}, words), total ? h("progress", { max: total, value: done, "aria-label": words }) : null),
      table({ columns: ["tokens", "measured", "computed", "time"].map((key) => tr(`memory.column.${key}`)), rows: rows.map((row) => [number(row.tokens), size(row.measured_bytes), size(row.computed.kv_cache + row.computed.activations + row.computed.logits), duration(row.seconds)]) }));
  }

  function tell() {
    const { result, view, args } = last;
    const drawnTable = view.find((block) => block.block === "table");
    picture.box.hidden = false;
    progress.hidden = true;
    draw();
    const text = Array.isArray(args.tokens) ? args.tokens.join(",") : args.tokens;
    picture.update({ caption: "", table: drawnTable ? { columns: drawnTable.columns, rows: drawnTable.rows } : null, json: result, page: { verb: "memory", arguments: args },
      python: inPython(name, "memory", [args.tokens], { mode: args.mode }), command: onCommandLine(name, "memory", [], { "--tokens": text, "--mode": args.mode }) });
  }

  function draw() {
    const curves = last.view.filter((block) => block.block === "curves");
    fill(place, blocks(last.view.filter((block) => block.block === "text" && block.tone === "warning")),
      h("div", {}, curves.map((one, index) => pictured(one, pictures[index](scaled(one, scale))))),
      blocks(last.view.filter((block) => block.block === "text" && block.tone !== "warning")));
  }
}
