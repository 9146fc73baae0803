// The Markdown of a lesson as elements. The server sends names and texts; only the names known here become elements.

import { h } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";

const PLAIN = new Set(["p", "ul", "li", "blockquote", "hr", "br", "thead", "tbody", "tr", "td", "em", "strong", "code",
  "h2", "h3", "h4", "h5", "h6"]);

/**
 * Elements for nodes.
 * @param {Lab.MdNode[]} nodes
 * @returns {Lab.Child[]}
 */
export function built(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : element(...node)));
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {Lab.MdNode[]} children
 * @returns {Lab.Child}
 */
function element(tag, attributes, children) {
  const inside = built(children);
  if (tag === "pre") return h("pre", { class: "code" }, inside);
  if (tag === "th") return h("th", { scope: "col" }, inside);
  if (tag === "ol") return h("ol", { start: attributes.start }, inside);
  if (tag === "img") return picture(attributes);
  if (tag === "table") {
    const about = { class: "scroll", tabindex: "0", role: "group", "aria-label": tr("folds.table") };
    return h("div", about, h("table", {}, inside));
  }
  return PLAIN.has(tag) ? h(tag, {}, inside) : h("span", {}, inside);
}

/** @param {Record<string, string | number>} attributes */
function picture({ src, alt }) {
  const inside = String(src).startsWith("data:image/");
  return inside ? h("img", { src, alt }) : h("span", { class: "quiet" }, String(alt));
}
