// Two texts beside each other: a cell of the other one is put into the first, by dragging, by a click or by a key.

import { fill, h } from "../../lib/dom.js";
import { named } from "../../lib/tokens.js";
import { ownFirst, tr } from "../../lib/words.js";
import { call } from "../../lib/api.js";
import { cannotObey } from "../../lib/link.js";
import * as state from "../../lib/state.js";
import { asFlags, inPython, onCommandLine } from "../../lib/code.js";
import { Awaited } from "../../parts/awaited.js";
import { promptField } from "../../parts/prompt.js";
import { Changes } from "./changes.js";
import { Grid } from "./grid.js";
import { BOTH, Sides } from "./sides.js";

const PUT = /^(?:(attention|mlp|head):)?(\d+)\.(\d+)(?:\.(\d+))?$/; // [part:]layer.position[.head]

/** @typedef {import("./grid.js").Place} Place */
/** @typedef {import("./changes.js").Spot} Spot */

/** Texts that begin as those of the other examples do. */
const EXAMPLES = {
  fr: ["La capitale de l’Italie est", "La capitale de l’Espagne est"],
  en: ["The capital of Italy is", "The capital of Spain is"],
};

/**
 * The examples that begin most as a text does: those of its language, whatever the page's is.
 * @param {string} text
 */
function alike(text) {
  const shared = (/** @type {string} */ one) => [...one].findIndex((letter, place) => letter !== text[place]);
  const all = ownFirst(EXAMPLES).filter((one) => one !== text);
  return all.toSorted((a, b) => shared(b) - shared(a)).slice(0, 2);
}

/** The other text, in the address. */
const OTHER = {
  get: () => state.read().beside ?? "",
  known: () => state.read().beside !== undefined,
  set: (/** @type {string} */ text) => state.write({ beside: text }),
};

