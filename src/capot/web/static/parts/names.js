// The names of a flat figure's points, set for the width at which it is seen: Plotly would cut them or let them
// overlap.

import { beside, shortened } from "../lib/labels.js";

const [FEW, LONG, MOST] = [6, 0.6, 0.45]; // so few names may be long: of the width, for one; it is whole on hover
const EDGE = 4; // pixels
/** @type {CanvasRenderingContext2D | undefined} */
let pen;

/** @typedef {{ x: number, y: number, text: string, font: Lab.Font }} Name */
/** @typedef {{ x: number, y: number, wide: number, far: boolean }} Room */

/** @param {string} markup */
const plain = (markup) => markup.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
/** @param {string} text */
const markup = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/**
 * Take the names out of the traces of points: [{ x, y, text, font }], none where too many points would bear one.
 * @param {Lab.Trace[]} data
 * @returns {Name[]}
 */
export function taken(data) {
  const traces = data.filter(
    (trace) => trace.type === "scatter" && trace.mode === "markers+text" && trace.text?.some(Boolean),
  );
  return traces.flatMap((trace) => {
    trace.mode = "markers";
    const font = /** @type {Lab.Font} */ (trace.textfont);
    return (trace.hovertext ?? []).map((hint, index) => ({
      x: Number(trace.x[index]),
      y: Number(trace.y[index]),
      text: plain(hint.split("<br>")[0]),
      font,
    }));
  });
}

/**
 * Annotations that name the points of `place`, which is drawn already; those for which there is no room are named on
 * hover.
 * @param {Lab.Plotted} place
 * @param {Name[]} names
 */
export function named(place, names) {
  const { xaxis, yaxis } = place._fullLayout;
  const across = { left: xaxis._offset, right: xaxis._offset + xaxis._length };
  const area = {
    left: across.left + EDGE,
    right: place._fullLayout.width - EDGE,
    top: yaxis._offset - EDGE,
    bottom: yaxis._offset + yaxis._length - EDGE,
  };
  const brush = pen ??= /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  brush.font = `${names[0].font.size}px ${names[0].font.family}`;
  const most = Math.floor(
    ((names.length > FEW ? MOST : LONG) * (across.right - across.left)) / brush.measureText("m").width,
  );
  const texts = names.map((one) => shortened(one.text, most));
  const points = names.map((one, index) => ({
    x: xaxis._offset + xaxis.l2p(one.x),
    y: yaxis._offset + yaxis.l2p(one.y),
    wide: brush.measureText(texts[index]).width,
  }));
  const [zeroX, zeroY] = [xaxis._offset + xaxis.l2p(0), yaxis._offset + yaxis.l2p(0)];
  /** @type {[number, number, number, number][]} */
  const rays = place.layout.annotations?.some((one) => one.showarrow && !one.text)
    ? points.map(({ x, y }) => [zeroX, zeroY, x, y])
    : [];
  const rooms = beside(points, area, rays);
  return rooms.flatMap((room, index) =>
    room ? [annotation(names[index], { text: texts[index], point: points[index], room })] : [],
  );
}

/**
 * @param {Name} name
 * @param {{ text: string, point: { x: number, y: number }, room: Room }} set
 */
function annotation({ x, y, font }, { text, point, room }) {
  const [ax, ay] = [room.x + room.wide / 2 - point.x, room.y - point.y];
  const shared = { x, y, xref: "x", yref: "y", text: markup(text), font, borderpad: 1 };
  if (!room.far) return { ...shared, showarrow: false, xshift: ax, yshift: -ay };
  return { ...shared, showarrow: true, ax, ay, arrowhead: 0, arrowwidth: 1, arrowcolor: font.color, standoff: 6 };
}
