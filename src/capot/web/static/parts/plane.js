// Labelled points in the plane, drawn in SVG: arrows from the origin where asked, labels that keep out of each
// other's way.

import { h } from "../lib/dom.js";
import { beside, shortened } from "../lib/labels.js";

const MARGIN = 30;
const LETTER = 7.6; // width of a letter of a label
/** @typedef {{ x: number, y: number, wide: number, far: boolean }} Room */

const MOST = 0.45; // of the width, for a label; its point says the whole of it

/**
 * An SVG of points [{ label, x, y, tone, group }]; with a `tone` a label is a token of that hue. `arrows` draws each
 * from the origin.
 * @param {Lab.Point[]} points
 * @param {{ label: string, arrows?: boolean, width?: number, height?: number }} how
 */
export function plane(points, { label, arrows = false, width = 640, height = 360 }) {
  const [left, right] = reach(points.map((point) => point.x), arrows);
  const [low, high] = reach(points.map((point) => point.y), arrows);
  const names = points.map((point) => shortened(point.label, Math.floor((MOST * width) / LETTER)));
  const side = Math.min(0.3 * width, Math.max(...names.map((name) => name.length)) * LETTER);
  // one scale: angles stay true
  const scale = Math.min((width - 2 * MARGIN - side) / (right - left), (height - 2 * MARGIN) / (high - low));
  /** @type {(x: number, y: number) => [number, number]} */
  const place = (x, y) => [width / 2 + (x - (left + right) / 2) * scale, height / 2 - (y - (low + high) / 2) * scale];
  const [zeroX, zeroY] = place(0, 0);
  const axes = [
    [0, zeroY, width, zeroY],
    [zeroX, 0, zeroX, height],
  ].map(([x1, y1, x2, y2]) => h("line:svg", { class: "grid", x1, y1, x2, y2 }));
  const spots = points.map((point) => place(point.x, point.y));
  const rooms = beside(
    spots.map(([x, y], index) => ({ x, y, wide: names[index].length * LETTER })),
    { left: 1, top: 1, right: width - 1, bottom: height - 1 },
    arrows ? spots.map(([x, y]) => [zeroX, zeroY, x, y]) : [],
  );
  const leads = rooms.map((room, index) => (room?.far ? lead(spots[index], room) : null));
  const marks = points.map((point, index) =>
    mark(point, spots[index], { room: rooms[index], name: names[index], from: arrows ? [zeroX, zeroY] : null }),
  );
  return h(
    "svg:svg",
    {
      class: "drawing",
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `${label}: ${points.map((point) => point.label).join(", ")}`,
    },
    axes,
    leads.filter(Boolean),
    marks,
  );
}

/**
 * A line from a point to the nearest place of its name.
 * @param {[number, number]} point
 * @param {Room} room
 */
function lead([x, y], room) {
  return h("line:svg", {
    class: "lead",
    x1: x,
    y1: y,
    x2: Math.min(Math.max(x, room.x), room.x + room.wide),
    y2: room.y,
  });
}

/**
 * @param {Lab.Point} point
 * @param {[number, number]} at
 * @param {{ room: Room | null, name: string, from: [number, number] | null }} how
 */
function mark(point, [x, y], { room, name, from }) {
  const hue = point.tone === undefined ? `s${(point.group ?? 0) % 6}` : `c${point.tone % 6}`;
  return h(
    "g:svg",
    {},
    h("title:svg", {}, point.label),
    from ? h("line:svg", { class: `curve ${hue}`, x1: from[0], y1: from[1], x2: x, y2: y }) : null,
    h("circle:svg", { class: `mark ${hue}`, cx: x, cy: y, r: 5 }),
    room && point.tone !== undefined
      ? h("rect:svg", { class: hue, x: room.x - 3, y: room.y - 9, width: room.wide + 6, height: 18, rx: 3 })
      : null,
    room
      ? h(
          "text:svg",
          { class: "name", x: room.x, y: room.y + 4, textLength: room.wide, lengthAdjust: "spacingAndGlyphs" },
          name,
        )
      : null,
  );
}

/**
 * @param {number[]} values
 * @param {boolean} withOrigin
 */
function reach(values, withOrigin) {
  const all = withOrigin ? [...values, 0] : values;
  const [low, high] = [Math.min(...all), Math.max(...all)];
  return high - low < 1e-9 ? [low - 1, high + 1] : [low, high];
}
