// The same curves on logarithmic or on linear axes. What is added up is stacked on linear ones alone: a logarithm
// would shrink whatever lies on top, so there each part is a line of its own, and their sum one more.

import { page } from "../../lib/state.js";
import { duration, number, size, tr } from "../../lib/words.js";
import { choice } from "../../parts/ticks.js";

const GREY = "#7a7f87"; // stands on paper of either theme
/** @type {Partial<Record<Api.Curves["y_kind"], (value: number) => string>>} */
const WRITTEN = { bytes: size, seconds: duration, number };

/**
 * A curves block on the axes that are wanted.
 * @param {Api.Curves} block
 * @param {{ logarithmic: boolean }} how
 * @returns {Api.Curves}
 */
export function scaled(block, { logarithmic }) {
  const range = logarithmic ? powers : flat;
  /** @type {(figure: Api.Figure) => Api.Figure} */
  const draw = (figure) => {
    const { data, layout } = structuredClone(figure);
    const lines = logarithmic ? apart(data) : data;
    const xaxis = { ...layout.xaxis, ...range(values(lines, "x"), (value) => number(value, 0)) };
    const yaxis = { ...layout.yaxis, ...range(values(lines, "y"), WRITTEN[block.y_kind] ?? number) };
    return { data: lines, layout: { ...layout, xaxis, yaxis } };
  };
  return { ...block, figure: { light: draw(block.figure.light), dark: draw(block.figure.dark) } };
}

/**
 * All the numbers along one axis.
 * @param {Lab.Trace[]} data
 * @param {"x" | "y"} letter
 */
const values = (data, letter) =>
  data.flatMap((trace) => (trace[letter] ?? []).filter((value) => value !== null).map(Number)).filter(Number.isFinite);

/**
 * @param {number[]} all
 * @param {(value: number) => string} write
 */
function flat(all, write) {
  const top = Math.max(...all, 0);
  const marks = ticks(top);
  const texts = marks.map((value) => (value ? write(value) : "0"));
  return { type: "linear", range: [0, top * 1.03], tickvals: marks, ticktext: texts };
}

/**
 * @param {number[]} all
 * @param {(value: number) => string} write
 */
function powers(all, write) {
  const seen = all.filter((value) => value > 0);
  const [low, high] = [Math.log10(Math.min(...seen)), Math.log10(Math.max(...seen))];
  const first = Math.floor(low);
  const marks = Array.from({ length: Math.ceil(high) - first + 1 }, (_, step) => 10 ** (first + step))
    .filter((value) => value >= 10 ** (low - 0.03) && value <= 10 ** (high + 0.06));
  const texts = marks.map((value) => write(value));
  return { type: "log", range: [low - 0.03, high + 0.06], tickvals: marks, ticktext: texts };
}

/**
 * Stacked areas as lines, each at its own height, and the sum of them.
 * @param {Lab.Trace[]} data
 * @returns {Lab.Trace[]}
 */
function apart(data) {
  const areas = data.filter((trace) => trace.fill);
  const last = areas.at(-1);
  if (!last) return data;
  const lines = areas.map(({ fill: _, fillcolor: __, ...trace }, place) => {
    const below = place ? areas[place - 1].y : [];
    return { ...trace, y: trace.y.map((value, at) => Number(value) - Number(below[at] ?? 0) || null) };
  });
  const { y, line } = last;
  const [top] = lines.slice(-1);
  const look = { hovertext: undefined, hoverinfo: "name", line: { ...line, width: 3.5, color: GREY } };
  return [...lines, { ...top, y, name: tr("memory.total"), ...look }, ...data.filter((trace) => !trace.fill)];
}

/**
 * Five or so round steps from 0 to `top`.
 * @param {number} top
 */
function ticks(top) {
  if (!(top > 0)) return [0];
  const rough = top / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? 10 * power;
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, index) => index * step);
}

/**
 * Linear or logarithmic, for every curve of the page that the desk is of.
 * @param {Lab.Desk} [desk]
 * @returns {Lab.Scale}
 */
export function axes(desk = page) {
  let logarithmic = desk.read().axes === "log";
  /** @type {(() => unknown)[]} */
  const listeners = [];
  const box = choice(["linear", "log"], {
    name: "axes",
    legend: tr("memory.axes"),
    chosen: logarithmic ? "log" : "linear",
    said: (one) => tr(`memory.axes_are.${one}`),
    onChange: (one) => {
      logarithmic = one === "log";
      desk.write({ axes: logarithmic ? "log" : "" });
      for (const each of listeners) each();
    },
  });
  return { box, get logarithmic() { return logarithmic; }, onChange: (listener) => listeners.push(listener) };
}
