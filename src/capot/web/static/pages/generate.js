// Predict, choose, append, repeat: one text that can be left at any token, or several temperatures side by side.

import { h } from "../lib/dom.js";
import { ownFirst, tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { promptField } from "../parts/prompt.js";
import { tabs } from "../parts/tabs.js";
import { controls } from "./generate/controls.js";
import { one } from "./generate/one.js";
import { beside } from "./generate/beside.js";

const EXAMPLES = { fr: ["Il était une fois", "La capitale de l’Australie est"], en: ["Once upon a time", "The capital of Australia is"] };

export default async function page(main, context) {
  let model = context.model?.model ?? null;
  const named = (event) => { model = event.detail.model; };
  document.addEventListener("capot-model", named);
  const field = promptField({ heard: (text) => { if (text !== state.read().prompt) state.write({ tree: "", drawn: "", on: "", all: "" }); }, examples: ownFirst(EXAMPLES) });
  const settings = controls();
  const parts = { field, settings, name: () => model ?? "boxed", handed: context.handed };
  let current = null;
  const views = { one, all: beside };
  const box = tabs({ names: Object.keys(views), name: "view", label: tr("generate.views"), title: (view) => tr(`generate.tab.${view}`), open: (view, place) => {
    current?.leave();
    settings.showTemperature(view === "one");
    current = views[view](parts);
    parts.handed = null;
    place.replaceChildren(current.box);
    return current.start();
  } });
  main.append(h("p", { class: "lead" }, tr("generate.lead")), field.box, settings.box, box);

  const keys = (event) => {
    const typing = event.target.closest?.("textarea, input, select, button, a, summary, [tabindex='0']");
    if (event.code === "Space" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); current.further(1); }
    if (event.key === "Escape" && current.busy) current.halt();
  };
  const hidden = () => current?.leave(); // a reload in the middle keeps what there is
  document.addEventListener("keydown", keys);
  addEventListener("pagehide", hidden);
  return { leave: (how) => {
    document.removeEventListener("keydown", keys);
    document.removeEventListener("capot-model", named);
    removeEventListener("pagehide", hidden);
    return current?.leave(how);
  } };
}
