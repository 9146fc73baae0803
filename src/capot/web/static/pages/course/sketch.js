// A curve drawn by hand: a slider for each point, or a finger along the picture; afterwards the run's own beside it.

import { fill, h } from "../../lib/dom.js";
import { number, tr } from "../../lib/words.js";

const [WIDE, HIGH, EDGE] = [480, 200, 12];
const [LEAST, MOST] = [1, 100]; // of a point's height: what counts is the shape

/**
 * @param {number[]} values from 0 to 100
 * @param {number} count
 */
const points = (values, count) =>
  values.map((value, place) => [EDGE + (place * (WIDE - 2 * EDGE)) / (count - 1),
    HIGH - EDGE - ((HIGH - 2 * EDGE) * value) / MOST]);

/**
 * @param {number[]} values
 * @param {string} kind
 */
function line(values, kind) {
  const all = points(values, values.length);
  return h("g:svg", { class: kind },
    h("polyline:svg", { points: all.map(([x, y]) => `${x},${y}`).join(" ") }),
    all.map(([x, y]) => h("circle:svg", { cx: x, cy: y, r: 4 })));
}

/**
 * A picture of a curve as it was drawn, or of two, the higher of which is as high as the frame.
 * @param {number[]} mine
 * @param {number[]} [theirs]
 */
export function compared(mine, theirs = []) {
  const label = tr(theirs.length ? "course.curve_both" : "course.curve_yours");
  // what is compared is a shape: both begin at the same height
  const scaled = theirs.map((value) => (value / theirs[0]) * mine[0]);
  const top = theirs.length ? Math.max(...mine, ...scaled) : MOST;
  const fit = (/** @type {number[]} */ values) => values.map((value) => (value / top) * MOST);
  return h("figure", { class: "sketch" },
    h("svg:svg", { class: "drawing", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label },
      h("rect:svg", { width: WIDE, height: HIGH, rx: 6 }),
      line(fit(mine), "mine"), theirs.length ? line(fit(scaled), "theirs") : null),
    theirs.length ? h("figcaption", {}, label) : null);
}

/**
 * The field in which a curve is drawn; what nobody has drawn is no curve yet.
 * @param {number[]} xs
 * @param {number[] | undefined} start
 * @param {(values: number[]) => unknown} changed
 */
export function sketch(xs, start, changed) {
  let drawn = start?.length === xs.length;
  const values = drawn && start ? [...start] : xs.map(() => 10);
  const picture = h("div", { class: "board" });
  const draw = () => fill(picture, compared(values));
  const sliders = xs.map((x, place) => h("input", {
    type: "range", min: LEAST, max: MOST, step: 1, value: String(values[place]),
    "aria-label": tr("course.point", { x: number(x) }),
    oninput: (/** @type {Event} */ event) => {
      set(place, Number(/** @type {HTMLInputElement} */ (event.target).value));
    },
  }));
  const set = (/** @type {number} */ place, /** @type {number} */ value) => {
    values[place] = Math.round(Math.min(MOST, Math.max(LEAST, value)));
    sliders[place].value = String(values[place]);
    drawn = true;
    draw();
    changed([...values]);
  };
  const drag = (/** @type {PointerEvent} */ event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const at = picture.getBoundingClientRect();
    const along = ((event.clientX - at.x) / at.width) * WIDE - EDGE;
    const place = Math.round((along / (WIDE - 2 * EDGE)) * (xs.length - 1));
    const up = (HIGH - EDGE - ((event.clientY - at.y) / at.height) * HIGH) / (HIGH - 2 * EDGE);
    if (xs[place] !== undefined) set(place, up * MOST);
  };
  picture.addEventListener("pointerdown", drag);
  picture.addEventListener("pointermove", drag);
  draw();
  const columns = xs.map((x, place) => h("div", { class: "point" }, sliders[place], h("span", {}, number(x))));
  return { box: h("div", { class: "drawn-by-hand" }, picture, h("div", { class: "points" }, columns)),
    read: () => (drawn ? [...values] : null) };
}
