// What does a prompt cost? Computed at once, measured when asked, and whether a model fits a card.

import { h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { choice } from "../parts/ticks.js";
import { computed } from "./memory/computed.js";
import { measured } from "./memory/measured.js";

/**
 * @param {HTMLElement} main
 * @param {Lab.Context<boolean>} context
 * @returns {Promise<Lab.Page<boolean>>}
 */
export default async function page(main, { model, handed }) {
  const name = model?.model ?? "boxed";
  const scale = axes();
  const paper = computed(name, scale);
  const real = measured(name, scale);
  main.append(h("p", { class: "lead" }, tr("memory.lead")), paper.box, real.box);
  const hidden = () => { real.stop(); };
  addEventListener("pagehide", hidden);
  await paper.start();
  if (handed) real.measure();
  return { leave: () => { // what is measured is measured again
    paper.stop();
    removeEventListener("pagehide", hidden);
    return real.stop();
  } };
}

/**
 * Linear or logarithmic, for every curve of the page.
 * @returns {Lab.Scale}
 */
function axes() {
  let logarithmic = state.read().axes === "log";
  /** @type {(() => unknown)[]} */
  const listeners = [];
  const box = choice(["linear", "log"], {
    name: "axes",
    legend: tr("memory.axes"),
    chosen: logarithmic ? "log" : "linear",
    said: (one) => tr(`memory.axes_are.${one}`),
    onChange: (one) => {
      logarithmic = one === "log";
      state.write({ axes: logarithmic ? "log" : "" });
      for (const each of listeners) each();
    },
  });
  return { box, get logarithmic() { return logarithmic; }, onChange: (listener) => listeners.push(listener) };
}
