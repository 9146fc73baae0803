// One text: written, taken step by step, and left at any token for another branch.

import { fill, h, visible } from "../../lib/dom.js";
import { duration, percent, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { watched } from "../../lib/lasting.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { asked, caption, hear, open, opening, piece, scale, wanted, ALTERNATIVES } from "./line.js";
import { alike, blank, inAddress, instead, keep, kept, leave, linked, owner, regrow } from "./story.js";
import { chosen, flags } from "./controls.js";
import { asTable, showTree } from "./tree.js";

/** Whether a token drawn stands further down than those shown beside it. */
const isFar = ({ id, alternatives }) => !alternatives.some((one) => one.id === id);

/** The instrument of one text. `field` is the prompt's, `settings` the controls, `name()` the model's, `handed` a text under way. */
export function one({ field, settings, name, handed }) {
  let story = blank(field.text);
  let running = null, growing = false;
  const says = status(() => halt());
  const button = (key, run, props = {}) => h("button", { type: "button", onclick: run, ...props }, tr(`generate.${key}`), props.kbd ? h("kbd", { "aria-hidden": "true" }, props.kbd) : null);
  const go = button("go", () => begin(), { class: "primary" });
  const step = button("one", () => further(1), { kbd: tr("generate.space"), "aria-keyshortcuts": "Space" });
  const more = button("more", () => further(settings.count()));
  const stop = h("button", { type: "button", onclick: () => halt(), disabled: true }, tr("actions.stop"));
  const strip = h("capot-strip", { pick: true, "aria-label": tr("generate.text"), onpick: (event) => choose(event.detail - opening(story.prompt).length) });
  const key = scale();
  const others = h("section", { class: "panel instead", hidden: true, "aria-label": tr("generate.others"), onkeydown: (event) => { if (event.key === "Escape") close(true); } });
  const picture = frame(h("div", {}, strip, others, key), { name: "generate" });
  const tree = h("section", { class: "tree", hidden: true });
  const box = h("div", {}, h("div", { class: "row" }, go, step, more, stop), says.box, picture.box, tree);
  show();
  return { box, start, halt, further, leave: quit, get busy() { return running !== null; } };

  /** The visitor leaves; where the page comes back at once (`again`), what it is to go on with. */
  function quit({ again = false } = {}) {
    const under = again && running && !growing ? structuredClone(story) : null;
    if (!growing) save(); // else the address holds more than what is grown so far
    running?.abort();
    return under;
  }

  /** What is handed on, what this tab kept of a text, or the tree of a link, grown again. */
  async function start() {
    if (handed) return goOn(handed);
    const saved = state.read();
    const found = kept(field.text, name());
    if (found && (!saved.tree || linked(found, saved))) {
      story = found;
      const cut = story.lines.find(wanted);
      if (cut) [cut.reason, cut.left] = ["interrupted", 0];
      show();
      if (cut) says.note(tr("generate.kept", { count: story.current.tokens.length }));
    } else if (saved.tree && field.text) {
      growing = true; // until all has grown, a reload must find the whole link
      const found = await regrow(field.text, saved, { sampling: settings.sampling(), grow: async (some, line) => { story = some; show(); return run(line); } });
      growing = false;
      story = found.story;
      if (found.whole) save();
      show();
    }
  }

  /** A text that was under way when the page was drawn anew. */
  function goOn(under) {
    story = under;
    for (const line of story.lines) line.view = null; // its sentences are of the language before
    show();
    const line = story.lines.find(wanted);
    return line && run(line);
  }

  /** A new text from the prompt. */
  function begin(count = settings.count()) {
    running?.abort();
    story = blank(field.text);
    run(leave(story, { sampling: settings.sampling(), seed: settings.seed(), left: count }));
    close();
    show();
  }

  /** Some tokens more; with other settings than before they are a branch of their own. */
  function further(count) {
    const line = story.current;
    if (running) return;
    if (!line || story.prompt !== field.text) return begin(count);
    if (!open(line)) return says.note(tr("generate.ended"));
    close();
    if (alike(line.sampling, settings.sampling())) [line.left, line.reason] = [count, ""];
    else leave(story, { parent: line, at: line.tokens.length, sampling: settings.sampling(), left: count });
    if (story.current !== line) show();
    run(story.current);
  }

  /** Grow a line until it has what was asked; whether it has. */
  async function run(line) {
    running?.abort();
    const shown = () => line === story.current;
    let left = 0;
    const missing = () => (wanted(line) ? [{ tag: "text", verb: "generate", arguments: asked(line), view: line.runs === 0 && !line.parent }] : []);
    const again = () => { if (!line.tokens.length) return begin(left); Object.assign(line, { reason: "", left }); return run(line); };
    const work = running = watched(missing, (kind, body) => {
      hear(line, kind, body, work.stopping);
      if (kind === "started") story.base ??= line.base;
      if (kind === "step" && shown()) strip.push(piece(body));
    }, { says, troubles: field.troubles, again });
    buttons();
    const fine = await work.over;
    left = line.left;
    if (!fine || wanted(line)) line.reason = "interrupted";
    line.left = 0;
    if (work.left) return false;
    running = null;
    if (!line.tokens.length && story.lines.length === 1) story = blank(story.prompt);
    if (shown()) tell();
    showTree(tree, story, select);
    if (growing) buttons();
    else save();
    return line.reason !== "interrupted" && line.reason !== "error";
  }

  function halt() {
    return running?.stop();
  }

  function save() {
    if (story.lines.length) keep(story, name());
    inAddress(story);
    buttons();
  }

  function select(line) {
    if (running) halt();
    story.current = line;
    close();
    show();
    inAddress(story);
    tree.querySelector('[aria-pressed="true"]')?.focus();
  }

  function buttons() {
    stop.disabled = !running;
    step.disabled = more.disabled = Boolean(running) || Boolean(story.current && story.prompt === field.text && !open(story.current));
    more.hidden = !story.current?.tokens.length;
  }

  function show() {
    const line = story.current;
    strip.pieces = line ? [...opening(story.prompt), ...line.tokens.map(piece)] : [];
    key.hidden = !line;
    tell();
    showTree(tree, story, select);
    buttons();
  }

  function tell() {
    const line = story.current;
    if (!line?.tokens.length) return picture.update({ caption: line ? "" : tr("generate.empty"), table: null, python: null, command: null, json: null, page: null });
    picture.update({ caption: caption(line), table: asRows(line), json: line.result ?? story.lines.map(bare), ...ways(line) });
    key.hidden = false;
  }

  /** Python, command and page that give this very line: its own tokens, after those it shares. */
  function ways(line) {
    const made = line.tokens.length - line.drawn;
    const sampling = { ...chosen(line.sampling), max_new_tokens: Math.max(line.drawn, 1), seed: line.seed };
    const ids = made ? [...line.base, ...line.tokens.slice(0, made).map((token) => token.id)] : null;
    const prompt = story.prompt + line.tokens.slice(0, made).map((token) => token.token_text).join("");
    const options = ids ? { ids, first_draw: made } : {};
    if (!line.drawn) return { python: null, command: null, page: null };
    return {
      python: inPython(name(), "generate", [prompt], { ...options, ...sampling }),
      command: onCommandLine(name(), "generate", [prompt], { ...flags(line.sampling), "--max-new-tokens": sampling.max_new_tokens, "--seed": line.seed, ...(ids ? { "--ids": ids.join(","), "--first-draw": made } : {}) }),
      page: { verb: "generate", arguments: { prompt, ...line.sampling, max_new_tokens: sampling.max_new_tokens, seed: line.seed, ...options, alternatives: ALTERNATIVES } },
    };
  }

  /** What else one step could have been; picking another branches from there. */
  function choose(index) {
    const line = story.current;
    const token = line.tokens[index];
    if (!token) return;
    const bars = h("capot-bars", { pick: true, rows: could(token), onpick: (event) => branch(line, index, token.alternatives[event.detail] ?? token) });
    fill(others, h("div", { class: "row spread" }, h("h2", {}, tr("generate.instead", { place: index + 1, token: token.label })), h("button", { type: "button", class: "quiet-button", "aria-label": tr("generate.close"), onclick: () => close(true) }, "×")),
      bars, h("p", { class: "quiet" }, hint(token)));
    others.hidden = false;
    others.dataset.index = index;
    mark(index);
    others.scrollIntoView({ block: "nearest" });
    bars.querySelector("button")?.focus({ preventScroll: true });
  }

  /** A row for each token that could have come; the one drawn has its own where it stands further down. */
  function could(token) {
    const { id, label, probability, rank, alternatives } = token;
    const most = alternatives[0].probability;
    const row = (one, more) => ({ label: one.label, value: one.probability / most, text: percent(one.probability), marked: one.id === id, ...more });
    const rows = alternatives.map((one, place) => row(one, { hint: tr("generate.row", { id: String(one.id), rank: place + 1 }) }));
    return isFar(token) ? [...rows, row({ id, label, probability }, { far: true, hint: tr("generate.row", { id: String(id), rank }) })] : rows;
  }

  function hint(token) {
    const [share, chance] = [percent(token.alternatives.reduce((sum, one) => sum + one.probability, 0)), percent(token.chance)];
    return [isFar(token) ? tr("generate.far", { token: token.label, rank: token.rank, share: percent(token.probability) }) : "", tr("generate.branch_hint", { token: token.label, share, chance, count: token.alternatives.length })].filter(Boolean).join(" ");
  }

  function branch(shown, at, other) {
    if (other.id === shown.tokens[at].id) return close(true);
    const line = owner(shown, at);
    if (other.id === line.tokens[at].id) return select(line);
    const same = story.lines.find((one) => one.parent === line && one.at === at && one.token?.id === other.id);
    if (same) return select(same);
    running?.stop();
    const grown = leave(story, { parent: line, at, token: instead(line.tokens[at], other), sampling: settings.sampling(), left: Math.max(1, settings.count() - at - 1) });
    close();
    show();
    return run(grown);
  }

  function mark(index) {
    const buttons = [...strip.querySelectorAll("button")];
    buttons.forEach((one, place) => (place === index ? one.setAttribute("aria-pressed", "true") : one.removeAttribute("aria-pressed")));
    return buttons[index];
  }

  function close(back = false) {
    if (others.hidden) return;
    others.hidden = true;
    const button = mark(Number(others.dataset.index));
    button?.removeAttribute("aria-pressed");
    if (back) button?.focus();
  }

  function asRows(line) {
    const columns = ["#", tr("generate.column.token"), "id", tr("next.probability"), tr("generate.chance"), tr("generate.column.others"), tr("generate.time")];
    const rest = (token) => token.alternatives.filter((one) => one.id !== token.id).slice(0, 3).map((one) => `${visible(one.label)} ${percent(one.probability)}`).join("   ");
    if (story.lines.length > 1 && line === story.lines[0] && !line.tokens.length) return asTable(story);
    return { columns, rows: line.tokens.map((token, index) => [index + 1, token.label, token.id, percent(token.probability, 2), percent(token.chance, 2), rest(token), token.seconds ? duration(token.seconds) : "–"]) };
  }

  function bare({ number, parent, at, sampling, seed, tokens, reason }) {
    return { branch: number, parent: parent?.number ?? null, at, sampling, seed, stop_reason: reason, tokens };
  }
}