/** The two grids, and what the model answers once a state is in the other's place. */
export class Beside {
  without = false; // whether parts are switched off above, which a state put here knows nothing of
  #name;
  #field = promptField({ onChange: () => this.#read(), own: OTHER, label: tr("network.other_text"), rows: 1, delay: 400,
    examples: ownFirst(EXAMPLES), placeholder: tr("network.other_placeholder") });
  #mine = new Grid({ chosen: (place) => this.#put(stream(place)), switched: () => {} });
  #other = new Grid({ chosen: (place) => this.#put(stream(this.#opposite(place))), switched: () => {} });
  #answer = new Sides("patch");
  #changes;
  #troubles = h("div", { class: "troubles" });
  #reading = new Awaited(this.#field.troubles);
  #putting = new Awaited(this.#troubles);
  #shown = h("div", { hidden: true });
  #linked = Boolean(state.read().put); // a link's place, until its texts are read
  /** @type {Api.NetworkInside | null} */
  #found = null;
  /** @type {Api.NetworkInside | null} */
  #source = null;

  /** @param {string} name the model's */
  constructor(name) {
    this.#name = name;
    this.#changes = new Changes({ name, chosen: (spot) => this.#put(spot), found: (answer) => this.#tell(answer) });
    const side = (/** @type {string} */ words, /** @type {Grid} */ grid) =>
      h("div", {}, h("h3", {}, tr(words)), grid.box);
    fill(this.#shown, h("p", { class: "quiet" }, tr("network.put_how")),
      h("div", { class: "two-texts" }, side("network.mine", this.#mine), side("network.other", this.#other)),
      this.#troubles, h("div", { class: "put-and-tried" }, h("div", { class: "put" }, this.#answer.box),
        this.#changes.box));
    this.box = h("section", { class: "beside" }, h("h2", {}, tr("network.beside")), this.#field.box, this.#shown);
    this.#other.carried({ from: (place) => this.#opposite(place), onto: this.#mine,
      dropped: (place) => this.#put(stream(place)) });
  }

  stop() {
    this.#reading.stop();
    this.#putting.stop();
    this.#changes.stop();
  }

  /**
   * The first text is another one.
   * @param {Api.NetworkInside} found
   */
  look(found) {
    this.#found = found;
    this.#field.offer(alike(found.prompt));
    return this.#read();
  }

  /** The other text read, and the place of the address put into the first again. */
  async #read() {
    const [found, prompt] = [this.#found, this.#field.text];
    this.stop();
    this.#shown.hidden = !prompt;
    if (!found || !prompt) return;
    const asked = { prompt, k: 1 };
    const read = await this.#reading.ask(async (how) => {
      const source = await call("network", asked, how);
      this.#putting.stop(); // into a text that is no more
      this.#source = source;
      this.#mine.draw(found, { switchable: false, label: tr("network.mine_grid") });
      this.#other.draw(source, { switchable: false, label: tr("network.other_grid") });
      this.#answer.clear();
      this.#changes.look({ found, source });
      return source;
    }, { again: () => this.#read(), failed: () => this.#answer.clear() });
    const spot = spotNamed(state.read().put ?? "");
    if (read && this.#linked && !(spot && this.#mine.cell(spot))) cannotObey("put");
    if (read) this.#linked = false;
    if (spot && read && this.#mine.cell(spot)) await this.#put(spot);
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
   * A state of the other text at a place of the first.
   * @param {Spot} spot
   */
  async #put(spot) {
    const [found, source] = [this.#found, this.#source];
    if (!found || !source) return;
    this.#putting.stop();
    const { position } = spot;
    if (position < 0 || position + this.#shift < 0) {
      fill(this.#troubles, h("p", { class: "quiet", role: "status" }, tr("network.none_beside")));
      return;
    }
    this.#mark(spot);
    const asked = requested({ prompt: found.prompt, source: source.prompt, ...spot });
    await this.#putting.ask(async (how) => {
      this.#say(await call("patch", { ...asked, ...BOTH }, how));
    }, { again: () => this.#put(spot), failed: () => this.#answer.clear() });
  }

  /** Both texts' cells, and the one of the grid. @param {Spot} spot */
  #mark(spot) {
    const { part, layer, head, position } = spot;
    this.#mine.mark(spot);
    this.#other.mark({ layer, position: position + this.#shift });
    this.#changes.mark(spot);
    const name = part === "residual" ? "" : `${part}:`;
    state.write({ put: `${name}${layer}.${position}${head === null ? "" : `.${head}`}` });
  }

  /** The place of a grid that changes most. @param {Api.Patching} answer */
  #tell(answer) {
    this.#mark(answer);
    this.#say(answer);
  }

  /** The answer before and after. @param {Api.Patching} answer */
  #say(answer) {
    const { part, layer, head, position, source_position: there, tokens, source_tokens: others } = answer;
    const at = head === null ? String(layer) : `${layer}.${head}`;
    const said = tr(`network.put_said.${part}`, { at, token: named(others[there]), other: named(tokens[position]) });
    const limits = [said, ...(this.without ? [tr("network.put_whole")] : []), tr("network.put_limits")].join(" ");
    this.#answer.both(answer, { limits, ways: this.#ways(requested(answer)) });
  }

  /**
   * Python, command and page that show the same.
   * @param {Api.PatchRequest} asked
   * @returns {Lab.Facts}
   */
  #ways({ prompt, ...options }) {
    return {
      python: inPython(this.#name, "patch", [prompt], options),
      command: onCommandLine(this.#name, "patch", [prompt], asFlags(options)),
      page: { verb: "patch", arguments: { prompt, ...options } },
    };
  }
}

/**
 * A place of the residual stream.
 * @param {Place} place
 * @returns {Spot}
 */
const stream = ({ layer, position }) => ({ part: "residual", layer, head: null, position });

/**
 * What asks for the answer with the state at a place, and no other.
 * @param {Spot & { prompt: string, source: string }} place
 * @returns {Api.PatchRequest}
 */
const requested = ({ prompt, source, part, layer, head, position }) => ({ prompt, source,
  ...(part === "residual" ? {} : { part }), layer, ...(head === null ? {} : { head }), position });

/**
 * A place as the address names it.
 * @param {string} name
 * @returns {Spot | null}
 */
function spotNamed(name) {
  const [, part = "residual", layer, position, head] = PUT.exec(name) ?? [];
  if (layer === undefined || (part === "head") !== (head !== undefined)) return null;
  return { part: /** @type {Spot["part"]} */ (part), layer: Number(layer), position: Number(position),
    head: head === undefined ? null : Number(head) };
}
