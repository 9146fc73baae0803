// How a token is chosen: the two settings that matter most in sight, the others folded.

import { h, labelled, unique } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { lab } from "../../lib/lab.js";
import * as state from "../../lib/state.js";
import { kept, restored } from "../../parts/slider.js";

const SLIDERS = lab.sliders.generate;
const FOLDED = ["top_k", "top_p", "min_p"];

/**
 * The fields, restored from the address and kept in it. `sampling()`, `seed()`, `count()` and `after()` read them.
 * `template`: the stop strings are a template's, and what follows them can be asked for. `desk` keeps what is set.
 * @param {{ template?: boolean, desk?: Lab.Desk }} [how]
 * @returns {Lab.Controls}
 */
export function controls({ template = false, desk = state.page } = {}) {
  const saved = desk.read();
  /** @type {Record<string, number>} */
  const values = Object.fromEntries(
    Object.entries(SLIDERS).map(([name, bounds]) => [name, restored(saved[name], bounds)]));
  const keep = () => {
    desk.write({ ...kept(values, SLIDERS, saved), seed: seed.input.value, stop: stop.input.value });
  };
  const slider = (/** @type {string} */ name) =>
    sliding(name, values[name], (value) => { values[name] = value; keep(); });
  const whole = { type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 };
  const seed = field("seed", tr("generate.seed"),
    { ...whole, value: saved.seed ?? "", placeholder: tr("generate.any_seed"), onchange: keep });
  const stop = field("stop", tr("generate.stop_string"),
    { type: "text", value: saved.stop ?? "", placeholder: tr("generate.no_stop"), onchange: keep });
  const temperature = slider("temperature");
  const moved = FOLDED.some((name) => values[name] !== SLIDERS[name].start);
  const names = template ? [...FOLDED, "after_stop"] : FOLDED;
  const folded = h("details", { open: moved || Boolean(saved.seed || saved.stop) },
    h("summary", {}, tr("generate.settings")),
    h("div", { class: "sliders" }, names.map(slider), seed.box, template ? null : stop.box));
  const first = h("div", { class: "sliders" }, temperature, slider("max_new_tokens"));
  return {
    box: h("div", { class: "controls" }, first, folded),
    showTemperature: (shown) => { temperature.hidden = !shown; },
    sampling: () => sampled(values, stop.input.value),
    seed: () => (seed.input.value === "" ? undefined : Math.max(0, Math.floor(Number(seed.input.value)) || 0)),
    count: () => values.max_new_tokens,
    after: () => values.after_stop,
  };
}

/**
 * One slider; `onChange` is called with where it is moved to.
 * @param {string} name
 * @param {number} value
 * @param {(value: number) => unknown} onChange
 */
function sliding(name, value, onChange) {
  const { start: _, ...bounds } = SLIDERS[name];
  const said = { label: tr(`generate.${name}`), hint: tr(`generate.about.${name}`) };
  const oninput = (/** @type {CustomEvent<{ value: number }>} */ { detail }) => { if (detail) onChange(detail.value); };
  return h("capot-slider", { name, ...bounds, value, ...said, oninput });
}

/**
 * @param {string} name
 * @param {string} label
 * @param {Lab.Props} props
 */
function field(name, label, props) {
  const id = unique(name);
  const input = h("input", { id, ...props });
  return { input, box: labelled(input, label) };
}

/**
 * The settings as the verbs take them, with a stop string where one is typed: \n is a line end there.
 * @param {Record<string, number>} values
 * @param {string} stop
 * @returns {Lab.Sampling}
 */
function sampled({ temperature, top_k, top_p, min_p }, stop) {
  const unescaped = stop.replaceAll("\\n", "\n").replaceAll("\\t", "\t");
  return { temperature, top_k, top_p, min_p, ...(stop ? { stop: [unescaped] } : {}) };
}

/**
 * Settings as keyword arguments, those that filter nothing left out.
 * @param {Partial<Lab.Sampling>} sampling
 * @returns {Partial<Lab.Sampling>}
 */
export function chosen(sampling) {
  /** @type {Record<string, number>} */
  const neutral = { top_k: 0, top_p: 1, min_p: 0 };
  return Object.fromEntries(Object.entries(sampling).filter(([name, value]) => neutral[name] !== value));
}

/**
 * The same as options of the command line; a stop string may hold a line end, which a shell keeps between quotes.
 * @param {Partial<Lab.Sampling>} sampling
 * @returns {Record<string, string | number>}
 */
export function flags(sampling) {
  const { stop, ...numbers } = chosen(sampling);
  const named = Object.entries(numbers).map(([name, value]) => [`--${name.replaceAll("_", "-")}`, value]);
  return { ...Object.fromEntries(named), ...(stop ? { "--stop": stop[0] } : {}) };
}
