// Two texts beside each other: a cell of the other one is put into the first, by dragging, by a click or by a key.

import { fill, h } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { call } from "../../lib/api.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { fault, waiting } from "../../parts/fault.js";
import { promptField } from "../../parts/prompt.js";
import { Grid, named } from "./grid.js";
import { Sides } from "./sides.js";

const [ASKED, FOLLOWING] = [40, 12]; // candidates of each side; tokens of the texts

/** @typedef {import("./grid.js").Place} Place */

/** The other text, in the address. */
const OTHER = {
  get: () => state.read().beside ?? "",
  known: () => state.read().beside !== undefined,
  set: (/** @type {string} */ text) => state.write({ beside: text }),
};

/** The two grids, and what the model answers once a state is in the other's place. */
export class Beside {
  #name;
  #field = promptField({ heard: () => this.#read(), own: OTHER, label: tr("network.other_text"), rows: 1, delay: 400,
    examples: tr("network.other_examples").split("|"), placeholder: tr("network.other_placeholder") });
  #mine = new Grid({ chosen: (place) => this.#put(place), switched: () => {} });
  #other = new Grid({ chosen: (place) => this.#put(this.#opposite(place)), switched: () => {} });
  #answer = new Sides("patch");
  #troubles = h("div", { class: "troubles" });
  #shown = h("div", { hidden: true });
  /** @type {Api.NetworkInside | null} */
  #found = null;
  /** @type {Api.NetworkInside | null} */
  #source = null;
  /** @type {AbortController | undefined} */
  #running;

  /** @param {string} name the model's */
  constructor(name) {
    this.#name = name;
    const side = (/** @type {string} */ words, /** @type {Grid} */ grid) =>
      h("div", {}, h("h3", {}, tr(words)), grid.box);
    fill(this.#shown, h("p", { class: "quiet" }, tr("network.put_how")),
      h("div", { class: "two-texts" }, side("network.mine", this.#mine), side("network.other", this.#other)),
      this.#troubles, h("div", { class: "put" }, this.#answer.box));
    this.box = h("section", { class: "beside" }, h("h2", {}, tr("network.beside")), this.#field.box, this.#shown);
    this.#other.carried({ from: (place) => this.#opposite(place), onto: this.#mine,
      dropped: (place) => this.#put(place) });
  }

  stop() {
    this.#running?.abort();
  }

  /**
   * The first text is another one.
   * @param {Api.NetworkInside} found
   */
  look(found) {
    this.#found = found;
    return this.#read();
  }

  /** The other text read, and the place of the address put into the first again. */
  async #read() {
    const [found, prompt] = [this.#found, this.#field.text];
    this.stop();
    this.#shown.hidden = !prompt;
    if (!found || !prompt) return;
    const asked = { prompt, k: 1 };
    await this.#waited(this.#field.troubles, async (how) => {
      const source = await call("network", asked, how);
      this.#source = source;
      this.#mine.draw(found, { switchable: false });
      this.#other.draw(source, { switchable: false });
      this.#answer.clear();
    });
    const [layer, position] = (state.read().put ?? "").split(".").map(Number);
    const place = { layer, position };
    if (this.#source?.prompt === prompt && this.#mine.cell(place)) await this.#put(place);
  }

  /**
   * The place of the first text that a place of the other goes to: both are counted from the end.
   * @param {Place} place
   */
  #opposite({ layer, position }) {
    return { layer, position: position - this.#shift };
  }

  get #shift() {
    return (this.#source?.tokens.length ?? 0) - (this.#found?.tokens.length ?? 0);
  }

  /**
   * The state of the other text at a place of the first.
   * @param {Place} place
   */
  async #put({ layer, position }) {
    const [found, source] = [this.#found, this.#source];
    if (!found || !source) return;
    this.stop();
    const there = { layer, position: position + this.#shift };
    if (position < 0 || there.position < 0) {
      fill(this.#troubles, h("p", { class: "quiet", role: "status" }, tr("network.none_beside")));
      return;
    }
    this.#mine.mark({ layer, position });
    this.#other.mark(there);
    state.write({ put: `${layer}.${position}` });
    const asked = { prompt: found.prompt, source: source.prompt, layer, position };
    await this.#waited(this.#troubles, async (how) => {
      const answer = await call("patch", { ...asked, k: ASKED, max_new_tokens: FOLLOWING }, how);
      this.#answer.both(answer, { limits: tr("network.put_said", { layer, token: named(source.tokens[there.position]),
        other: named(found.tokens[position]) }), ways: this.#ways(asked) });
    });
  }

  /**
   * Do something that is waited for, its trouble said in `place`.
   * @param {HTMLElement} place
   * @param {(how: import("../../lib/api.js").Options) => Promise<unknown>} work
   */
  async #waited(place, work) {
    const control = this.#running = new AbortController();
    const note = waiting(place, tr("plain.waiting"), () => control.abort());
    try {
      await work({ signal: control.signal, queued: note.queued });
      fill(place);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#answer.clear();
      fill(place, fault(error));
    } finally {
      note.done();
    }
  }

  /**
   * Python, command and page that show the same.
   * @param {{ prompt: string, source: string, layer: number, position: number }} asked
   * @returns {Lab.Facts}
   */
  #ways({ prompt, ...options }) {
    return {
      python: inPython(this.#name, "patch", [prompt], options),
      command: onCommandLine(this.#name, "patch", [prompt],
        Object.fromEntries(Object.entries(options).map(([name, value]) => [`--${name}`, value]))),
      page: { verb: "patch", arguments: { prompt, ...options } },
    };
  }
}
