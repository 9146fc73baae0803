// From a text predictor to an assistant: one question four ways, then a conversation and its bill.

import { h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { tabs } from "../parts/tabs.js";
import { controls } from "./generate/controls.js";
import { templates } from "./assistant/template.js";
import { ways } from "./assistant/ways.js";
import { talk } from "./assistant/talk.js";

export default async function page(main, context) {
  let model = context.model?.model ?? null;
  const named = (event) => { model = event.detail.model; };
  document.addEventListener("capot-model", named);
  const settings = controls({ template: true });
  const template = await templates(() => {});
  const parts = { settings, template, name: () => model ?? "boxed" };
  const views = { ways, talk };
  let current = null;
  main.append(h("p", { class: "lead" }, tr("assistant.lead")), tabs({ names: Object.keys(views), name: "view", label: tr("assistant.views"), title: (view) => tr(`assistant.tab.${view}`), open: (view, place) => {
    current?.leave();
    current = views[view](parts);
    place.replaceChildren(current.box);
    current.start();
  } }));
  const hidden = () => current?.leave();
  addEventListener("pagehide", hidden);
  return { leave: () => {
    current?.leave();
    document.removeEventListener("capot-model", named);
    removeEventListener("pagehide", hidden);
  } };
}
