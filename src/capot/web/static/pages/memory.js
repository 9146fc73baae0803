// What does a prompt cost? Computed at once, measured when asked, and whether a model fits a card.

import { h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { computed } from "./memory/computed.js";
import { measured } from "./memory/measured.js";

export default async function page(main, { model }) {
  const name = model?.model ?? "boxed";
  const scale = axes();
  const paper = computed(name, scale);
  const real = measured(name, scale, () => state.read().mode ?? "last");
  main.append(h("p", { class: "lead" }, tr("memory.lead")), paper.box, real.box);
  const hidden = () => real.stop();
  addEventListener("pagehide", hidden);
  await paper.start();
  return { leave: () => { paper.stop(); real.stop(); removeEventListener("pagehide", hidden); } };
}

/** Logarithmic or linear, for every curve of the page. */
function axes() {
  let flat = state.read().axes === "linear";
  const listeners = [];
  const box = h("fieldset", { class: "checks plain" }, h("legend", {}, tr("memory.axes")), ["log", "linear"].map((one) => h("label", { class: "tick" },
    h("input", { type: "radio", name: "axes", value: one, checked: flat === (one === "linear"), onchange: () => { flat = one === "linear"; state.write({ axes: flat ? "linear" : "" }); for (const each of listeners) each(); } }), tr(`memory.axes_are.${one}`))));
  return { box, linear: () => flat, heard: (listener) => listeners.push(listener) };
}
