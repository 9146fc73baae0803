// The same curves on logarithmic or on linear axes: heights are already stacked, so only the axes change.

import { number, size, duration } from "../../lib/words.js";

const WRITTEN = { bytes: size, seconds: duration, number };

/** A curves block on linear axes. */
export function linear(block) {
  const flat = (figure) => {
    const { data, layout } = structuredClone(figure);
    const reach = (axis) => Math.max(...data.flatMap((trace) => (trace[axis] ?? []).map(Number).filter(Number.isFinite)), 0);
    const on = (name, top, write) => {
      const marks = ticks(top);
      return { ...layout[name], type: "linear", range: [0, top * 1.03], tickvals: marks, ticktext: marks.map((value) => (value ? write(value) : "0")) };
    };
    return { data, layout: { ...layout, xaxis: on("xaxis", reach("x"), (value) => number(value, 0)), yaxis: on("yaxis", reach("y"), WRITTEN[block.y_kind] ?? number) } };
  };
  return { ...block, figure: { light: flat(block.figure.light), dark: flat(block.figure.dark) } };
}

/** Five or so round steps from 0 to `top`. */
function ticks(top) {
  if (!(top > 0)) return [0];
  const rough = top / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, index) => index * step);
}
