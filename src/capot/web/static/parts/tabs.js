// Several views of one chapter: tabs that arrows move between, the open one kept in the address.

import { h, unique } from "../lib/dom.js";
import * as state from "../lib/state.js";

/**
 * `open(view, place)` fills `place` when a tab is chosen; the first is open where the address names none.
 * @template {string} View
 * @param {{
 *   names: View[], title: (view: View) => string, open: (view: View, place: HTMLElement) => unknown, label: string,
 * name?: string, }} how
 */
export function tabs({ names, title, open, label, name = "view" }) {
  const id = unique("tabs");
  const place = h("div", { id: `${id}-panel`, role: "tabpanel" });
  const shared = { type: "button", role: "tab", "aria-controls": place.id, onkeydown: arrows };
  const list = names.map((view) =>
    h("button", { ...shared, id: `${id}-${view}`, onclick: () => choose(view) }, title(view)));
  const asked = state.read()[name];
  choose(names.find((view) => view === asked) ?? names[0]);
  return h("div", {}, h("div", { class: "tabs", role: "tablist", "aria-label": label }, list), place);

  /** @param {View} view */
  function choose(view) {
    state.write({ [name]: view === names[0] ? "" : view });
    list.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(names[index] === view));
      tab.tabIndex = names[index] === view ? 0 : -1;
    });
    place.setAttribute("aria-labelledby", `${id}-${view}`);
    open(view, place);
  }

  /** @param {KeyboardEvent} event */
  function arrows(event) {
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -names.length, End: names.length };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const to = list.indexOf(/** @type {HTMLButtonElement} */ (event.target)) + step;
    const last = names.length - 1;
    const next = Math.abs(step) === 1 ? (to + names.length) % names.length : Math.max(0, Math.min(last, to));
    list[next].focus();
    choose(names[next]);
  }
}
