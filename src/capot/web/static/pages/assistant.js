// From a text predictor to an assistant: one question four ways, then a conversation and its bill.

import { h } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import * as state from "../lib/state.js";
import { tabs } from "../parts/tabs.js";
import { controls } from "./generate/controls.js";
import { templates } from "./assistant/template.js";
import { ways } from "./assistant/ways.js";
import { talk } from "./assistant/talk.js";

export default async function page(main, context) {
  let model = context.model?.model ?? null;
  const named = (event) => { model = event.detail.model; };
  document.addEventListener("capot-model", named);
  const before = state.read();
  if (before.prompt !== undefined && before.question === undefined) state.write({ question: before.prompt, prompt: "" }); // a link of before
  const settings = controls({ template: true });
  let current = null;
  const template = await templates(() => current?.changed?.());
  const parts = { settings, template, name: () => model ?? "boxed", handed: context.handed };
  const views = { ways, talk };
  main.append(h("p", { class: "lead" }, tr("assistant.lead")), tabs({ names: Object.keys(views), name: "view", label: tr("assistant.views"), title: (view) => tr(`assistant.tab.${view}`), open: (view, place) => {
    current?.leave();
    current = views[view](parts);
    parts.handed = null;
    place.replaceChildren(current.box);
    current.start();
  } }));
  const hidden = () => current?.leave();
  addEventListener("pagehide", hidden);
  return { leave: (how) => {
    document.removeEventListener("capot-model", named);
    removeEventListener("pagehide", hidden);
    return current?.leave(how);
  } };
}
