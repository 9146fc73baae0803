// What happens between the vectors and the probabilities? The guess after each layer at every token, what each head
// reads to make it, and what the model answers without a part.

import { fill, h } from "../lib/dom.js";
import { named } from "../lib/tokens.js";
import { percent, tr } from "../lib/words.js";
import { call } from "../lib/api.js";
import * as state from "../lib/state.js";
import { asFlags, inPython, onCommandLine } from "../lib/code.js";
import { Awaited } from "../parts/awaited.js";
import { blocks } from "../parts/blocks.js";
import { frame, heading } from "../parts/frame.js";
import { promptField } from "../parts/prompt.js";
import { callNetwork, guessTable, meanOf, telling } from "./network/asking.js";
import { Grid } from "./network/grid.js";
import { Beside } from "./network/beside.js";
import { best, Gallery, headName, headTable } from "./network/heads.js";
import { Matrix } from "./network/matrix.js";
import { Logit } from "./network/logit.js";
import { play, still } from "./network/pass.js";
import { Steer } from "./network/steer.js";
import { Switches } from "./network/switches.js";

const GUESSES = 5;

/** @typedef {import("./network/grid.js").Place} Place */

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model }) {
  const instrument = new Network(model?.model ?? "boxed");
  main.append(...instrument.parts);
  return { drawn: instrument.look(), leave: () => instrument.leave() };
}

/**
 * The instrument. It stands in the page of its chapter, or apart, without what puts one text's states into another's
 * and what steers, and with all but its first picture folded; `onChange` is called when what it shows has changed.
 */
export class Network {
  #name;
  #desk;
  /** @type {Record<string, string | undefined>} */
  #saved;
  #field;
  #grid = new Grid({ chosen: (place) => this.#choose(place), switched: (layer) => this.#switch(String(layer)) });
  #gallery = new Gallery({ chosen: (name) => this.#pick(name), switched: (name) => this.#switch(name) });
  #logit;
  #picture;
  #onChange;
  #matrix;
  #motion = h("button", { type: "button", class: "small motion", onclick: () => this.#play() }, tr("network.play"));
  #end = () => {};
  #stamps = frame(this.#gallery.box, { name: "heads" });
  #switches;
  #beside;
  #steer;
  #more = h("div", {});
  #empty = h("p", { class: "quiet" }, tr("network.empty"));
  #shown = h("div", { class: "network", hidden: true });
  #reading;
  #looking;
  #fetching;
  #turn = 0; // which text is at work: what an older one began goes no further
  /** @type {Api.NetworkInside | null} */
  #found = null;
  /** @type {Map<number, Map<string, number[]>>} */
  #reads = new Map(); // by the position that reads, then by head
  /** @type {Place} */
  #place = { layer: 0, position: 0 };
  #head = "";

