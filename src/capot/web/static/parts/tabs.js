// Several views of one chapter: tabs that arrows move between, the open one kept in the address.

import { h, unique } from "../lib/dom.js";
import * as state from "../lib/state.js";

/** `open(view, place)` fills `place` when a tab is chosen; the first is open where the address names none. */
export function tabs({ names, title, open, label, name = "view" }) {
  const id = unique("tabs");
  const place = h("div", { id: `${id}-panel`, role: "tabpanel" });
  const list = names.map((view) => h("button", { type: "button", role: "tab", id: `${id}-${view}`, "aria-controls": place.id, onclick: () => choose(view), onkeydown: arrows }, title(view)));
  const asked = state.read()[name];
  choose(names.includes(asked) ? asked : names[0]);
  return h("div", {}, h("div", { class: "tabs", role: "tablist", "aria-label": label }, list), place);

  function choose(view) {
    state.write({ [name]: view === names[0] ? "" : view });
    list.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(names[index] === view));
      tab.tabIndex = names[index] === view ? 0 : -1;
    });
    place.setAttribute("aria-labelledby", `${id}-${view}`);
    open(view, place);
  }

  function arrows(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -names.length, End: names.length }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(names.length - 1, (list.indexOf(event.target) + (Math.abs(step) === 1 ? step + names.length : step)) % (Math.abs(step) === 1 ? names.length : Infinity)));
    list[next].focus();
    choose(names[next]);
  }
}
