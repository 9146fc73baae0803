// Taking things away: copying, and files of figures, tables and pages.

import { lang } from "./words.js";

/**
 * Copy a text, also on a plain-HTTP page of a local network, where navigator.clipboard does not exist.
 * @param {string} text
 */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.setAttribute("readonly", "");
  field.className = "offstage";
  (before?.closest("dialog") ?? document.body).append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  if (!copied) throw new Error("copy refused");
}

/**
 * Offer a file under a name.
 * @param {string} name
 * @param {string | Blob} content
 * @param {string} [type]
 */
export function save(name, content, type = "text/plain") {
  const blob = content instanceof Blob ? content : new Blob([content], { type: `${type};charset=utf-8` });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * A table as CSV (RFC 4180), with a byte-order mark so that spreadsheets read accents. In French, where a comma stands
 * in numbers, spreadsheets part the cells at semicolons.
 * @param {string[]} columns
 * @param {Lab.Rows["rows"]} rows
 */
export function csv(columns, rows) {
  const mark = lang() === "fr" ? ";" : ",";
  /** @type {(value: unknown) => string} */
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = /^[=+\-@\t]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text; // no formula from a token
    return /[",;\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return "\ufeff" + [columns, ...rows].map((row) => row.map(cell).join(mark)).join("\r\n") + "\r\n";
}

/**
 * An SVG element as a file that stands alone: the computed colours and fonts written into it.
 * @param {Element} svg
 */
export function svgText(svg) {
  const twin = /** @type {Element} */ (svg.cloneNode(true));
  /** @type {Element[][]} */
  const both = [
    [svg, twin],
    ...Array.from(svg.querySelectorAll("*"), (node, index) => [node, twin.querySelectorAll("*")[index]]),
  ];
  for (const [from, to] of both) {
    const style = getComputedStyle(from);
    for (const name of [
      "fill",
      "stroke",
      "stroke-width",
      "stroke-dasharray",
      "fill-opacity",
      "opacity",
      "font-family",
      "font-size",
      "font-weight",
      "text-anchor",
      "dominant-baseline",
    ]) {
      const value = style.getPropertyValue(name);
      if (value) to.setAttribute(name, value);
    }
  }
  const box = svg.getBoundingClientRect();
  twin.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  twin.setAttribute("width", String(box.width));
  twin.setAttribute("height", String(box.height));
  return new XMLSerializer().serializeToString(twin);
}