  /**
   * @param {string} name the model's
   * @param {{ desk?: Lab.Desk, onChange?: () => unknown }} [how]
   */
  constructor(name, { desk = state.page, onChange } = {}) {
    this.#name = name;
    this.#desk = desk;
    this.#onChange = onChange;
    this.#saved = desk.read();
    this.#picture = frame(this.#grid.box, { name: "network", onChange });
    this.#matrix = new Matrix({ desk,
      chosen: (position) => this.#choose({ ...this.#place, position }, this.#head),
      ways: (attention) => this.#found ? this.#ways(this.#found, { attention }) : {} });
    this.#beside = desk.whole ? new Beside(name) : null;
    this.#steer = desk.whole ? new Steer(name) : null;
    const { off = "", by = "", target = "" } = this.#saved;
    this.#logit = new Logit({ target, whole: desk.whole, onChange: () => this.look() });
    this.#switches = new Switches({ name, off: off.split(",").filter(Boolean), by, whole: desk.whole,
      onChange: () => this.#turned() });
    this.#reading = heading(desk.whole);
    const examples = tr("next.examples").split("|");
    const initial = desk.prompt.known() ? desk.prompt.get() : examples[0];
    if (!desk.prompt.known()) desk.prompt.set(initial);
    const here = desk.whole ? { rows: 2, examples } : { rows: 1 }; // apart, an example may be what is asked further on
    this.#field = promptField({ onChange: () => this.look(), own: desk.prompt, initial, delay: 400, ...here });
    this.#looking = new Awaited(this.#field.troubles);
    this.#fetching = new Awaited(this.#field.troubles);
    const gallery = h("section", {}, this.#reading, this.#switches.line, this.#stamps.box);
    const picture = h("div", {}, h("p", { class: "tools" }, this.#motion), this.#picture.box);
    this.#heads = gallery;
    const [bars, more] = [this.#switches.box, [this.#beside?.box, this.#steer?.box]];
    const rest = [this.#matrix.box, this.#logit.box, more, this.#more];
    if (desk.whole) fill(this.#shown, h("div", { class: "network-top" }, picture, bars, gallery), rest);
    else fill(this.#shown, picture, h("details", {}, h("summary", {}, tr("network.inside")), bars, gallery, rest));
  }

  #heads;

  get parts() {
    return [this.#field.box, this.#empty, this.#shown];
  }

  /** What makes the picture on show again; null where there is none. */
  page() {
    return /** @type {{ verb: string, arguments: object } | null} */ (this.#found && this.#picture.page());
  }

  leave() {
    this.#turn += 1;
    this.#end();
    this.#looking.stop();
    this.#fetching.stop();
    this.#switches.stop();
    this.#matrix.stop();
    this.#steer?.stop();
    this.#beside?.stop();
  }

  /** The text read anew: everything is asked for, and what the last token reads with it. */
  async look() {
    this.leave();
    const [turn, prompt, target] = [this.#turn, this.#field.text, this.#logit.target];
    this.#desk.write({ target });
    this.#empty.hidden = Boolean(prompt);
    if (!prompt) return this.#clear();
    const found = await this.#looking.ask(async (how) => {
      const { result, view } = await this.#answer(prompt, target, how);
      this.#draw(result, view);
      return result;
    }, { again: () => this.look(), failed: () => this.#clear() });
    if (!found) return;
    for (const part of [this.#switches, this.#beside, this.#steer]) {
      if (turn !== this.#turn) return;
      await part?.look(found);
    }
  }

  /**
   * The answer for a target. Where the model has no such token, that is said beside its field, the rest answered.
   * @param {string} prompt
   * @param {string} target
   * @param {import("../lib/api.js").Options} how
   */
  async #answer(prompt, target, how) {
    const asked = { prompt, k: GUESSES };
    this.#logit.refused(null);
    try {
      return await callNetwork(target ? { ...asked, target } : asked, how);
    } catch (error) {
      if (!target || error.field !== "target") throw error;
      this.#logit.refused(error);
      return callNetwork(asked, how);
    }
  }

  #clear() {
    this.#shown.hidden = true;
    this.#found = null;
    fill(this.#field.troubles);
    this.#onChange?.();
  }

  /**
   * @param {Api.NetworkInside} found
   * @param {Api.Block[]} view
   */
  #draw(found, view) {
    const same = this.#found?.prompt === found.prompt;
    this.#found = found;
    this.#reads = new Map();
    this.#keep(found.reads);
    this.#shown.hidden = false;
    this.#heads.hidden = !found.heads.length;
    this.#motion.hidden = !found.heads.length;
    this.#grid.draw(found, { switchable: true, label: tr("network.grid") });
    const { place, head } = same ? { place: this.#place, head: this.#head } : this.#wished(found);
    this.#gallery.draw(found, { switchable: true, wanted: [head, ...this.#switches.off] });
    this.#matrix.draw(found);
    this.#logit.draw(found, this.#ways(found, {}));
    const quiet = (/** @type {Api.Block} */ block) => block.block === "text" && block.tone === "quiet";
    fill(this.#more, blocks(view.filter((block) => block.block === "curves" || quiet(block))));
    this.#choose(place, head);
    this.#turned();
  }

  /**
   * The place and the head of the address; else the last token in the last layer, and the head that tells most there.
   * @param {Api.NetworkInside} found
   * @returns {{ place: Place, head: string }}
   */
  #wished(found) {
    const { at = "", attention = "" } = this.#saved;
    this.#saved = { ...this.#saved, at: "", attention: "" };
    const [layer, position] = (/^(\d+)\.(\d+)$/.exec(at)?.slice(1) ?? []).map(Number);
    const [last, layers] = [found.tokens.length - 1, found.layers.length - 1];
    const known = found.heads.some((head) => headName(head) === attention);
    const named_ = { layer: Number(attention.split(".")[0]), position: last };
    const there = layer <= layers && position <= last && position >= this.#grid.first;
    const beyond = layer > layers || position > last;
    const strange = attention && found.heads.length && !known;
    this.#switches.missing = [...(beyond ? [at] : []), ...(strange ? [attention] : [])];
    return { place: there ? { layer, position } : known ? named_ : { layer: layers, position: last },
      head: known ? attention : "" };
  }

  /** @param {Api.TokenReads | null} reads */
  #keep(reads) {
    if (reads) this.#reads.set(reads.position, new Map(reads.heads.map((one) => [headName(one), one.weights])));
  }

  // ------------------------------------------------------------ a cell, and what is read there

  /**
   * Open a cell. `head` is drawn where it is of its layer; else the one that tells most.
   * @param {Place} place
   */
  #choose(place, head = "") {
    const found = this.#found;
    if (!found) return;
    this.#place = place;
    this.#grid.choose(place);
    this.#head = head.startsWith(`${place.layer}.`) ? head : "";
    this.#reading.textContent = tr("network.heads_title", { token: named(found.tokens[place.position]) });
    if (!found.heads.length || this.#reads.has(place.position)) this.#show();
    else this.#fetch(place);
  }

  /**
   * What another token reads, asked for once.
   * @param {Place} place
   */
  async #fetch(place) {
    const found = this.#found;
    if (!found) return;
    this.#tell(null);
    const asked = { prompt: found.prompt, k: 1, layers: [0], positions: [place.position], reader: place.position };
    await this.#fetching.ask(async (how) => {
      const { reads } = await call("network", asked, how);
      if (this.#found !== found) return;
      this.#keep(reads);
      if (this.#place.position === place.position) this.#show();
    }, { again: () => this.#choose(place) });
  }

  /** @param {string} name of a head; none: all that are shown are to be marked again */
  #pick(name) {
    if (name) {
      this.#head = name;
      const layer = Number(name.split(".")[0]);
      if (layer !== this.#place.layer) {
        this.#place = { ...this.#place, layer };
        this.#grid.choose(this.#place);
      }
    }
    this.#show();
  }

  #show() {
    const found = this.#found;
    if (!found) return;
    const reads = this.#reads.get(this.#place.position) ?? new Map();
    if (!this.#head && this.#place.layer) this.#head = telling(found, reads, this.#place);
    const weights = reads.get(this.#head) ?? null;
    this.#gallery.show(reads);
    this.#tell(weights);
    this.#matrix.show(this.#head, this.#place.position);
    this.#stamps.update({
      caption: tr("network.gallery_said"),
      table: () => headTable(found, reads),
      rows: () => headTable(found, reads),
      json: { position: this.#place.position, heads: found.heads, reads: Object.fromEntries(reads) },
      ...this.#ways(found, { reader: this.#place.position }),
    });
    this.#desk.write({ at: `${this.#place.layer}.${this.#place.position}`, attention: this.#head });
  }

  /**
   * The arcs, and the two sentences under the picture.
   * @param {number[] | null} weights
   */
  #tell(weights) {
    const found = this.#found;
    if (!found) return;
    const { layer, position } = this.#place;
    const guess = found.layers[layer].guesses[position];
    const token = named(found.tokens[position]);
    const here = { token, layer, guess: named(guess), share: percent(guess.probability) };
    const quoted = (/** @type {Api.TokenShare} */ one) =>
      tr("network.quoted", { guess: named(one), share: percent(one.probability) });
    const others = guess.candidates.slice(1).map(quoted).join(", ");
    const said = [tr(layer ? "network.guessed" : "network.guessed_first", here), tr("network.then", { others })];
    if (weights) {
      const most = best(weights);
      const words = tr("network.read", { name: this.#head, token, other: named(found.tokens[most]),
        share: percent(weights[most]) });
      this.#grid.show(weights, words);
      said.push(words, tr("network.no_explanation"));
    }
    this.#marks();
    this.#picture.update({
      caption: said.join(" "),
      table: () => this.#readTable(weights),
      rows: () => guessTable(found),
      json: found,
      ...this.#ways(found, this.#head ? { attention: this.#head } : {}),
    });
  }

  /**
   * What the chosen head reads, token by token; the guesses where there is none.
   * @param {number[] | null} weights
   * @returns {Lab.Rows | null}
   */
  #readTable(weights) {
    const found = this.#found;
    if (!found) return null;
    if (!weights) return guessTable(found);
    const columns = [tr("network.column.position"), tr("network.column.token"), tr("network.column.share")];
    return { columns, rows: weights.map((share, place) => [place, named(found.tokens[place]), percent(share)]) };
  }

  /**
   * Python, command and page that show the same.
   * @param {Api.NetworkInside} found
   * @param {{ reader?: number, attention?: string }} more
   */
  #ways({ prompt }, more) {
    const target = this.#logit.known;
    const options = { ...(target ? { target } : {}), ...more };
    return {
      python: () => inPython(this.#name, "network", [prompt], options),
      command: () => onCommandLine(this.#name, "network", [prompt], asFlags(options)),
      page: { verb: /** @type {const} */ ("network"), arguments: { prompt, ...options } },
    };
  }

  /** One pass in two seconds: the rows come up, each with what the chosen token reads. */
  #play() {
    this.#end();
    const [reads, { position }, rows] = [this.#reads.get(this.#place.position), this.#place, this.#grid.rows];
    if (still() || !reads) return;
    const layers = rows.slice(1).map((_, index) => meanOf([...reads].filter(([name]) =>
      name.startsWith(`${index + 1}.`)).map(([, weights]) => weights)));
    this.#end = play(this.#grid.box, { rows, reads: layers, centers: this.#grid.centers, reader: position });
  }

  // ------------------------------------------------------------ parts switched off

  /** @param {string} name of a layer or of a head */
  #switch(name) {
    this.#switches.turn(name);
  }

  #turned() {
    const { off, by } = this.#switches;
    if (this.#beside) this.#beside.without = off.size > 0;
    this.#desk.write({ off: [...off].join(","), by: by === "zero" ? "" : by });
    this.#marks();
  }

  #marks() {
    const { off } = this.#switches;
    this.#grid.power((layer) => off.has(String(layer)));
    this.#gallery.mark({ name: this.#head, layer: this.#place.layer, off: (name) => off.has(name) });
  }
}
