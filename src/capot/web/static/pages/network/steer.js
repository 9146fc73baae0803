// A direction added while the model answers: the difference of two texts, times a strength, at a layer.

import { fill, h, labelled, later, unique } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";
import { call } from "../../lib/api.js";
import { lab } from "../../lib/lab.js";
import { cannotObey } from "../../lib/link.js";
import * as state from "../../lib/state.js";
import { asFlags, inPython, onCommandLine } from "../../lib/code.js";
import { Awaited } from "../../parts/awaited.js";
import { restored } from "../../parts/slider.js";
import { BOTH, Sides } from "./sides.js";

const { start: USUAL, ...BOUNDS } = lab.sliders.steer.strength;

/** Two texts, a layer and a strength, and the two answers. Nothing is asked while one of the texts is missing. */
export class Steer {
  #name;
  #toward = this.#text("toward");
  #away = this.#text("away");
  #layer = h("select", { id: unique("layer"), onchange: () => this.#ask() });
  #strength;
  #wished = state.read().steered ?? ""; // the layer of the address
  #answer = new Sides("steer");
  #troubles = h("div", { class: "troubles" });
  #awaited = new Awaited(this.#troubles);
  #prompt = "";

  /** @param {string} name the model's */
  constructor(name) {
    this.#name = name;
    const soon = later(150, () => this.#ask());
    const oninput = (/** @type {CustomEvent<{ value?: number }>} */ { detail }) => {
      if (detail?.value !== undefined) soon();
    };
    this.#strength = h("capot-slider", { name: "strength", ...BOUNDS, label: tr("network.strength"), oninput,
      value: restored(state.read().strength, lab.sliders.steer.strength) });
    const example = h("button", { type: "button", class: "small", onclick: () => this.#try() },
      tr("network.steer_example", { toward: tr("network.toward_example"), away: tr("network.away_example") }));
    const fields = h("div", { class: "row" }, labelled(this.#toward, tr("network.toward")),
      labelled(this.#away, tr("network.away")), labelled(this.#layer, tr("network.layer")));
    this.#answer.box.hidden = true;
    this.box = h("section", { class: "steer" }, h("h2", {}, tr("network.steer")),
      h("p", { class: "quiet" }, tr("network.steer_how")), fields,
      h("div", { class: "examples" }, h("span", {}, tr("prompt.try")), example),
      h("div", { class: "sliders" }, this.#strength), this.#troubles, this.#answer.box);
  }

  /** @param {"toward" | "away"} name */
  #text(name) {
    return h("input", { type: "text", id: unique(name), size: 24, value: state.read()[name] ?? "",
      oninput: later(400, () => this.#ask()) });
  }

  #try() {
    this.#toward.value = tr("network.toward_example");
    this.#away.value = tr("network.away_example");
    this.#ask();
  }

  stop() {
    this.#awaited.stop();
  }

  /**
   * Another text, or another model with other layers.
   * @param {Api.NetworkInside} found
   */
  look(found) {
    this.#prompt = found.prompt;
    const chosen = this.#layer.value || this.#wished;
    fill(this.#layer, h("option", { value: "" }, tr("network.middle_layer")),
      found.layers.map(({ layer }) => h("option", { value: String(layer) }, String(layer))));
    const known = found.layers.some(({ layer }) => String(layer) === chosen);
    if (this.#wished && !known) cannotObey("steered");
    this.#layer.value = known ? chosen : "";
    this.#wished = "";
    return this.#ask();
  }

  /** @returns {Api.SteerRequest} */
  get #asked() {
    const strength = this.#strength.value;
    return { prompt: this.#prompt, toward: this.#toward.value, away: this.#away.value,
      ...(this.#layer.value ? { layer: Number(this.#layer.value) } : {}),
      ...(strength === USUAL ? {} : { strength }) };
  }

  async #ask() {
    this.stop();
    const { prompt, ...options } = this.#asked;
    const { toward, away, layer, strength } = options;
    state.write({ toward, away, steered: layer, strength });
    if (!prompt || !toward || !away) return this.#clear();
    await this.#awaited.ask(async (how) => {
      this.#show(await call("steer", { prompt, ...options, ...BOTH }, how), options);
    }, { again: () => this.#ask(), failed: () => this.#clear() });
  }

  #clear() {
    fill(this.#troubles);
    this.#answer.box.hidden = true;
  }

  /**
   * @param {Api.Steered} found
   * @param {Omit<Api.SteerRequest, "prompt">} options
   */
  #show(found, options) {
    const { prompt, layer, strength, toward, away, added_norm: added, stream_norm: stream } = found;
    const said = tr("network.steer_said", { layer, strength: number(strength), toward, away, added: number(added, 1),
      stream: number(stream, 1) });
    this.#answer.box.hidden = false;
    this.#answer.both(found, { limits: `${said} ${tr("network.steer_limits")}`, ways: {
      python: inPython(this.#name, "steer", [prompt], options),
      command: onCommandLine(this.#name, "steer", [prompt], asFlags(options)),
      page: { verb: "steer", arguments: { prompt, ...options } },
    } });
  }
}
