// Which vector stands for a word; what one vector cannot say; what the layers above add.

import { fill, h, later } from "../lib/dom.js";
import { lang, tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { inPython, onCommandLine, quoted } from "../lib/code.js";
import { answers } from "../parts/answer.js";
import { blocks } from "../parts/blocks.js";
import { chips } from "../parts/chips.js";

const WORDS = { en: "cat,dog,green,blue,house,room", fr: "chat,chien,vert,bleu,maison,chambre" };
const VIEWS = ["words", "context", "lens"];

export default async function page(main, { model }) {
  const name = model?.model ?? "boxed";
  const saved = state.read();
  const place = h("div");
  const tabs = h("div", { class: "tabs", role: "tablist" }, VIEWS.map((view) => h("button", { type: "button", role: "tab", id: `tab-${view}`, "aria-controls": "tab-panel", onclick: () => open(view), onkeydown: arrows }, tr(`embeddings.tab.${view}`))));
  main.append(tabs, h("div", { id: "tab-panel", role: "tabpanel", tabindex: "-1" }, place));
  let current;
  const leave = () => current?.stop();
  open(VIEWS.includes(saved.view) ? saved.view : "words");
  return { leave };

  function arrows(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...tabs.children];
    all[(all.indexOf(event.target) + step + all.length) % all.length].focus();
  }

  function open(view) {
    current?.stop();
    state.write({ view: view === "words" ? "" : view });
    for (const tab of tabs.children) {
      const chosen = tab.id === `tab-${view}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
    document.getElementById("tab-panel").setAttribute("aria-labelledby", `tab-${view}`);
    current = { words, context, lens }[view]();
  }

  function words() {
    let dimensions = Number(saved.dimensions) === 3 ? 3 : 2;
    const answer = answers("embed", { name: "embeddings", words: tr("embeddings.waiting"), drawn: pictureFirst });
    const ask = (list) => {
      state.write({ words: list.join(","), dimensions: dimensions === 3 ? 3 : "" });
      if (!list.length) return answer.update({ caption: tr("embeddings.empty") });
      const args = { words: list, dimensions };
      return answer.ask(args, { python: inPython(name, "embed", [list], { dimensions }), command: `${onCommandLine(name, "embed", list, { "--dimensions": dimensions === 3 ? 3 : undefined })}` });
    };
    const list = chips((saved.words ?? WORDS[lang()]).split(",").filter(Boolean), { label: tr("embeddings.words"), heard: ask });
    const space = h("div", { class: "checks" }, [2, 3].map((count) => h("label", {}, h("input", { type: "radio", name: "dimensions", checked: count === dimensions, onchange: () => { dimensions = count; ask(list.words); } }), tr(`embeddings.dimensions.d${count}`))));
    fill(place, list.box, space, answer.box);
    ask(list.words);
    return answer;
  }

  /** The picture before the tables that it stands on. */
  function pictureFirst(_, view) {
    const rank = (block) => (block.block === "scatter" ? 0 : block.heat?.length ? 1 : 2);
    return blocks([...view].sort((a, b) => rank(a) - rank(b)));
  }

  function context() {
    const word = h("input", { type: "text", value: saved.word ?? tr("embeddings.sample.word"), size: 14 });
    const sentences = h("textarea", { rows: 3, value: saved.sentences ?? tr("embeddings.sample.sentences") });
    let layer = saved.layer === undefined ? null : Number(saved.layer);
    const troubles = h("div");
    const slider = h("div");
    const answer = answers("context", { words: tr("embeddings.waiting"), troubles });
    const ask = async () => {
      const lines = sentences.value.split("\n").map((line) => line.trim()).filter(Boolean);
      state.write({ word: word.value, sentences: sentences.value, layer });
      const args = { word: word.value, sentences: lines, ...(layer === null ? {} : { layer }) };
      const result = await answer.ask(args, { python: inPython(name, "context", [word.value], { sentences: lines, ...(layer === null ? {} : { layer }) }), command: `capot context ${[word.value, ...lines].map(quoted).join(" ")}${layer === null ? "" : ` --layer ${layer}`}` });
      if (result && !slider.firstChild) fill(slider, layers(result));
    };
    const layers = (result) => h("capot-slider", { min: 0, max: result.layers.length - 1, step: 1, coarse: 2, value: result.layer, label: tr("embeddings.layer"), oninput: later(120, (event) => { if (event.detail) { layer = event.detail.value; ask(); } }) });
    const soon = later(400, ask);
    for (const field of [word, sentences]) field.addEventListener("input", soon);
    fill(place, h("p", {}, tr("embeddings.context_lead")), h("div", { class: "row" }, h("label", { class: "field" }, tr("embeddings.word"), " ", word)),
      h("div", { class: "prompt" }, h("label", {}, tr("embeddings.sentences"), sentences), troubles), slider, answer.box);
    ask();
    return answer;
  }

  function lens() {
    const troubles = h("div");
    const field = h("textarea", { rows: 2, value: state.prompt.get() || tr("embeddings.sample.prompt") });
    const answer = answers("lens", { words: tr("home.waiting"), troubles });
    const ask = () => {
      state.prompt.set(field.value);
      return answer.ask({ prompt: field.value }, { python: inPython(name, "lens", [field.value]), command: onCommandLine(name, "lens", [field.value]) });
    };
    field.addEventListener("input", later(400, ask));
    fill(place, h("p", {}, tr("embeddings.lens_lead")), h("div", { class: "prompt" }, h("label", {}, tr("prompt.label"), field), troubles), answer.box);
    ask();
    return answer;
  }
}

