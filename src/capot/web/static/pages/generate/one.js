// One text: written, taken step by step, and left at any token for another branch.

import { h, visible } from "../../lib/dom.js";
import { duration, percent, tr } from "../../lib/words.js";
import { cannotObey } from "../../lib/link.js";
import { page } from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { watched } from "../../lib/resumable.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { asked, caption, hear, open, opening, piece, scale, wanted, ALTERNATIVES } from "./line.js";
import { alike, blank, inAddress, instead, keep, kept, leave, linked, owner, regrow } from "./story.js";
import { chosen, flags } from "./controls.js";
import { Others } from "./others.js";
import { asTable, showTree } from "./tree.js";

const NOTHING = { table: null, python: null, command: null, json: null, page: null };

/**
 * The instrument of one text. `field` is the prompt's, `settings` the controls, `name()` the model's, `handed` a text
 * under way. `desk` keeps it, and `onChange` is called when what it shows has changed.
 * @param {Lab.Writing<Lab.Story> & { desk?: Lab.Desk, onChange?: () => unknown }} parts
 */
export const one = (parts) => new One(parts);

/** @implements {Lab.Instrument<Lab.Story>} */
class One {
  #parts;
  #desk;
  /** @type {Lab.Story} */
  #story;
  /** @type {Lab.Resumable | null} */
  #running = null;
  #growing = false; // until all has grown, a reload must find the whole link
  #says = status(() => this.halt());
  #step;
  #more = button("more", () => this.further(this.#parts.settings.count()));
  #stop = h("button", { type: "button", onclick: () => this.halt(), disabled: true }, tr("actions.stop"));
  #picked = (/** @type {CustomEvent<number>} */ event) =>
    this.#choose(event.detail - opening(this.#story.prompt).length);
  #strip = h("capot-strip", { pick: true, "aria-label": tr("generate.text"), onpick: this.#picked });
  #key = scale();
  #others = new Others(this.#strip);
  #picture;
  #tree = h("section", { class: "tree", hidden: true });

