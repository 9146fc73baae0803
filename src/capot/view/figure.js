"use strict";
// Draws each figure over the drawing that stands in its place, and again when the theme changes.
// Where Plotly cannot draw (no WebGL for a figure in space), the drawing stays.
(() => {
  const { lang, dictionary, figures } = JSON.parse(document.getElementById("capot-figures")?.textContent ?? "");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const webgl = Boolean(document.createElement("canvas").getContext("webgl"));
  Plotly.register({ moduleType: "locale", name: lang, dictionary, format: {} });
  const config = { locale: lang, responsive: true, displaylogo: false, typesetMath: false, scrollZoom: false };
  const tools = {
    bars: ["toImage"],
    plane: ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"],
    space: ["toImage", "orbitRotation", "tableRotation", "resetCameraDefault3d"],
  };
  /** @type {(spec: Lab.Spec) => "space" | "bars" | "plane"} */
  const kind = (spec) => (spec.layout.scene ? "space" : spec.data[0]?.type === "bar" ? "bars" : "plane");
  /** @type {(texts: string[]) => number} */
  const longest = (texts) => Math.max(0, ...texts.map((text) => text.length));
  /** @type {(spec: Lab.Spec, width: number) => void} */
  const fit = (spec, width) => { // leave the longest number its room after the longest bar
    const [bars] = spec.data;
    const room = width - 8.6 * longest(spec.layout.yaxis.ticktext) - 40;
    const share = Math.min(0.7, (8.2 * longest(bars.text ?? []) + 10) / Math.max(room, 1));
    spec.layout.xaxis.range[1] = (Math.max(0, ...bars.x.map(Number)) || 1) / (1 - share);
  };
  /** @type {(place: HTMLElement) => Promise<void>} */
  const draw = async (place) => {
    /** @type {Lab.Spec} */
    const spec = structuredClone(figures[place.dataset.figure ?? ""][dark.matches ? "dark" : "light"]);
    if (spec.layout.scene && !webgl) return;
    const width = place.parentElement?.clientWidth ?? 0;
    if (kind(spec) === "bars") fit(spec, width);
    if (spec.layout.scene && width < 560) {
      const { eye } = spec.layout.scene.camera; // step back, so that the axes' names stay in sight
      for (const axis of /** @type {const} */ (["x", "y", "z"])) eye[axis] *= 1.4;
    }
    const drawing = place.previousElementSibling; // .drawn
    place.hidden = false;
    try {
      await Plotly.react(place, spec.data, spec.layout, { ...config, modeBarButtons: [tools[kind(spec)]] });
      drawing?.classList.add("replaced");
    } catch (error) {
      place.hidden = true;
      drawing?.classList.remove("replaced");
      throw error;
    }
  };
  const all = () => /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".plot")).forEach(draw);
  dark.addEventListener("change", all);
  all();
})();
