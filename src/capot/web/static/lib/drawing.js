// Any part of a page as an SVG that stands alone: boxes, lines of text and drawings, as they stand on the screen.

import { svgText } from "./keep.js";

const MOST = 6000; // marks of one picture
/** @param {string} text */
const escaped = (text) =>
  text
    .replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)
    // eslint-disable-next-line no-control-regex -- what XML cannot hold
    .replace(/[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g, "");
/** @param {string} color */
const seen = (color) => color && color !== "transparent" && !/, 0\)$|\/ 0\)$/.test(color);
/** @param {number} value */
const round = (value) => Math.round(value * 100) / 100;

/** @type {CanvasRenderingContext2D | undefined} */
let pen; // measures how far a font reaches above its line

/** @param {HTMLCanvasElement} canvas */
const brushOf = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

/**
 * @param {CSSStyleDeclaration} style
 * @param {number} height
 */
function ascent(style, height) {
  pen ??= brushOf(document.createElement("canvas"));
  pen.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const { fontBoundingBoxAscent: above, fontBoundingBoxDescent: below } = pen.measureText("x");
  return (height * above) / (above + below || 1);
}

/**
 * { text, width, height } of an SVG that shows `node`.
 * @param {Element} node
 */
export function drawing(node) {
  const own = node.matches("svg") ? node : onlyDrawing(node);
  if (own) {
    const { width, height } = own.getBoundingClientRect();
    return { text: svgText(own), width, height };
  }
  // what scrolls on the screen is as long as its text; nothing is painted before it is back
  node.classList.add("whole");
  const { marks, width, height } = marked(node);
  node.classList.remove("whole");
  const paper = getComputedStyle(document.body).backgroundColor;
  const at = `xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  const ground = `<rect width="100%" height="100%" fill="${paper}"/>`;
  return { text: `<svg ${at}>${ground}${marks.join("")}</svg>`, width, height };
}

/** @param {Element} node */
function marked(node) {
  const around = node.getBoundingClientRect();
  /** @type {string[]} */
  const marks = [];
  walk(node, { x: around.x - 12, y: around.y - 12 }, marks);
  const reaches = (/** @type {Element} */ part) => part.getBoundingClientRect().right - around.x;
  const wide = Math.max(around.width, ...Array.from(node.querySelectorAll(".scroll"), reaches));
  return { marks, width: Math.ceil(wide + 24), height: Math.ceil(around.height + 24) };
}

/** @param {Element} node */
function onlyDrawing(node) {
  const found = node.querySelectorAll("svg.drawing");
  return found.length === 1 && node.textContent.trim() === found[0].textContent.trim() ? found[0] : null;
}

/**
 * @param {Element} node
 * @param {{ x: number, y: number }} origin
 * @param {string[]} marks
 */
function walk(node, origin, marks) {
  if (marks.length > MOST) return;
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden" || node.matches(".offstage")) return;
  const at = node.getBoundingClientRect();
  const place = {
    x: round(at.x - origin.x),
    y: round(at.y - origin.y),
    width: round(at.width),
    height: round(at.height),
  };
  if (node.matches("svg")) {
    marks.push(`<g transform="translate(${place.x} ${place.y})">${svgText(node)}</g>`);
    return;
  }
  box(style, place, marks);
  const cut = style.overflowX !== "visible" && place.width && place.height ? `cut-${marks.length}` : null;
  if (cut) {
    const seen = `<rect x="${place.x}" y="${place.y}" width="${place.width}" height="${place.height}"/>`;
    marks.push(`<clipPath id="${cut}">${seen}</clipPath><g clip-path="url(#${cut})">`);
  }
  for (const child of node.childNodes) {
    if (child instanceof Text) lines(child, style, origin, marks);
    else if (child instanceof Element) walk(child, origin, marks);
  }
  if (cut) marks.push("</g>");
}

const SIDES = /** @type {const} */ (["Top", "Right", "Bottom", "Left"]);

/** @typedef {{ x: number, y: number, width: number, height: number }} Place */

/**
 * @param {CSSStyleDeclaration} style
 * @param {Place} place
 * @param {string[]} marks
 */
function box(style, { x, y, width, height }, marks) {
  const sides = SIDES.map((side) =>
    style[`border${side}Style`] === "none" ? 0 : parseFloat(style[`border${side}Width`]));
  const whole = sides.every(Boolean);
  const fill = seen(style.backgroundColor) ? style.backgroundColor : "none";
  const stroke = whole && seen(style.borderTopColor) ? style.borderTopColor : "none";
  if (fill === "none" && stroke === "none" && !sides.some(Boolean)) return;
  const dash = style.borderTopStyle === "dashed" ? ' stroke-dasharray="3 2"' : "";
  const inset = stroke === "none" ? 0 : sides[0] / 2;
  if (fill !== "none" || stroke !== "none") {
    const [wide, high] = [Math.max(0, width - 2 * inset), Math.max(0, height - 2 * inset)];
    const round = Math.min(parseFloat(style.borderTopLeftRadius) || 0, height / 2);
    const at = `x="${x + inset}" y="${y + inset}" width="${wide}" height="${high}" rx="${round}"`;
    marks.push(`<rect ${at} fill="${fill}" stroke="${stroke}" stroke-width="${sides[0]}"${dash}/>`);
  }
  if (!whole) edges(style, sides, { x, y, width, height }, marks);
}

/**
 * The edges of a box that has not all four: a tick, a rule, a mark beside a text.
 * @param {CSSStyleDeclaration} style
 * @param {number[]} sides
 * @param {Place} place
 * @param {string[]} marks
 */
function edges(style, sides, { x, y, width, height }, marks) {
  const lines = [
    `M${x} ${y + sides[0] / 2}h${width}`,
    `M${x + width - sides[1] / 2} ${y}v${height}`,
    `M${x} ${y + height - sides[2] / 2}h${width}`,
    `M${x + sides[3] / 2} ${y}v${height}`,
  ];
  SIDES.forEach((side, place) => {
    const color = style[`border${side}Color`];
    if (!sides[place] || !seen(color)) return;
    const dash = style[`border${side}Style`] === "dashed" ? ' stroke-dasharray="4 3"' : "";
    marks.push(`<path d="${lines[place]}" stroke="${color}" stroke-width="${sides[place]}"${dash}/>`);
  });
}

/** @param {CSSStyleDeclaration} style */
function fontOf(style) {
  const struck = style.textDecorationLine.includes("line-through") ? ' text-decoration="line-through"' : "";
  const face = `font-family="${escaped(style.fontFamily)}" font-size="${style.fontSize}"`;
  return `fill="${style.color}" ${face} font-weight="${style.fontWeight}"${struck}`;
}

/**
 * One <text> for each line that a text node is broken into.
 * @param {Text} node
 * @param {CSSStyleDeclaration} style
 * @param {{ x: number, y: number }} origin
 * @param {string[]} marks
 */
function lines(node, style, origin, marks) {
  if (!node.data.trim()) return;
  const range = document.createRange();
  let from = 0;
  /** @type {number | null} */
  let top = null;
  const font = fontOf(style);
  /** @type {(to: number) => void} */
  const write = (to) => {
    range.setStart(node, from);
    range.setEnd(node, to);
    const at = range.getBoundingClientRect();
    const text = node.data.slice(from, to).replace(/\s+$/u, "");
    if (!text || !at.width || marks.length > MOST) return;
    const baseline = round(at.y - origin.y + ascent(style, at.height));
    const place = `x="${round(at.x - origin.x)}" y="${baseline}" textLength="${round(at.width)}"`;
    marks.push(`<text xml:space="preserve" ${place} lengthAdjust="spacingAndGlyphs" ${font}>${escaped(text)}</text>`);
  };
  for (let at = 0; at < node.data.length; at += 1) {
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    const here = range.getBoundingClientRect();
    if (!here.height) continue;
    if (top !== null && Math.abs(here.y - top) > here.height / 2) {
      write(at);
      from = at;
    }
    top = here.y;
  }
  write(node.data.length);
}

/**
 * An SVG text as a PNG of twice its size.
 * @param {{ text: string, width: number, height: number }} picture
 * @returns {Promise<Blob>}
 */
export async function png({ text, width, height }, scale = 2) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    await image.decode();
    const canvas = document.createElement("canvas");
    const times = Math.min(scale, 16000 / Math.max(width, height)); // what a canvas can hold
    [canvas.width, canvas.height] = [Math.round(width * times), Math.round(height * times)];
    const brush = brushOf(canvas);
    brush.fillStyle = getComputedStyle(document.body).backgroundColor;
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(""))), "image/png");
    });
  } finally {
    URL.revokeObjectURL(image.src);
  }
}
