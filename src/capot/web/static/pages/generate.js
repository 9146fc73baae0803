// Predict, choose, append, repeat: a text grows token by token, and any step can be taken otherwise.

import { fill, h } from "../lib/dom.js";
import { duration, number, percent, tr } from "../lib/words.js";
import { stream } from "../lib/api.js";
import * as state from "../lib/state.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { frame } from "../parts/frame.js";
import { fault } from "../parts/fault.js";
import { promptField } from "../parts/prompt.js";

const START = { temperature: 0.7, top_k: 0, top_p: 1, min_p: 0, max_new_tokens: 60 };
const BOUNDS = { temperature: [0, 3, 0.01, 0.25], top_k: [0, 100, 1, 10], top_p: [0.01, 1, 0.01, 0.1], min_p: [0, 1, 0.01, 0.1], max_new_tokens: [1, 500, 1, 20] };

export default async function page(main, { model }) {
  const saved = state.read();
  const setting = Object.fromEntries(Object.entries(START).map(([name, value]) => [name, Number(saved[name] ?? value)]));
  const name = model?.model ?? "boxed";
  const branches = []; // { tokens, parent, at, seed, reason }
  let current = null, running = null, prompt = null;

  const field = promptField({ heard: () => {}, examples: ["Il était une fois", "Once upon a time", "How to remove an item from a list in python?"] });
  const seed = h("input", { type: "number", min: 0, step: 1, value: saved.seed ?? "", placeholder: tr("generate.any_seed"), onchange: remember });
  const stopAt = h("input", { type: "text", size: 10, value: saved.stop ?? "", onchange: remember });
  const sliders = h("div", { class: "sliders" }, Object.entries(BOUNDS).map(([key, [min, max, step, coarse]]) => h("capot-slider", { min, max, step, coarse, value: setting[key], label: tr(`generate.${key}`), oninput: (event) => { if (event.detail) { setting[key] = event.detail.value; remember(); } } })));
  const go = h("button", { type: "button", class: "primary", onclick: () => begin() }, tr("generate.go"));
  const one = h("button", { type: "button", onclick: () => step() }, tr("generate.one"));
  const halt = h("button", { type: "button", onclick: () => running?.stop(), disabled: true }, tr("actions.stop"));
  const several = h("button", { type: "button", onclick: () => beside() }, tr("generate.several"));
  const strip = h("capot-strip", { pick: true, "aria-label": tr("generate.text"), onpick: (event) => choose(event.detail) });
  const picture = frame(strip, { name: "generate" });
  const others = h("div", { class: "panel", hidden: true });
  const tree = h("section", { class: "tree", hidden: true });
  const columns = h("div", { class: "side-by-side" });
  main.append(field.box, h("details", { open: Boolean(saved.temperature || saved.top_k || saved.top_p || saved.min_p) }, h("summary", {}, tr("generate.settings")), sliders),
    h("div", { class: "row" }, h("label", { class: "field" }, tr("generate.seed"), " ", seed), h("label", { class: "field" }, tr("generate.stop_string"), " ", stopAt)),
    h("div", { class: "row" }, go, one, halt, several), picture.box, others, tree, columns);
  show();

  function remember() {
    state.write({ ...Object.fromEntries(Object.entries(setting).map(([key, value]) => [key, value === START[key] ? "" : value])), seed: seed.value, stop: stopAt.value });
  }

  const settings = (changes = {}) => ({ ...setting, ...(seed.value === "" ? {} : { seed: Number(seed.value) }), ...(stopAt.value ? { stop: [stopAt.value.replaceAll("\\n", "\n")] } : {}), ...changes });

  /** A new text from the prompt. */
  function begin() {
    branches.length = 0;
    current = null;
    fill(others);
    others.hidden = true;
    prompt = { text: field.text, ids: null };
    run(branch(null, 0, []), settings());
  }

  /** One token more, and no further. */
  function step() {
    if (!current || prompt?.text !== field.text) {
      branches.length = 0;
      prompt = { text: field.text, ids: null };
      return run(branch(null, 0, []), settings({ max_new_tokens: 1 }));
    }
    return run(current, settings({ max_new_tokens: 1 }));
  }

  function branch(parent, at, tokens) {
    current = { tokens: [...tokens], parent, at, number: branches.length + 1, reason: "", seed: parent?.seed };
    branches.push(current);
    return current;
  }

  /** Go on with a branch: the exact ids so far, the next draw of the same seed. */
  async function run(line, sampling) {
    running?.stop();
    const ids = prompt.ids && [...prompt.ids, ...line.tokens.map((token) => token.id)];
    const args = { prompt: prompt.text, ...sampling, alternatives: 8, first_draw: line.tokens.length, ...(ids ? { ids } : {}) };
    if (line.seed !== undefined && seed.value === "") args.seed = line.seed;
    const busy = running = stream([{ tag: "text", verb: "generate", arguments: args }], (kind, body) => hear(line, kind, body));
    halt.disabled = false;
    try {
      await busy.done;
    } catch (error) {
      fill(field.troubles, fault(error, () => run(line, sampling)));
    }
    if (running === busy) [running, halt.disabled] = [null, true];
  }

  function hear(line, kind, body) {
    if (kind === "started") {
      prompt.ids ??= body.prompt_ids;
      line.seed ??= body.seed;
      line.reused = body.reused_tokens;
      fill(field.troubles);
    } else if (kind === "queued") {
      fill(field.troubles, body.position ? tr("generate.queued", { place: body.position }) : "");
    } else if (kind === "step") {
      line.tokens.push(body);
      line.reason = "";
      if (line === current) strip.push(piece(body));
    } else if (kind === "finished") {
      [line.reason, line.speed, line.result] = [body.stop_reason, body.tokens_per_s, body];
      if (line === current) tell();
    } else if (kind === "error") {
      fill(field.troubles, fault(body.error));
    }
  }

  function piece(token) {
    return { text: token.token_text || token.label, weight: token.probability, kind: "token", hint: `${percent(token.probability)} · id ${token.id}`, label: tr("generate.token_label", { token: token.label, share: percent(token.probability) }) };
  }

  function show() {
    strip.pieces = current ? current.tokens.map(piece) : [];
    tell();
  }

  function tell() {
    const tokens = current?.tokens ?? [];
    const mean = tokens.reduce((sum, token) => sum - Math.log2(Math.max(token.probability, 1e-12)), 0) / (tokens.length || 1);
    const chosen = { ...Object.fromEntries(Object.entries(setting)), ...(current?.seed === undefined ? {} : { seed: current.seed }), ...(stopAt.value ? { stop: [stopAt.value] } : {}) };
    const flags = { "--temperature": setting.temperature, "--top-k": setting.top_k || undefined, "--top-p": setting.top_p === 1 ? undefined : setting.top_p, "--min-p": setting.min_p || undefined, "--max-new-tokens": setting.max_new_tokens, "--seed": current?.seed, "--stop": stopAt.value || undefined };
    picture.update({
      caption: tokens.length ? `${tr("generate.caption", { count: tokens.length, bits: number(mean, 1) })} ${current.reason ? tr(`generate.reason.${current.reason}`) : ""} ${current.speed ? tr("generate.speed", { speed: number(current.speed, 0), seed: String(current.seed), reused: current.reused ?? 0 }) : ""}` : tr("generate.empty"),
      table: tokens.length ? { columns: ["#", tr("tokens.column.text"), "id", tr("next.probability"), tr("generate.chance"), tr("generate.time")], rows: tokens.map((token, index) => [index + 1, token.label, token.id, percent(token.probability, 2), percent(token.chance, 2), duration(token.seconds)]) } : null,
      python: tokens.length && branches.length === 1 ? inPython(name, "generate", [prompt.text], {}, chosen) : null,
      command: tokens.length && branches.length === 1 ? onCommandLine(name, "generate", [prompt.text], flags) : null,
      json: current?.result ?? null,
      page: tokens.length && current.seed !== undefined ? { verb: "generate", arguments: { prompt: prompt.text, ...chosen } } : null,
    });
    drawTree();
  }

  /** What else one step could have been; picking another branches from there. */
  function choose(index) {
    const token = current.tokens[index];
    others.hidden = false;
    const bars = h("capot-bars", { pick: true, rows: token.alternatives.map((one) => ({ label: one.label, value: one.probability / token.alternatives[0].probability, text: percent(one.probability), marked: one.id === token.id })),
      onpick: (event) => { const other = token.alternatives[event.detail]; if (other.id !== token.id) leave(index, other); } });
    fill(others, h("h2", {}, tr("generate.instead", { place: index + 1, token: token.label })), bars, h("p", { class: "quiet" }, tr("generate.branch_hint")));
    others.scrollIntoView({ block: "nearest" });
  }

  function leave(index, other) {
    running?.stop();
    const parent = current;
    const taken = { ...parent.tokens[index], id: other.id, label: other.label, token_text: other.text, text: other.text, probability: other.probability, chance: other.probability, seconds: 0 };
    branch(parent, index, [...parent.tokens.slice(0, index), taken]);
    others.hidden = true;
    show();
    run(current, settings({ max_new_tokens: Math.max(1, setting.max_new_tokens - index - 1) }));
  }

  function drawTree() {
    tree.hidden = branches.length < 2;
    const item = (line) => h("li", {}, h("button", { type: "button", class: "small", "aria-pressed": String(line === current), onclick: () => { current = line; others.hidden = true; show(); } },
      tr("generate.branch", { number: line.number }), " ", h("code", {}, preview(line))), children(line));
    const children = (line) => { const list = branches.filter((other) => other.parent === line); return list.length ? h("ul", {}, list.map(item)) : null; };
    fill(tree, h("h2", {}, tr("generate.tree")), h("ul", {}, branches.filter((line) => !line.parent).map(item)));
  }

  const preview = (line) => line.tokens.slice(line.at, line.at + 8).map((token) => token.label).join("");

  /** The same prompt at several temperatures, on one stream. */
  async function beside() {
    running?.stop();
    const heats = [0, 0.7, 1, 1.5];
    const cells = heats.map((heat) => ({ heat, strip: h("capot-strip", {}), note: h("p", { class: "quiet" }) }));
    fill(columns, cells.map((cell) => h("section", {}, h("h2", {}, tr("generate.at", { temperature: number(cell.heat, 1) })), cell.strip, cell.note)));
    const parts = heats.map((heat) => ({ tag: String(heat), verb: "generate", arguments: { prompt: field.text, ...settings({ temperature: heat, seed: Number(seed.value || 1) }), alternatives: 1 } }));
    const busy = running = stream(parts, (kind, body, tag) => {
      const cell = cells.find((other) => String(other.heat) === tag);
      if (kind === "step") cell.strip.push(piece(body));
      if (kind === "finished") cell.note.textContent = tr(`generate.reason.${body.stop_reason}`);
      if (kind === "error") fill(cell.note, fault(body.error));
    });
    halt.disabled = false;
    await busy.done.catch((error) => fill(field.troubles, fault(error)));
    if (running === busy) [running, halt.disabled] = [null, true];
  }

  return { leave: () => running?.abort() };
}
