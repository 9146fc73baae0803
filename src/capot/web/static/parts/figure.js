// Plotly's figures: its script is read when the first one is drawn, and each is drawn again when the theme changes.

import { fill, h, later } from "../lib/dom.js";
import { LabError } from "../lib/api.js";
import { fault } from "./fault.js";
import { root } from "../lib/place.js";
import { lang, tr } from "../lib/words.js";
import { named, taken } from "./names.js";
import { isDark } from "./theme.js";

/** @type {Promise<Lab.Plotly> | undefined} */
let script;

/** Plotly, read once, from this server. */
export function plotly() {
  script ??= new Promise((resolve, reject) => {
    const src = `${root}/static/plotly.min.js`;
    const failed = () => { // asked again another time
      script = undefined;
      tag.remove();
      reject(new LabError("unreachable", ""));
    };
    const tag = h("script", { src, onload: () => resolve(globalThis.Plotly), onerror: failed });
    document.head.append(tag);
  });
  return script;
}

let onPaper = false; // which is light, whatever the theme: also for a figure drawn meanwhile, for the sheet's width
for (const kind of ["beforeprint", "afterprint"])
  addEventListener(kind, () => { onPaper = kind === "beforeprint"; });

const CONFIG = { responsive: false, displaylogo: false, displayModeBar: false, typesetMath: false, scrollZoom: false };

/** <capot-figure>: set `spec` to { light, dark }, each { data, layout }. */
class Figure extends HTMLElement {
  /** @type {Record<"light" | "dark", Api.Figure> | null} */
  #spec = null;
  #draw = () => { this.draw(); };
  /** @type {number | null} */
  #width = null; // that it was drawn for
  #turn = 0;
  /** @type {HTMLElement | undefined} */
  place;
  #sized = new ResizeObserver(later(150, () => {
    if (this.clientWidth && this.#width !== null && this.#width !== this.clientWidth) this.draw();
  }));

  #printed = () => { if (isDark()) this.draw(); };

  connectedCallback() {
    this.#sized.observe(this);
    document.addEventListener("capot-theme", this.#draw);
    for (const kind of ["beforeprint", "afterprint"]) addEventListener(kind, this.#printed);
    this.classList.add("plotted");
    this.setAttribute("role", "img");
  }

  disconnectedCallback() {
    document.removeEventListener("capot-theme", this.#draw);
    for (const kind of ["beforeprint", "afterprint"]) removeEventListener(kind, this.#printed);
    this.#sized.disconnect();
    // not where it only moves
    queueMicrotask(() => { if (this.place && !this.isConnected) globalThis.Plotly?.purge(this.place); });
  }

  /** @param {Record<"light" | "dark", Api.Figure>} spec */
  set spec(spec) {
    this.#spec = spec;
    this.draw();
  }

  /** Draw the spec in the page's theme, or as on paper. */
  async draw() {
    if (!this.#spec) return;
    const turn = this.#turn += 1;
    /** @type {Lab.Plotly} */
    let library;
    try {
      library = await plotly();
    } catch (error) {
      if (turn === this.#turn) fill(this, fault(error, () => this.draw()));
      return;
    }
    this.querySelector(":scope > .fault")?.remove();
    this.place ??= this.appendChild(h("div", { class: "plot" }));
    const { data, layout } = structuredClone(this.#spec[isDark() && !onPaper ? "dark" : "light"]);
    library.register({ moduleType: "locale", name: lang(), dictionary: {}, format: {} });
    const names = taken(data);
    const resized = this.#width !== null && this.#width !== this.clientWidth;
    this.#width = this.clientWidth;
    await library.react(this.place, data, { ...layout, uirevision: "kept" }, { locale: lang(), ...CONFIG });
    if (resized) await library.relayout(/** @type {Lab.Plotted} */ (this.place), { autosize: true }); // react does not
    sized(this.place);
    if (!names.length || turn !== this.#turn || !this.isConnected) return;
    const seen = /** @type {Lab.Plotted} */ (this.place);
    await library.relayout(seen, { annotations: [...(layout.annotations ?? []), ...named(seen, names)] });
  }

  /**
   * The figure as a file: "svg" or "png".
   * @param {string} name
   * @param {"svg" | "png"} format
   */
  async keep(name, format) {
    const library = await plotly();
    const size = { width: 1200, height: 720, scale: format === "png" ? 2 : 1 };
    return library.downloadImage(this.place, { format, filename: name, ...size });
  }
}

/**
 * Say at what size the layers are drawn, so that print can make them as wide as the paper.
 * @param {HTMLElement} place
 */
function sized(place) {
  const layers = [...place.querySelectorAll(".main-svg")];
  const sizes = layers.map((layer) => [layer.getAttribute("width"), layer.getAttribute("height")]);
  for (const [index, [wide, high]] of sizes.entries()) layers[index].setAttribute("viewBox", `0 0 ${wide} ${high}`);
  if (sizes.length) place.style.setProperty("--drawn", sizes[0].join(" / "));
}

customElements.define("capot-figure", Figure);

/**
 * A figure of a block that came with one.
 * @param {Api.Scatter | Api.Curves} block
 */
export function figure(block) {
  return h("capot-figure", { "aria-label": block.title || tr("figure.label"), spec: block.figure });
}
