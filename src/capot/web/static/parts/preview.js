// The card of a model that the hub does not hand out: what it tells everyone, beside the refusal.

import { h } from "../lib/dom.js";
import { blocks, ofKind } from "./blocks.js";

/** @param {Lab.Preview} found */
export function preview({ result, view }) {
  const [title] = ofKind(view, "heading");
  return h("section", { class: "preview", "aria-label": result.name },
    title ? h("h3", {}, title.text) : null, blocks(view));
}
