// Where names stand beside their points: over no other name and no point, near where there is room, else led by a line.

const [HIGH, GAP, PAD] = [18, 9, 3]; // of a name, between a point and its name, around a name
const RADIUS = 6; // of a point

/**
 * Left, top, right, bottom.
 * @typedef {[number, number, number, number]} Box
 * @typedef {{ left: number, top: number, right: number, bottom: number }} Area
 * @typedef {{ x: number, y: number, wide: number }} Named
 */

/**
 * `text` within `most` letters.
 * @param {string} text
 * @param {number} most
 */
export const shortened = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);

/**
 * Boxes { x, y, wide, far } (left, middle, width) for `points` [{ x, y, wide }] in an area { left, top, right, bottom
 * }, in pixels; null where there is no room. `rays` are segments [x1, y1, x2, y2] that a name crosses only if it
 * must; `far`: a line should lead to it. The longest names choose first.
 * @param {Named[]} points
 * @param {Area} area
 * @param {Box[]} [rays]
 */
export function beside(points, area, rays = []) {
  /** @type {Box[]} */
  const taken = points.map(({ x, y }) => [x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS]);
  const spots = rays.flatMap(along);
  /** @type {(Named & { far: boolean } | null)[]} */
  const found = points.map(() => null);
  const order = [...points.keys()].sort((a, b) => points[b].wide - points[a].wide);
  for (const index of order) {
    const point = points[index];
    const free = (/** @type {Box} */ at) => inside(at, area) && !taken.some((other) => meet(at, other));
    const open = (/** @type {Box} */ at) =>
      free(at) && !spots.some(([x, y]) => x > at[0] && x < at[2] && y > at[1] && y < at[3]);
    const near = close(point);
    const all = () => lattice(point, area, points.length);
    const box = near.find(open) ?? all().find(open) ?? near.find(free) ?? all().find(free);
    if (!box) continue;
    taken.push(box);
    found[index] = { x: box[0] + PAD, y: (box[1] + box[3]) / 2, wide: point.wide, far: away(point, box) > 2 * GAP };
  }
  return found;
}

/** @type {(x: number, y: number, wide: number) => Box} */
const around = (x, y, wide) => [x - PAD, y - HIGH / 2, x + wide + PAD, y + HIGH / 2];
/** @type {(box: Box, area: Area) => boolean} */
const inside = ([a, b, c, d], { left, top, right, bottom }) => a >= left && b >= top && c <= right && d <= bottom;
/** @type {(one: Box, other: Box) => boolean} */
const meet = ([a, b, c, d], [e, f, g, i]) => a < g && c > e && b < i && d > f;
/** @type {(point: Named, box: Box) => number} */
const away = ({ x, y }, [a, b, c, d]) => Math.hypot(Math.max(a - x, 0, x - c), Math.max(b - y, 0, y - d));

/**
 * Right, left, above, below, then the corners.
 * @param {Named} point
 */
function close({ x, y, wide }) {
  const [right, left, middle] = [x + GAP + PAD, x - GAP - PAD - wide, x - wide / 2];
  const [up, down] = [y - GAP - HIGH / 2, y + GAP + HIGH / 2];
  return [
    [right, y],
    [left, y],
    [middle, up],
    [middle, down],
    [right, up],
    [right, down],
    [left, up],
    [left, down],
  ].map(([tx, ty]) => around(tx, ty, wide));
}

/**
 * Every place of the area, the nearest to the point first.
 * @param {Named} point
 * @param {Area} area
 * @param {number} count
 */
function lattice(point, { left, top, right, bottom }, count) {
  const step = count > 30 ? 16 : 8;
  /** @type {Box[]} */
  const boxes = [];
  for (let y = top + HIGH / 2; y <= bottom - HIGH / 2; y += step) {
    for (let x = left + PAD; x + point.wide + PAD <= right; x += step) boxes.push(around(x, y, point.wide));
  }
  return boxes.map((box) => ({ box, off: away(point, box) })).sort((a, b) => a.off - b.off).map(({ box }) => box);
}

/**
 * Points along a segment, close enough to each other for a name to meet one.
 * @param {Box} segment
 */
function along([x1, y1, x2, y2]) {
  const count = Math.ceil(Math.hypot(x2 - x1, y2 - y1) / (HIGH / 2));
  return Array.from({ length: count }, (_, place) => [
    x1 + ((x2 - x1) * place) / count,
    y1 + ((y2 - y1) * place) / count,
  ]);
}
