// Any part of a page as an SVG that stands alone: boxes, lines of text and drawings, as they stand on the screen.

import { svgText } from "./keep.js";

const MOST = 6000; // marks of one picture
// eslint-disable-next-line no-control-regex -- what XML cannot hold
const escaped = (text) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`).replace(/[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g, "");
const seen = (color) => color && color !== "transparent" && !/, 0\)$|\/ 0\)$/.test(color);
const round = (value) => Math.round(value * 100) / 100;

let pen; // measures how far a font reaches above its line

function ascent(style, height) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const { fontBoundingBoxAscent: above, fontBoundingBoxDescent: below } = pen.measureText("x");
  return (height * above) / (above + below || 1);
}

/** { text, width, height } of an SVG that shows `node`. */
export function drawing(node) {
  const own = node.matches("svg") ? node : onlyDrawing(node);
  if (own) {
    const { width, height } = own.getBoundingClientRect();
    return { text: svgText(own), width, height };
  }
  node.classList.add("whole"); // what scrolls on the screen is as long as its text; nothing is painted before it is back
  const { marks, width, height } = marked(node);
  node.classList.remove("whole");
  const paper = getComputedStyle(document.body).backgroundColor;
  const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="${paper}"/>${marks.join("")}</svg>`;
  return { text, width, height };
}

function marked(node) {
  const around = node.getBoundingClientRect();
  const marks = [];
  walk(node, { x: around.x - 12, y: around.y - 12 }, marks);
  const wide = Math.max(around.width, ...Array.from(node.querySelectorAll(".scroll"), (part) => part.getBoundingClientRect().right - around.x));
  return { marks, width: Math.ceil(wide + 24), height: Math.ceil(around.height + 24) };
}

function onlyDrawing(node) {
  const found = node.querySelectorAll("svg.drawing");
  return found.length === 1 && node.textContent.trim() === found[0].textContent.trim() ? found[0] : null;
}

function walk(node, origin, marks) {
  if (marks.length > MOST) return;
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden" || node.matches(".offstage")) return;
  const at = node.getBoundingClientRect();
  const place = { x: round(at.x - origin.x), y: round(at.y - origin.y), width: round(at.width), height: round(at.height) };
  if (node.matches("svg")) {
    marks.push(`<g transform="translate(${place.x} ${place.y})">${svgText(node)}</g>`);
    return;
  }
  box(style, place, marks);
  const cut = style.overflowX !== "visible" && place.width && place.height ? `cut-${marks.length}` : null;
  if (cut) marks.push(`<clipPath id="${cut}"><rect x="${place.x}" y="${place.y}" width="${place.width}" height="${place.height}"/></clipPath><g clip-path="url(#${cut})">`);
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) lines(child, style, origin, marks);
    else if (child.nodeType === Node.ELEMENT_NODE) walk(child, origin, marks);
  }
  if (cut) marks.push("</g>");
}

function box(style, { x, y, width, height }, marks) {
  const sides = ["Top", "Right", "Bottom", "Left"].map((side) => (style[`border${side}Style`] === "none" ? 0 : parseFloat(style[`border${side}Width`])));
  const whole = sides.every(Boolean);
  const fill = seen(style.backgroundColor) ? style.backgroundColor : "none";
  const stroke = whole && seen(style.borderTopColor) ? style.borderTopColor : "none";
  if (fill === "none" && stroke === "none" && !sides.some(Boolean)) return;
  const dash = style.borderTopStyle === "dashed" ? ' stroke-dasharray="3 2"' : "";
  const inset = stroke === "none" ? 0 : sides[0] / 2;
  if (fill !== "none" || stroke !== "none") {
    marks.push(`<rect x="${x + inset}" y="${y + inset}" width="${Math.max(0, width - 2 * inset)}" height="${Math.max(0, height - 2 * inset)}" rx="${Math.min(parseFloat(style.borderTopLeftRadius) || 0, height / 2)}" fill="${fill}" stroke="${stroke}" stroke-width="${sides[0]}"${dash}/>`);
  }
  if (!whole) edges(style, sides, { x, y, width, height }, marks);
}

/** The edges of a box that has not all four: a tick, a rule, a mark beside a text. */
function edges(style, sides, { x, y, width, height }, marks) {
  const lines = [`M${x} ${y + sides[0] / 2}h${width}`, `M${x + width - sides[1] / 2} ${y}v${height}`, `M${x} ${y + height - sides[2] / 2}h${width}`, `M${x + sides[3] / 2} ${y}v${height}`];
  ["Top", "Right", "Bottom", "Left"].forEach((side, place) => {
    const color = style[`border${side}Color`];
    if (!sides[place] || !seen(color)) return;
    const dash = style[`border${side}Style`] === "dashed" ? ' stroke-dasharray="4 3"' : "";
    marks.push(`<path d="${lines[place]}" stroke="${color}" stroke-width="${sides[place]}"${dash}/>`);
  });
}

/** One <text> for each line that a text node is broken into. */
function lines(node, style, origin, marks) {
  if (!node.data.trim()) return;
  const range = document.createRange();
  let [from, top] = [0, null];
  const write = (to) => {
    range.setStart(node, from);
    range.setEnd(node, to);
    const at = range.getBoundingClientRect();
    const text = node.data.slice(from, to).replace(/\s+$/u, "");
    if (!text || !at.width || marks.length > MOST) return;
    const baseline = round(at.y - origin.y + ascent(style, at.height));
    marks.push(`<text xml:space="preserve" x="${round(at.x - origin.x)}" y="${baseline}" textLength="${round(at.width)}" lengthAdjust="spacingAndGlyphs" fill="${style.color}" font-family="${escaped(style.fontFamily)}" font-size="${style.fontSize}" font-weight="${style.fontWeight}"${style.textDecorationLine.includes("line-through") ? ' text-decoration="line-through"' : ""}>${escaped(text)}</text>`);
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

/** An SVG text as a PNG of twice its size. */
export async function png({ text, width, height }, scale = 2) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    await image.decode();
    const canvas = document.createElement("canvas");
    const times = Math.min(scale, 16000 / Math.max(width, height)); // what a canvas can hold
    [canvas.width, canvas.height] = [Math.round(width * times), Math.round(height * times)];
    const brush = canvas.getContext("2d");
    brush.fillStyle = getComputedStyle(document.body).backgroundColor;
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally {
    URL.revokeObjectURL(image.src);
  }
}
