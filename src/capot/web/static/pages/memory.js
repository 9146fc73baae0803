// What does a prompt cost? Computed at once, measured when asked, and whether a model fits a card.

import { h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { computed } from "./memory/computed.js";
import { measured } from "./memory/measured.js";

export default async function page(main, { model, handed }) {
  const name = model?.model ?? "boxed";
  const scale = axes();
  const paper = computed(name, scale);
  const real = measured(name, scale, () => state.read().mode ?? "last");
  main.append(h("p", { class: "lead" }, tr("memory.lead")), paper.box, real.box);
  const hidden = () => real.stop();
  addEventListener("pagehide", hidden);
  await paper.start();
  if (handed) real.measure();
  return { leave: () => { paper.stop(); removeEventListener("pagehide", hidden); return real.stop(); } }; // what is measured is measured again
}

/** Linear or logarithmic, for every curve of the page. */
function axes() {
  let logarithmic = state.read().axes === "log";
  const listeners = [];
  const box = h("fieldset", { class: "checks plain" }, h("legend", {}, tr("memory.axes")), ["linear", "log"].map((one) => h("label", { class: "tick" },
    h("input", { type: "radio", name: "axes", value: one, checked: logarithmic === (one === "log"), onchange: () => { logarithmic = one === "log"; state.write({ axes: logarithmic ? "log" : "" }); for (const each of listeners) each(); } }), tr(`memory.axes_are.${one}`))));
  return { box, get logarithmic() { return logarithmic; }, heard: (listener) => listeners.push(listener) };
}
