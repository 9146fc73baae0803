// Labelled points in the plane, drawn in SVG: arrows from the origin where asked, labels that keep out of each other's way.

import { h } from "../lib/dom.js";

const MARGIN = 30;
const LETTER = 7.6; // width of a letter of a label

/** An SVG of points [{ label, x, y, tone, group }]; with a `tone` a label is a token of that hue. `arrows` draws each from the origin. */
export function plane(points, { label, arrows = false, width = 640, height = 360 } = {}) {
  const [left, right] = reach(points.map((point) => point.x), arrows);
  const [low, high] = reach(points.map((point) => point.y), arrows);
  const side = Math.max(...points.map((point) => point.label.length)) * LETTER;
  const scale = Math.min((width - 2 * MARGIN - side) / (right - left), (height - 2 * MARGIN) / (high - low)); // one scale: angles stay true
  const place = (x, y) => [width / 2 + (x - (left + right) / 2) * scale, height / 2 - (y - (low + high) / 2) * scale];
  const [zeroX, zeroY] = place(0, 0);
  const axes = [[0, zeroY, width, zeroY], [zeroX, 0, zeroX, height]].map(([x1, y1, x2, y2]) => h("line:svg", { class: "grid", x1, y1, x2, y2 }));
  const spots = points.map((point) => place(point.x, point.y));
  const taken = spots.map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
  const marks = points.map((point, index) => {
    const [x, y] = spots[index];
    const wide = point.label.length * LETTER;
    const [tx, ty] = room({ x, y, wide, width, height, own: index }, taken);
    const hue = point.tone === undefined ? `s${(point.group ?? 0) % 6}` : `c${point.tone % 6}`;
    return h("g:svg", {},
      arrows ? h("line:svg", { class: `curve ${hue}`, x1: zeroX, y1: zeroY, x2: x, y2: y }) : null,
      h("circle:svg", { class: `mark ${hue}`, cx: x, cy: y, r: 5 }),
      point.tone === undefined ? null : h("rect:svg", { class: hue, x: tx - 3, y: ty - 13, width: wide + 6, height: 18, rx: 3 }),
      h("text:svg", { class: "name", x: tx, y: ty, textLength: wide, lengthAdjust: "spacingAndGlyphs" }, point.label));
  });
  return h("svg:svg", { class: "drawing", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}: ${points.map((point) => point.label).join(", ")}` }, axes, marks);
}

function reach(values, withOrigin) {
  const all = withOrigin ? [...values, 0] : values;
  const [low, high] = [Math.min(...all), Math.max(...all)];
  return high - low < 1e-9 ? [low - 1, high + 1] : [low, high];
}

/** A place for a label near (x, y) that covers no earlier one and no point: right, left, above, below, then wherever it must. */
function room({ x, y, wide, width, height, own }, taken) {
  const tries = [[x + 11, y + 4], [x - 11 - wide, y + 4], [x - wide / 2, y - 12], [x - wide / 2, y + 22], [x + 9, y - 9], [x + 9, y + 20], [x - 9 - wide, y - 9], [x - 9 - wide, y + 20]];
  const boxOf = ([tx, ty]) => [tx - 4, ty - 14, tx + wide + 4, ty + 6];
  const free = tries.find((one) => {
    const [a, b, c, d] = boxOf(one);
    return a > 0 && c < width && b > 0 && d < height && !taken.some(([e, f, g, i], index) => index !== own && a < g && c > e && b < i && d > f);
  }) ?? tries[0];
  taken.push(boxOf(free));
  return free;
}