  /** @param {Lab.Writing<Lab.Story> & { desk?: Lab.Desk, onChange?: () => unknown }} parts see `one` */
  constructor(parts) {
    this.#parts = parts;
    this.#desk = parts.desk ?? page;
    this.#story = blank(parts.field.text);
    const drawn = h("div", {}, this.#strip, this.#others.box, this.#key);
    this.#picture = frame(drawn, { name: "generate", onChange: parts.onChange });
    const key = this.#desk.whole ? { kbd: tr("generate.space"), "aria-keyshortcuts": "Space" } : {};
    this.#step = button("one", () => this.further(1), key);
    const go = button("go", () => this.begin(), { class: "primary" });
    const row = h("div", { class: "row" }, go, this.#step, this.#more, this.#stop);
    this.box = h("div", {}, row, this.#says.box, this.#picture.box, this.#tree);
    this.#show();
  }

  get busy() {
    return this.#running !== null;
  }

  /** What makes the text on show again. */
  page() {
    return this.#picture.page();
  }

  /**
   * The visitor leaves; where the page comes back at once (`again`), what it is to go on with.
   * @param {Lab.Leaving} [how]
   */
  leave({ again = false } = {}) {
    const under = again && this.#running && !this.#growing ? structuredClone(this.#story) : null;
    if (!this.#growing) this.#save(); // else the address holds more than what is grown so far
    this.#running?.abort();
    return under;
  }

  /** What is handed on, what this tab kept of a text, or the tree of a link, grown again. */
  async start() {
    const { field, handed, name } = this.#parts;
    if (handed) return this.#goOn(handed);
    const saved = this.#desk.read();
    const found = this.#desk.whole ? kept(field.text, name()) : null;
    if (found && (!saved.tree || linked(found, saved))) return this.#restore(found);
    if (saved.tree && !field.text && this.#desk.whole) cannotObey("tree"); // nothing that it could grow from
    return saved.tree && field.text ? this.#regrow(saved) : null;
  }

  /**
   * A text that was under way when the page was drawn anew.
   * @param {Lab.Story} under
   */
  #goOn(under) {
    this.#story = under;
    for (const line of under.lines) line.view = null; // its sentences are of the language before
    this.#show();
    const line = under.lines.find(wanted);
    return line && this.#run(line);
  }

  /** @param {Lab.Story} found */
  #restore(found) {
    this.#story = found;
    const cut = found.lines.find(wanted);
    if (cut) [cut.reason, cut.left] = ["interrupted", 0];
    this.#show();
    if (cut) this.#says.note(tr("generate.kept", { count: found.current?.tokens.length }));
  }

  /** @param {Record<string, string>} saved */
  async #regrow(saved) {
    const { field, settings } = this.#parts;
    this.#growing = true;
    const found = await regrow(field.text, saved, { sampling: settings.sampling(), grow: async (story, line) => {
      this.#story = story;
      this.#show();
      return this.#run(line);
    } });
    this.#growing = false;
    this.#story = found.story;
    if (this.#desk.whole) cannotObey(...found.lost);
    if (found.whole) this.#save();
    this.#show();
  }

  /** A new text from the prompt. Its line, once it is over. */
  async begin(count = this.#parts.settings.count()) {
    const { field, settings } = this.#parts;
    this.#running?.abort();
    this.#story = blank(field.text);
    this.#desk.write({ tree: "", drawn: "", on: "" }); // a reload must not bring back the text before
    const line = leave(this.#story, { sampling: settings.sampling(), seed: settings.seed(), left: count });
    const over = this.#run(line);
    this.#others.close();
    this.#show();
    await over;
    return line;
  }

  /**
   * Some tokens more; with other settings than before they are a branch of their own.
   * @param {number} count
   */
  further(count) {
    const story = this.#story;
    const line = story.current;
    if (this.#running) return;
    if (!line || story.prompt !== this.#parts.field.text) return this.begin(count);
    if (!open(line)) return this.#says.note(tr("generate.ended"));
    this.#others.close();
    const sampling = this.#parts.settings.sampling();
    const same = alike(line.sampling, sampling);
    if (same) [line.left, line.reason] = [count, ""];
    const grown = same ? line : leave(story, { parent: line, at: line.tokens.length, sampling, left: count });
    if (grown !== line) this.#show();
    this.#run(grown);
  }

  /**
   * Grow a line until it has what was asked; whether it has.
   * @param {Lab.Branch} line
   */
  async #run(line) {
    this.#running?.abort();
    let left = 0;
    const work = this.#running = this.#grow(line, () => this.#again(line, left));
    this.#buttons();
    const fine = await work.over;
    left = line.left;
    if (!fine || wanted(line)) line.reason = "interrupted";
    line.left = 0;
    if (work.left) return false;
    this.#running = null;
    if (!line.tokens.length && this.#story.lines.length === 1) this.#story = blank(this.#story.prompt);
    if (line === this.#story.current) this.#tell();
    this.#branches();
    if (this.#growing) this.#buttons();
    else this.#save();
    return line.reason !== "interrupted" && line.reason !== "error";
  }

  /**
   * Once more, for the `left` tokens that have not come.
   * @param {Lab.Branch} line
   * @param {number} left
   */
  #again(line, left) {
    if (!line.tokens.length) return this.begin(left);
    Object.assign(line, { reason: "", left });
    return this.#run(line);
  }

  /**
   * @param {Lab.Branch} line
   * @param {() => unknown} again
   * @returns {Lab.Resumable}
   */
  #grow(line, again) {
    /** @type {() => Lab.Work<"generate">[]} */
    const missing = () => {
      if (!wanted(line)) return [];
      return [{ tag: "text", verb: "generate", arguments: asked(line), view: line.runs === 0 && !line.parent }];
    };
    const work = watched(missing, (...event) => {
      const [kind, body] = event;
      hear(line, event, work.stopping);
      if (kind === "started") this.#story.base ??= line.base;
      if (kind === "step" && line === this.#story.current) this.#strip.push(piece(body));
    }, { says: this.#says, troubles: this.#parts.field.troubles, again });
    return work;
  }

  halt() {
    return this.#running?.stop();
  }

  #save() {
    if (this.#story.lines.length && this.#desk.whole) keep(this.#story, this.#parts.name());
    inAddress(this.#story, this.#desk);
    this.#buttons();
  }

  /** @param {Lab.Branch} line */
  #select(line) {
    if (this.#running) this.halt();
    this.#story.current = line;
    this.#others.close();
    this.#show();
    inAddress(this.#story, this.#desk);
    /** @type {HTMLElement | null} */
    const row = this.#tree.querySelector('[aria-pressed="true"]');
    row?.focus();
  }

  #buttons() {
    const { prompt, current } = this.#story;
    const ended = current !== null && prompt === this.#parts.field.text && !open(current);
    this.#stop.disabled = !this.#running;
    this.#step.disabled = this.#more.disabled = Boolean(this.#running) || ended;
    this.#more.hidden = !current?.tokens.length;
  }

  #branches() {
    showTree(this.#tree, this.#story, (line) => this.#select(line));
  }

  #show() {
    const { prompt, current } = this.#story;
    this.#strip.pieces = current ? [...opening(prompt), ...current.tokens.map(piece)] : [];
    this.#key.hidden = !current;
    this.#tell();
    this.#branches();
    this.#buttons();
  }

  #tell() {
    const { current: line, lines } = this.#story;
    if (!line?.tokens.length)
      return this.#picture.update({ caption: line || !this.#desk.whole ? "" : tr("generate.empty"), ...NOTHING });
    const json = line.result ?? lines.map(bare);
    this.#picture.update({ caption: caption(line), table: asRows(this.#story, line), json, ...this.#ways(line) });
    this.#key.hidden = false;
  }

  /**
   * Python, command and page that give this very line: its own tokens, after those it shares.
   * @param {Lab.Branch} line
   * @returns {Lab.Facts}
   */
  #ways({ tokens, drawn, base, sampling, seed }) {
    if (!drawn) return { python: null, command: null, page: null };
    const name = this.#parts.name();
    const shared = tokens.slice(0, tokens.length - drawn);
    const prompt = this.#story.prompt + shared.map((token) => token.token_text).join("");
    const ids = [...(base ?? []), ...shared.map((token) => token.id)];
    const options = shared.length ? { ids, first_draw: shared.length } : {};
    const begun = shared.length ? { "--ids": ids.join(","), "--first-draw": shared.length } : {};
    const asked = { max_new_tokens: drawn, seed };
    return {
      python: inPython(name, "generate", [prompt], { ...options, ...chosen(sampling), ...asked }),
      command: onCommandLine(name, "generate", [prompt],
        { ...flags(sampling), "--max-new-tokens": drawn, "--seed": seed, ...begun }),
      page: { verb: "generate", arguments: { prompt, ...sampling, ...asked, ...options, alternatives: ALTERNATIVES } },
    };
  }

  /**
   * What else one step could have been; picking another branches from there.
   * @param {number} index
   */
  #choose(index) {
    const line = this.#story.current;
    const token = line?.tokens[index];
    if (line && token) this.#others.open(token, index, (other) => this.#branch(line, index, other));
  }

  /**
   * @param {Lab.Branch} shown
   * @param {number} at
   * @param {Api.Alternative} other
   */
  #branch(shown, at, other) {
    if (other.id === shown.tokens[at].id) return this.#others.close(true);
    const line = owner(shown, at);
    if (other.id === line.tokens[at].id) return this.#select(line);
    const same = this.#story.lines.find((one) => one.parent === line && one.at === at && one.token?.id === other.id);
    if (same) return this.#select(same);
    this.#running?.stop();
    const { settings } = this.#parts;
    const left = Math.max(1, settings.count() - at - 1);
    const token = instead(line.tokens[at], other);
    const grown = leave(this.#story, { parent: line, at, token, sampling: settings.sampling(), left });
    this.#others.close();
    this.#show();
    return this.#run(grown);
  }
}

/**
 * A button, with the key that does the same where there is one.
 * @param {string} key
 * @param {() => unknown} onclick
 * @param {Lab.Props & { kbd?: string }} [props]
 */
function button(key, onclick, { kbd, ...props } = {}) {
  const sign = kbd ? h("kbd", { "aria-hidden": "true" }, kbd) : null;
  return h("button", { type: "button", onclick, ...props }, tr(`generate.${key}`), sign);
}

/**
 * The tokens of a line as a table; the tree's where there is nothing of the first line to show.
 * @param {Lab.Story} story
 * @param {Lab.Branch} line
 * @returns {Lab.Rows}
 */
function asRows(story, line) {
  if (story.lines.length > 1 && line === story.lines[0] && !line.tokens.length) return asTable(story);
  const names = ["generate.column.token", "next.probability", "generate.chance", "generate.column.others"];
  const [token, probability, chance, others] = names.map((name) => tr(name));
  return {
    columns: ["#", token, "id", probability, chance, others, tr("generate.time")],
    rows: line.tokens.map((one, index) => [
      index + 1,
      one.label,
      one.id < 0 ? "–" : one.id,
      percent(one.probability),
      one.chance === null ? "–" : percent(one.chance),
      rest(one),
      one.seconds ? duration(one.seconds) : "–",
    ]),
  };
}

/**
 * The likeliest of the others.
 * @param {Api.Step} token
 */
const rest = ({ id, alternatives }) =>
  alternatives.filter((one) => one.id !== id).slice(0, 3)
    .map((one) => `${visible(one.label)} ${percent(one.probability)}`).join("   ");

/** @param {Lab.Branch} line */
const bare = ({ number, parent, at, sampling, seed, tokens, reason }) =>
  ({ branch: number, parent: parent?.number ?? null, at, sampling, seed, stop_reason: reason, tokens });
