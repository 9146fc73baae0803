// What a class needs to come in, as large as a projector shows it: the address, the code, and both as a picture.

import { fill, h, unique } from "../lib/dom.js";
import { tr } from "../lib/words.js";
import { get } from "../lib/api.js";
import { fault } from "./fault.js";

/** The owner's button and the sheet that it opens. */
export function inviting() {
  const id = unique("invite");
  const place = h("div", { class: "invited" });
  /** @type {HTMLButtonElement} */
  const close = h("button", { type: "button", class: "primary", onclick: () => sheet.close() }, tr("actions.close"));
  const sheet = h("dialog", { class: "invitation", "aria-labelledby": id },
    h("h2", { id }, tr("invite.title")), place, h("p", { class: "row" }, close));
  const open = async () => {
    sheet.showModal();
    try {
      fill(place, ...invitation(await get("/api/invitation")));
    } catch (error) {
      fill(place, fault(error, open));
    }
  };
  const onclick = () => { fill(place); open(); };
  const props = { type: "button", class: "quiet-button", "aria-haspopup": "dialog", onclick };
  return [h("button", props, tr("invite.open")), sheet];
}

/** @param {Api.Invitation} invitation */
function invitation({ link, code, qr }) {
  const address = link.split("?")[0];
  const facts = [
    [h("dt", {}, tr("invite.address")), h("dd", { class: "address" }, address)],
    [h("dt", {}, tr("invite.code")), h("dd", { class: "access" }, code)],
  ];
  return [picture(qr), h("dl", {}, facts)];
}

/**
 * A QR code: dark on light, whatever the theme.
 * @param {string[]} rows of 0 and 1
 */
function picture(rows) {
  const dark = rows.flatMap((row, y) =>
    Array.from(row.matchAll(/1+/g), ({ 0: run, index: x }) => `M${x} ${y}h${run.length}v1h-${run.length}z`));
  const size = { viewBox: `0 0 ${rows.length} ${rows.length}`, "shape-rendering": "crispEdges" };
  return h("svg:svg", { class: "qr", role: "img", "aria-label": tr("invite.picture"), ...size },
    h("rect:svg", { width: rows.length, height: rows.length, fill: "#fff" }),
    h("path:svg", { d: dark.join(""), fill: "#000" }));
}
