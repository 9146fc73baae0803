// How a token is chosen: the two settings that matter most in sight, the others folded.

import { h, unique } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { lab } from "../../lib/lab.js";
import * as state from "../../lib/state.js";
import { restored } from "../../parts/slider.js";

const SLIDERS = lab.sliders.generate;
const FOLDED = ["top_k", "top_p", "min_p"];

/**
 * The fields, restored from the address and kept in it. `sampling()`, `seed()`, `count()` and `after()` read them.
 * `template`: the stop strings are a template's, and what follows them can be asked for.
 */
export function controls({ template = false } = {}) {
  const saved = state.read();
  const values = Object.fromEntries(Object.entries(SLIDERS).map(([name, bounds]) => [name, restored(saved[name], bounds)]));
  const slider = (name) => {
    const { start: _, ...bounds } = SLIDERS[name];
    return h("capot-slider", { name, ...bounds, value: values[name], label: tr(`generate.${name}`), hint: tr(`generate.about.${name}`),
      oninput: (event) => { if (event.detail) { values[name] = event.detail.value; keep(); } } });
  };
  const field = (name, props, label) => {
    const id = unique(name);
    const input = h("input", { id, ...props, onchange: keep });
    return [input, h("div", { class: "field" }, h("label", { for: id }, label), input)];
  };
  const [seed, seedBox] = field("seed", { type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, value: saved.seed ?? "", placeholder: tr("generate.any_seed") }, tr("generate.seed"));
  const [stop, stopBox] = field("stop", { type: "text", value: saved.stop ?? "", placeholder: tr("generate.no_stop") }, tr("generate.stop_string"));
  const temperature = slider("temperature");
  const folded = h("details", { open: FOLDED.some((name) => values[name] !== SLIDERS[name].start) || Boolean(saved.seed || saved.stop) },
    h("summary", {}, tr("generate.settings")), h("div", { class: "sliders" }, [...FOLDED, ...(template ? ["after_stop"] : [])].map(slider), seedBox, template ? null : stopBox));
  return {
    box: h("div", { class: "controls" }, h("div", { class: "sliders" }, temperature, slider("max_new_tokens")), folded),
    showTemperature: (shown) => { temperature.hidden = !shown; },
    sampling: () => {
      const { max_new_tokens: _, after_stop: __, ...sampling } = values;
      return { ...sampling, ...(stop.value ? { stop: [unescaped(stop.value)] } : {}) };
    },
    seed: () => (seed.value === "" ? undefined : Math.max(0, Math.floor(Number(seed.value)) || 0)),
    count: () => values.max_new_tokens,
    after: () => values.after_stop,
  };

  function keep() {
    const usual = (name, value) => value === SLIDERS[name].start && saved[name] === undefined; // what was asked for is said, were it the usual
    state.write({ ...Object.fromEntries(Object.entries(values).map(([name, value]) => [name, usual(name, value) ? "" : value])), seed: seed.value, stop: stop.value });
  }
}

/** A stop string as it is typed in one line: \n is a line end. */
const unescaped = (text) => text.replaceAll("\\n", "\n").replaceAll("\\t", "\t");

/** Settings as keyword arguments, those that filter nothing left out. */
export function chosen(sampling) {
  const neutral = { top_k: 0, top_p: 1, min_p: 0 };
  return Object.fromEntries(Object.entries(sampling).filter(([name, value]) => neutral[name] !== value));
}

/** The same as options of the command line; a stop string may hold a line end, which a shell keeps between quotes. */
export function flags(sampling) {
  const { stop, ...numbers } = chosen(sampling);
  const named = Object.entries(numbers).map(([name, value]) => [`--${name.replaceAll("_", "-")}`, value]);
  return { ...Object.fromEntries(named), ...(stop ? { "--stop": stop[0] } : {}) };
}
