// A token chosen flies to the end of the text: what became what, in 120 ms; not at all where motion is unwelcome.

import { h } from "../lib/dom.js";

const MS = 120;

/**
 * Fly a copy of `from` to where `to` stands; `to` shows when it has landed.
 * @param {Element | null | undefined} from
 * @param {Element | null | undefined} to
 */
export function fly(from, to) {
  if (!from || !to || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const [start, end] = [from.getBoundingClientRect(), to.getBoundingClientRect()];
  const bird = h(
    "span",
    { class: "bird", "aria-hidden": "true", style: { left: `${start.left}px`, top: `${start.top}px` } },
    from.textContent,
  );
  document.body.append(bird);
  const path = [
    { transform: "none" },
    { transform: `translate(${end.left - start.right + bird.offsetWidth}px, ${end.top - start.top}px)` },
  ];
  const flight = bird.animate(path, { duration: MS, easing: "ease-in-out" });
  const hidden = to.animate([{ opacity: 0 }, { opacity: 0 }], { duration: MS });
  flight.onfinish = flight.oncancel = () => { bird.remove(); hidden.cancel(); };
}
