// Labelled points in the plane, drawn in SVG: arrows from the origin where asked, labels that keep out of each other's way.

import { h } from "../lib/dom.js";

const [WIDTH, HEIGHT, MARGIN] = [640, 360, 46];

/** An SVG of points [{ label, x, y, group }]; `arrows` draws each from the origin. */
export function plane(points, { label, arrows = false } = {}) {
  const [left, right] = reach(points.map((point) => point.x), arrows);
  const [low, high] = reach(points.map((point) => point.y), arrows);
  const scale = Math.min((WIDTH - 2 * MARGIN) / (right - left), (HEIGHT - 2 * MARGIN) / (high - low)); // one scale: angles stay true
  const place = (x, y) => [WIDTH / 2 + (x - (left + right) / 2) * scale, HEIGHT / 2 - (y - (low + high) / 2) * scale];
  const [zeroX, zeroY] = place(0, 0);
  const axes = [[0, zeroY, WIDTH, zeroY], [zeroX, 0, zeroX, HEIGHT]].map(([x1, y1, x2, y2]) => h("line:svg", { class: "grid", x1, y1, x2, y2 }));
  const taken = [];
  const marks = points.map((point) => {
    const [x, y] = place(point.x, point.y);
    const tone = `s${(point.group ?? 0) % 6}`;
    const [tx, ty, anchor] = room(x, y, point.label.length * 8.2, taken);
    return h("g:svg", { class: tone },
      arrows ? h("line:svg", { class: "curve", x1: zeroX, y1: zeroY, x2: x, y2: y }) : null,
      h("circle:svg", { class: "mark", cx: x, cy: y, r: 5 }),
      h("text:svg", { class: "name", x: tx, y: ty, "text-anchor": anchor }, point.label));
  });
  return h("svg:svg", { class: "drawing", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${label}: ${points.map((point) => point.label).join(", ")}` }, axes, marks);
}

function reach(values, withOrigin) {
  const all = withOrigin ? [...values, 0] : values;
  const [low, high] = [Math.min(...all), Math.max(...all)];
  return high - low < 1e-9 ? [low - 1, high + 1] : [low, high];
}

/** A place for a label near (x, y) that covers no earlier one: right, left, above, below, then wherever it must. */
function room(x, y, width, taken) {
  const tries = [[x + 9, y + 4, "start"], [x - 9, y + 4, "end"], [x, y - 11, "middle"], [x, y + 20, "middle"], [x + 9, y - 10, "start"], [x + 9, y + 18, "start"]];
  const boxOf = ([tx, ty, anchor]) => {
    const from = anchor === "start" ? tx : anchor === "end" ? tx - width : tx - width / 2;
    return [from, ty - 12, from + width, ty + 4];
  };
  const free = tries.find((one) => {
    const [a, b, c, d] = boxOf(one);
    return a > 0 && c < WIDTH && b > 0 && d < HEIGHT && !taken.some(([e, f, g, i]) => a < g && c > e && b < i && d > f);
  }) ?? tries[0];
  taken.push(boxOf(free));
  return free;
}
