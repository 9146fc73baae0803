// Heads and layers switched off, and what the next token becomes: the bars as they are, a tick where each was before.

import { fill, h } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { call } from "../../lib/api.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { Awaited } from "../../parts/awaited.js";
import { heading } from "../../parts/frame.js";
import { choice } from "../../parts/ticks.js";
import { BOTH, Sides } from "./sides.js";

const FEW = 10; // candidates of an answer that stands alone
const NAMED = 5; // parts of a link that this model does not have
const BY = /** @type {const} */ (["zero", "mean"]);

/**
 * What is off, as the address keeps it: "2,5.1" are layer 2 and head 5.1.
 */
export class Switches {
  /** @type {Set<string>} */
  off;
  /** @type {string[]} */
  missing = []; // what else a link names that this model does not have
  /** @type {typeof BY[number]} */
  by;
  #prompt = "";
  #chips = h("ul", { class: "chips" });
  #again = h("button", { type: "button", class: "small", onclick: () => this.clear() }, tr("network.all_on"));
  #none = h("p", { class: "quiet small" }, tr("network.switch_how"));
  #whole = h("p", { class: "quiet small" }, tr("network.others_whole"));
  #lost = h("p", { class: "warning", role: "status", hidden: true });
  #troubles = h("div", { class: "troubles" });
  #awaited = new Awaited(this.#troubles);
  #sides = new Sides("ablate");
  line = h("output", { class: "quiet" }); // the answer in a line, for who looks at the stamps
  #onChange;
  #name;

  /**
   * @param {{ name: string, onChange: () => unknown, off: string[], by: string, whole: boolean }} how
   * `whole`: the page is its own
   */
  constructor({ name, onChange, off, by, whole }) {
    this.off = new Set(off);
    this.by = by === "mean" ? "mean" : "zero";
    this.#name = name;
    this.#onChange = onChange;
    const way = choice([...BY], { name: "by", legend: tr("network.by"), chosen: this.by,
      said: (one) => tr(`network.by_${one}`), onChange: (one) => { this.by = one; this.#changed(); } });
    this.#way = h("div", {}, way);
    const place = whole ? h("section", { "aria-label": tr("network.next") }) : h("div");
    place.className = "answered";
    this.box = fill(place, heading(whole, tr("network.next")),
      this.#lost, this.#none, h("div", { class: "row" }, this.#chips, this.#again), this.#whole, this.#way,
      this.#troubles, this.#sides.box);
  }

  #way;

  stop() {
    this.#awaited.stop();
  }

  clear() {
    this.off.clear();
    this.#changed();
  }

  /** @param {string} name */
  turn(name) {
    if (!this.off.delete(name)) this.off.add(name);
    this.#changed();
  }

  #changed() {
    this.#lost.hidden = true;
    this.#onChange();
    this.#tell();
    this.#ask();
  }

  /**
   * Another text, or another model: what is no part of it any more is on again.
   * @param {Api.NetworkInside} found
   */
  look(found) {
    const heads = new Set(found.heads.map((head) => `${head.layer}.${head.head}`));
    const layers = found.layers.length - 1;
    const layer = (/** @type {string} */ name) => /^\d+$/.test(name) && Number(name) >= 1 && Number(name) <= layers;
    const unknown = [...this.off].filter((name) => !heads.has(name) && !layer(name));
    for (const name of unknown) this.off.delete(name);
    const lost = [...new Set([...this.missing, ...unknown])];
    this.missing = [];
    this.#lost.hidden = !lost.length;
    this.#lost.textContent = tr("network.no_such_part", { count: lost.length, names: lost.slice(0, NAMED).join(", ") });
    if (lost.length) this.#onChange();
    this.#prompt = found.prompt;
    this.#tell();
    return this.#ask();
  }

  #tell() {
    const some = this.off.size > 0;
    const chip = (/** @type {string} */ name) => {
      const words = tr(name.includes(".") ? "network.head_off" : "network.layer_off", { name });
      return h("li", { class: "chip" }, h("span", {}, words), h("button", { type: "button",
        "aria-label": tr("network.on_again", { name: words }), onclick: () => this.turn(name) }, "×"));
    };
    fill(this.#chips, [...this.off].map(chip));
    this.#again.hidden = !some;
    this.#none.hidden = some;
    this.#way.hidden = this.#whole.hidden = !some;
  }

  /** @returns {Api.AblateRequest} */
  get #asked() {
    const heads = [...this.off].filter((name) => name.includes("."));
    const layers = [...this.off].filter((name) => !name.includes(".")).map(Number);
    return { prompt: this.#prompt, ...(heads.length ? { heads } : {}), ...(layers.length ? { layers } : {}),
      ...(this.by === "mean" ? { by: this.by } : {}) };
  }

  async #ask() {
    await this.#awaited.ask(async (how) => {
      if (this.off.size) this.#both(await call("ablate", { ...this.#asked, ...BOTH }, how));
      else this.#alone(await call("next", { prompt: this.#prompt, k: FEW }, how));
    }, { again: () => this.#ask(), failed: () => this.#clear() });
  }

  #clear() {
    this.#sides.clear();
    this.line.textContent = "";
  }

  /** @param {Api.Prediction} found */
  #alone(found) {
    this.line.textContent = "";
    this.#sides.alone(found, {
      python: inPython(this.#name, "next", [found.prompt], {}),
      command: onCommandLine(this.#name, "next", [found.prompt], {}),
      page: { verb: "next", arguments: { prompt: found.prompt } },
    });
  }

  /** @param {Api.Ablation} found */
  #both(found) {
    const { prompt, ...options } = this.#asked;
    this.line.textContent = this.#sides.both(found, { limits: tr("network.another_network"), ways: {
      python: inPython(this.#name, "ablate", [prompt], options),
      command: onCommandLine(this.#name, "ablate", [prompt], { "--heads": options.heads?.join(","),
        "--layers": options.layers?.join(","), "--by": options.by }),
      page: { verb: "ablate", arguments: { prompt, ...options } },
    } });
  }
}
