"use strict";
// Draws each figure over the drawing that stands in its place, and again when the theme changes.
// Where Plotly cannot draw (no WebGL for a figure in space), the drawing stays.
(() => {
  const { lang, dictionary, figures } = JSON.parse(document.getElementById("capot-figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const webgl = Boolean(document.createElement("canvas").getContext("webgl"));
  Plotly.register({ moduleType: "locale", name: lang, dictionary, format: {} });
  const config = { locale: lang, responsive: true, displaylogo: false, typesetMath: false, scrollZoom: false };
  const tools = {
    bars: ["toImage"],
    plane: ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"],
    space: ["toImage", "orbitRotation", "tableRotation", "resetCameraDefault3d"],
  };
  const kind = (spec) => (spec.layout.scene ? "space" : spec.data[0]?.type === "bar" ? "bars" : "plane");
  const draw = async (place) => {
    const spec = structuredClone(figures[place.dataset.figure][dark.matches ? "dark" : "light"]);
    if (spec.layout.scene && !webgl) return;
    if (spec.layout.scene && place.parentElement.clientWidth < 560) {
      const { eye } = spec.layout.scene.camera; // step back, so that the axes' names stay in sight
      for (const axis of "xyz") eye[axis] *= 1.4;
    }
    const drawing = place.previousElementSibling; // .drawn
    place.hidden = false;
    try {
      await Plotly.react(place, spec.data, spec.layout, { ...config, modeBarButtons: [tools[kind(spec)]] });
      drawing.classList.add("replaced");
    } catch (error) {
      place.hidden = true;
      drawing.classList.remove("replaced");
      throw error;
    }
  };
  const all = () => document.querySelectorAll(".plot").forEach(draw);
  dark.addEventListener("change", all);
  all();
})();
