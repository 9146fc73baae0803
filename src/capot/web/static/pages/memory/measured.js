// Measured on this machine when asked: row after row, with a way to stop that keeps what there is.

import { fill, h, labelled, unique } from "../../lib/dom.js";
import { duration, number, size, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { once } from "../../lib/resumable.js";
import { blocks, ofKind, pictured, redrawn } from "../../parts/blocks.js";
import { fault } from "../../parts/fault.js";
import { frame, table } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { scaled } from "./axes.js";

const LENGTHS = "1, 16, 64, 256, 512, 1024";

/** @typedef {{ tokens: string | number[], mode: "last" | "all" }} Arguments */
/** @typedef {{ result: Api.Memory, view: Api.Block[], args: Arguments }} Measured */

/**
 * See `computed`; which logits are kept is the page's setting too.
 * @param {string} name
 * @param {Lab.Scale} scale
 */
export function measured(name, scale) {
  /** @type {Lab.Resumable | null} */
  let running = null;
  const says = status(() => halt());
  const go = h("button", { type: "button", class: "primary", onclick: () => measure() }, tr("memory.measure"));
  const stop = h("button", { type: "button", disabled: true, onclick: () => halt() }, tr("actions.stop"));
  const troubles = h("div", { class: "troubles" });
  const lengths = field();
  const shown = showing(name, scale);
  const box = h("section", {},
    h("h2", {}, tr("memory.measured_title")), h("p", {}, tr("memory.measured_lead", { model: name })),
    h("div", { class: "row" }, lengths.box, go, stop), troubles, says.box, shown.box);
  return { box, measure, stop: quit };

  /** Whether anything was under way. */
  function quit() {
    const under = running !== null;
    running?.abort();
    return under;
  }

  async function measure() {
    const args = lengths.asked();
    shown.clear();
    const work = running = once({ verb: "memory", arguments: args, view: true }, (...[kind, body]) => {
      if (kind === "progress") { says.clear(); shown.progress(body); }
      if (kind === "error" && body.error.code !== "interrupted") fill(troubles, fault(body.error));
      if (kind === "finished") shown.finish({ ...body, args });
    }, { says, troubles, again: measure, kinds: ["queued"], words: tr("memory.measuring") });
    stop.disabled = !(go.disabled = true);
    await work.over;
    if (work.left) return;
    running = null;
    go.disabled = !(stop.disabled = true);
    shown.tell();
  }

  function halt() {
    return running?.stop();
  }
}

/** The lengths to measure, kept in the address; `asked()` are the verb's arguments. */
function field() {
  const value = state.read().lengths ?? LENGTHS;
  const keep = () => state.write({ lengths: input.value === LENGTHS ? "" : input.value });
  /** @type {HTMLInputElement} */
  const input = h("input", { type: "text", id: unique("lengths"), size: 26, value, onchange: keep });
  /** @type {() => Arguments} */
  const asked = () => {
    const tokens = input.value.split(/[\s,;]+/).filter(Boolean).map(Number);
    const mode = state.read().mode === "all" ? "all" : "last";
    return { tokens: tokens.some((one) => !Number.isInteger(one)) ? input.value : tokens, mode };
  };
  return { box: labelled(input, tr("memory.lengths")), asked };
}

/**
 * The picture of what is measured: row after row, then drawn.
 * @param {string} name
 * @param {Lab.Scale} scale
 */
function showing(name, scale) {
  /** @type {Measured | null} */
  let last = null;
  /** @type {Api.Row[]} */
  let rows = [];
  const pictures = [redrawn(), redrawn()];
  const under = h("div", { class: "measuring", hidden: true });
  const place = h("div");
  const picture = frame(h("div", {}, under, place), { name: "measured" });
  picture.box.hidden = true;
  scale.onChange(() => last && draw(last));
  return { box: picture.box, clear, progress, finish: (/** @type {Measured} */ body) => { last = body; }, tell };

  function clear() {
    last = null;
    rows = [];
    fill(place);
  }

  /** @param {Lab.Events["progress"]} body */
  function progress({ row, done, total }) {
    // after a cut every length is measured again: rows stay until theirs comes
    rows = [...rows.filter((one) => one.tokens !== row.tokens), row].sort((a, b) => a.tokens - b.tokens);
    picture.box.hidden = under.hidden = false;
    fill(under, soFar(done, total ?? rows.length), table(asRows(rows)));
  }

  /** What has come, where anything has. */
  function tell() {
    if (!last) return;
    picture.box.hidden = false;
    under.hidden = true;
    draw(last);
    picture.update(facts(name, last));
  }

  /** @param {Measured} body */
  function draw({ view }) {
    const [warnings, texts] = [true, false].map((warned) =>
      blocks(ofKind(view, "text").filter((block) => (block.tone === "warning") === warned)));
    const curves = ofKind(view, "curves").map((one, index) => pictured(one, pictures[index](scaled(one, scale))));
    fill(place, warnings, h("div", {}, curves), texts);
  }
}

/**
 * How much is measured so far.
 * @param {number} done
 * @param {number} total
 */
export function soFar(done, total) {
  const words = tr("memory.progress", { done, total });
  const bar = total ? h("progress", { max: total, value: done, "aria-label": words }) : null;
  return h("p", { class: "waiting" }, h("span", {}, words), bar);
}

/** @param {Api.Row[]} rows */
export const asRows = (rows) => ({
  columns: ["tokens", "measured", "computed", "time"].map((key) => tr(`memory.column.${key}`)),
  rows: rows.map(({ tokens, measured_bytes: bytes, computed, seconds }) => [
    number(tokens),
    bytes === null ? "–" : size(bytes),
    size(computed.kv_cache + computed.activations + computed.logits),
    seconds === null ? "–" : duration(seconds),
  ]),
});

/**
 * @param {string} name
 * @param {Measured} measured
 * @returns {Lab.Facts}
 */
function facts(name, { result, view, args }) {
  const [drawn] = ofKind(view, "table");
  const tokens = Array.isArray(args.tokens) ? args.tokens.join(",") : args.tokens;
  return {
    caption: "",
    table: drawn ? { columns: drawn.columns, rows: drawn.rows } : null,
    json: result,
    page: { verb: "memory", arguments: args },
    python: inPython(name, "memory", [args.tokens], { mode: args.mode }),
    command: onCommandLine(name, "memory", [], { "--tokens": tokens, "--mode": args.mode }),
  };
}
