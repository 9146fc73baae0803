// What does a prompt cost? Computed at once, measured when asked, and whether a model fits a card.

import { fill, h, later } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { answers } from "../parts/answer.js";

const PRECISIONS = ["bf16", "int8", "int4"];

export default async function page(main, { model }) {
  const name = model?.model ?? "boxed";
  const saved = state.read();
  const known = h("select", {}, ["", "Llama-3.2-1B", "Llama-3.1-8B", "Mistral-7B", "Llama-3-70B", "DeepSeek-R1"].map((one) => h("option", { value: one, selected: one === (saved.known ?? "") }, one || tr("memory.this_model"))));
  const gpu = h("input", { type: "text", value: saved.gpu ?? "24GB,80GB", size: 12 });
  const mode = h("select", {}, ["last", "all"].map((one) => h("option", { value: one, selected: one === saved.mode }, tr(`memory.mode.${one}`))));
  const precision = h("fieldset", { class: "checks plain" }, h("legend", {}, tr("memory.precision")), PRECISIONS.map((one) => h("label", {}, h("input", { type: "checkbox", value: one, checked: (saved.precision ?? PRECISIONS.join(",")).split(",").includes(one) }), one)));
  const troubles = h("div");
  const paper = answers("memory", { words: tr("memory.computing"), troubles });
  const real = answers("memory", { name: "measured", words: tr("memory.measuring") });

  async function compute() {
    const chosen = [...precision.querySelectorAll("input:checked")].map((box) => box.value);
    const args = { simulate: true, mode: mode.value, gpu: gpu.value, precision: chosen.length ? chosen.join(",") : "bf16", ...(known.value ? { known: known.value } : {}) };
    state.write({ known: known.value, gpu: gpu.value === "24GB,80GB" ? "" : gpu.value, mode: mode.value === "last" ? "" : mode.value, precision: args.precision === PRECISIONS.join(",") ? "" : args.precision });
    const { simulate, ...shown } = args;
    await paper.ask(args, {
      python: inPython(name, "memory", [], { simulate, ...shown }),
      command: onCommandLine(known.value || name, "memory", [], { "--simulate": true, "--gpu": args.gpu, "--precision": args.precision }),
    });
  }

  const measure = h("button", { type: "button", class: "primary", onclick: async () => {
    measure.disabled = true;
    const tokens = [1, 16, 64, 256, 512, 1024, 2048];
    await real.ask({ tokens, mode: mode.value }, { python: inPython(name, "memory", [tokens], { mode: mode.value }), command: onCommandLine(name, "memory", [], { "--tokens": tokens.join(",") }) });
    measure.disabled = false;
  } }, tr("memory.measure"));
  const soon = later(300, compute);
  for (const field of [known, gpu, mode, precision]) field.addEventListener("input", soon);
  main.append(h("p", {}, tr("memory.lead")),
    h("div", { class: "row" }, h("label", { class: "field" }, tr("memory.model"), " ", known), h("label", { class: "field" }, tr("memory.gpu"), " ", gpu), h("label", { class: "field" }, tr("memory.logits"), " ", mode), precision),
    troubles, paper.box, h("h2", {}, tr("memory.measured_title")), h("p", {}, tr("memory.measured_lead")), measure, real.box);
  compute();
  return { leave: () => { paper.stop(); real.stop(); } };
}
