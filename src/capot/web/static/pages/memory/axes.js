// The same curves on logarithmic or on linear axes. What is added up is stacked on linear ones alone: a logarithm
// would shrink whatever lies on top, so there each part is a line of its own, and their sum one more.

import { duration, number, size, tr } from "../../lib/words.js";

const GREY = "#7a7f87"; // stands on paper of either theme
const WRITTEN = { bytes: size, seconds: duration, number };

/** A curves block on the axes that are wanted. */
export function scaled(block, { logarithmic }) {
  const draw = (figure) => {
    const { data, layout } = structuredClone(figure);
    const lines = logarithmic ? apart(data) : data;
    const axis = (letter, write) => ({ ...layout[`${letter}axis`], ...(logarithmic ? powers : flat)(values(lines, letter), write) });
    return { data: lines, layout: { ...layout, xaxis: axis("x", (value) => number(value, 0)), yaxis: axis("y", WRITTEN[block.y_kind] ?? number) } };
  };
  return { ...block, figure: { light: draw(block.figure.light), dark: draw(block.figure.dark) } };
}

const values = (data, letter) => data.flatMap((trace) => (trace[letter] ?? []).filter((value) => value !== null).map(Number)).filter(Number.isFinite);

function flat(all, write) {
  const top = Math.max(...all, 0);
  const marks = ticks(top);
  return { type: "linear", range: [0, top * 1.03], tickvals: marks, ticktext: marks.map((value) => (value ? write(value) : "0")) };
}

function powers(all, write) {
  const seen = all.filter((value) => value > 0);
  const [low, high] = [Math.log10(Math.min(...seen)), Math.log10(Math.max(...seen))];
  const first = Math.floor(low);
  const marks = Array.from({ length: Math.ceil(high) - first + 1 }, (_, step) => 10 ** (first + step)).filter((value) => value >= 10 ** (low - 0.03) && value <= 10 ** (high + 0.06));
  return { type: "log", range: [low - 0.03, high + 0.06], tickvals: marks, ticktext: marks.map(write) };
}

/** Stacked areas as lines, each at its own height, and the sum of them. */
function apart(data) {
  const areas = data.filter((trace) => trace.fill);
  if (!areas.length) return data;
  const lines = areas.map(({ fill: _, fillcolor: __, ...trace }, place) => ({ ...trace, y: trace.y.map((value, at) => value - (place ? areas[place - 1].y[at] : 0) || null) }));
  const { y, line } = areas.at(-1);
  const sum = { ...lines.at(-1), y, name: tr("memory.total"), hovertext: undefined, hoverinfo: "name", line: { ...line, width: 3.5, color: GREY } };
  return [...lines, sum, ...data.filter((trace) => !trace.fill)];
}

/** Five or so round steps from 0 to `top`. */
function ticks(top) {
  if (!(top > 0)) return [0];
  const rough = top / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, index) => index * step);
}
