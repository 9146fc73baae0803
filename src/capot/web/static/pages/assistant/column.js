// One way of asking: what was sent, token by token, then what comes back.

import { fill, h } from "../../lib/dom.js";
import { tr } from "../../lib/words.js";
import { ofKind } from "../../parts/blocks.js";
import { pieces } from "../../parts/pieces.js";

const SHOWN = 400; // tokens of a prompt that are drawn

/** The way that this model does not have. */
export const lacking = () => h("section", { class: "way", dataset: { kind: "missing" } },
  h("h2", {}, tr("assistant.way.chat_template")), h("p", { class: "quiet" }, tr("assistant.missing")));

/** The column of one way, which hears the events of its answer. */
export class Column {
  steps = 0;
  #text = "";
  #fresh = "";
  #title = h("h2", {});
  #means = h("p", { class: "quiet" });
  #strip = h("capot-strip", { "aria-label": tr("assistant.sent") });
  #sent;
  #sentSaid = h("p", { class: "small quiet" });
  #warning = h("p", { class: "warning", hidden: true });
  #answer = h("p", { class: "said" });
  #after = h("p", { class: "after", hidden: true });
  #answerSaid = h("p", { class: "small quiet" });

  /** @param {string} kind */
  constructor(kind) {
    this.kind = kind;
    const name = tr(`assistant.way.${kind}`);
    this.#title.textContent = name;
    const label = `${tr("assistant.sent")} – ${name}`;
    this.#sent = h("div", { class: "sent", tabindex: "0", role: "region", "aria-label": label }, this.#strip);
    this.box = h("section", { class: "way", dataset: { kind } },
      this.#title, this.#means,
      h("p", { class: "part" }, tr("assistant.sent")), this.#sent, this.#sentSaid, this.#warning,
      h("p", { class: "part" }, tr("assistant.answer")),
      h("div", { class: "reply" }, this.#answer, this.#after), this.#answerSaid);
  }

  /** @param {Lab.Event<"assistant">} event */
  hear(...[kind, body]) {
    if (kind === "started") this.#started(body);
    if (kind === "step") this.steps += 1;
    if (kind === "step" || kind === "answered") this.#write(body.text);
    if (kind === "answered") this.#reply(body.answer);
  }

  /** @param {Lab.Events["started"]} body */
  #started({ prompt, prompt_tokens: count }) {
    this.#fresh = "";
    this.#strip.pieces = pieces(prompt.slice(0, SHOWN));
    this.#sent.scrollTop = this.#sent.scrollHeight;
    this.#sentSaid.textContent = tr("assistant.count", { count });
  }

  /** @param {string} more */
  #write(more) {
    this.#fresh += more;
    // after a cut the same text comes again: what is shown stays until then
    if (this.#fresh.length >= this.#text.length) this.#text = this.#fresh;
    this.#answer.textContent = this.#text.trimStart();
  }

  /** @param {Api.Answer} found */
  #reply(found) {
    this.#text = found.text;
    this.#answer.textContent = found.text.trim() || "∅";
    const more = found.after_stop.replace(/^\n+|\n+$/g, "");
    this.#after.hidden = !more;
    fill(this.#after, h("span", { class: "offstage" }, tr("assistant.after")), more);
  }

  /**
   * The whole answer, with the sentences that its blocks say of it.
   * @param {Api.Answer} found
   * @param {Api.Block[]} blocks
   */
  finish(found, blocks) {
    this.#reply(found);
    const texts = ofKind(blocks, "text");
    this.#title.textContent = ofKind(blocks, "heading")[0].text;
    this.#means.textContent = texts.find((block) => block.tone === "quiet")?.text ?? "";
    this.#sentSaid.textContent = ofKind(blocks, "strip")[0]?.caption ?? "";
    this.#answerSaid.textContent = ofKind(blocks, "chat")[0]?.caption ?? "";
    const warning = texts.find((block) => block.tone === "warning");
    this.#warning.hidden = !warning;
    this.#warning.textContent = warning?.text ?? "";
  }
}
