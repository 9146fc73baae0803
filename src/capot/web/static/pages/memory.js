// What does a prompt cost? Computed at once, measured when asked, and whether a model fits a card.

import { h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { axes } from "./memory/axes.js";
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
  let [waits, left] = [Boolean(handed), false]; // what was measured is measured again, after the first answer
  const drawn = paper.start().then(() => {
    if (waits && !left) real.measure();
    waits = false;
  });
  return { drawn, leave: () => {
    left = true;
    paper.stop();
    removeEventListener("pagehide", hidden);
    return real.stop() || waits;
  } };
}
