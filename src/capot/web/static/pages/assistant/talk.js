// A conversation: everything is sent again at every turn, and the bill says what that takes.

import { fill, h, labelled, unique } from "../../lib/dom.js";
import { lang, tr } from "../../lib/words.js";
import { callDrawn } from "../../lib/api.js";
import { cannotObey } from "../../lib/link.js";
import * as state from "../../lib/state.js";
import { once } from "../../lib/resumable.js";
import { blocks, ofKind } from "../../parts/blocks.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { pieces } from "../../parts/pieces.js";
import { chosen } from "../generate/controls.js";
import { priceFields, prices } from "./prices.js";
import { lines } from "./script.js";
import { fresh, keep, saved } from "./talked.js";

const KINDS = ["", "raw", "few_shot", "stopped", "chat_template"];
const SHOWN = 600; // tokens of a prompt that are drawn

/** @typedef {import("./talked.js").Turn} Turn */
/** @typedef {{ args: Api.ChatRequest, turn: Turn }} Sending a turn under way */

/**
 * The instrument; see the page for `settings`, `template` and `name`.
 * @param {Lab.Assisting<Sending>} parts
 * @returns {Lab.Assistant<Sending>}
 */
export const talk = (parts) => new Talk(parts);

class Talk {
  #parts;
  #talked = saved();
  /** @type {Lab.Resumable | null} */
  #running = null;
  /** @type {Sending | null} */
  #sending = null;
  #gone = false;
  #says = status(() => this.#halt());
  #log = h("ol", { class: "chat", "aria-live": "polite" });
  #field = messageField(this.#talked.typed ?? "", () => this.#say());
  #troubles = h("div");
  #send = h("button", { type: "button", class: "primary", onclick: () => this.#say() }, tr("assistant.send"));
  #stop = h("button", { type: "button", onclick: () => this.#halt() }, tr("actions.stop"));
  #undo = h("button", { type: "button", onclick: () => this.#forget() }, tr("assistant.undo"));
  #anew = h("button", { type: "button", onclick: () => this.#restart() }, tr("assistant.new"));
  #kind;
  #sent = h("details", { class: "exact", hidden: true });
  #bill = h("div", { class: "bill" });
  #picture = frame(this.#bill, { name: "conversation" });

  /** @param {Lab.Assisting<Sending>} parts */
  constructor(parts) {
    this.#parts = parts;
    const { settings, template } = parts;
    this.#kind = kindField(template);
    const kind = labelled(this.#kind, tr("assistant.kind"));
    const message = h("label", { for: this.#field.id }, tr("assistant.message"));
    this.#show();
    this.box = h("div", {},
      h("div", { class: "row" }, kind, priceFields(() => this.#priced())),
      settings.box, template.box, this.#log, this.#says.box,
      h("div", { class: "prompt" }, message, this.#field, this.#troubles),
      h("div", { class: "row" }, this.#send, this.#stop, this.#undo, this.#anew), this.#sent, this.#picture.box);
  }

  async start() {
    const [talked, { handed }] = [this.#talked, this.#parts];
    if (talked.turns.length && (!talked.view || talked.lang !== lang())) await this.#redo();
    if (handed && !this.#gone) this.#run(handed);
  }

  /**
   * The visitor leaves; where the page comes back at once (`again`), what it is to go on with.
   * @param {Lab.Leaving} [how]
   */
  leave({ again = false } = {}) {
    this.#gone = true;
    const sending = this.#running ? this.#sending : null;
    const under = again ? sending : null;
    // what is handed on is sent, and not typed again
    this.#talked.typed = this.#field.value || (sending && !under ? sending.turn.message : "");
    keep(this.#talked);
    this.#running?.abort();
    return under;
  }

  #say() {
    if (this.#running) return;
    const [talked, text, kind] = [this.#talked, this.#field.value, this.#kind.value];
    const { settings, template } = this.#parts;
    const counts = { max_new_tokens: settings.count(), seed: settings.seed() ?? talked.seed };
    const options = { ...chosen(settings.sampling()), ...counts };
    if (talked.turns.length === 0) talked.kind = kind;
    const asked = Object.fromEntries(Object.entries(prices()).filter(([, value]) => value));
    // a text that was erased is not said any more
    const conversation = talked.conversation && { ...talked.conversation, system: "" };
    const args = { messages: [text], conversation, kind, ...template.given(), ...asked, ...options };
    this.#run({ args, turn: { message: text, options } });
  }

  /** @param {Sending} sending */
  async #run(sending) {
    const { turn } = sending;
    this.#sending = sending;
    const work = this.#running = this.#ask(sending);
    this.#buttons();
    await work.over;
    if (work.left) return;
    this.#running = null;
    // given up in a cut: what was typed is never lost
    if (!work.ended && !this.#field.value) this.#field.value = turn.message;
    keep(this.#talked);
    this.#show();
    this.#field.focus({ preventScroll: true });
  }

  /**
   * @param {Sending} sending
   * @returns {Lab.Resumable}
   */
  #ask({ args, turn }) {
    const coming = new Coming(turn.message, this.#parts.name());
    return once({ verb: "chat", arguments: args, prompt: true, view: true }, (...[kind, body]) => {
      if (kind === "started") this.#started(coming, body.prompt);
      if (kind === "step") coming.write(body.text);
      if (kind === "finished") {
        coming.write(body.text);
        this.#finish(body, turn);
      }
    }, {
      says: this.#says,
      troubles: this.#troubles,
      again: () => this.#run({ args, turn }),
      elsewhere: this.#parts.template.refused,
    });
  }

  /**
   * @param {Coming} coming
   * @param {Api.Token[]} prompt
   */
  #started(coming, prompt) {
    coming.again();
    if (!coming.items[0].isConnected) {
      this.#log.querySelector(":scope > .quiet")?.remove();
      this.#log.append(...coming.items);
      this.#field.value = "";
    }
    this.#talked.prompt = prompt.slice(-SHOWN);
    this.#exact(prompt);
  }

  /**
   * @param {Lab.Finished<"chat">} body
   * @param {Turn} turn
   */
  #finish({ result, view }, turn) {
    const talked = this.#talked;
    Object.assign(talked, { conversation: result, view });
    // stopped before its first word it is no turn
    if (result.turns.length > talked.turns.length) talked.turns.push(turn);
    else this.#field.value = turn.message;
  }

  #halt() {
    return this.#running?.stop();
  }

  #forget() {
    const { conversation, turns } = this.#talked;
    this.#field.value = turns.pop()?.message ?? "";
    conversation?.turns.pop();
    this.#redo();
  }

  #restart() {
    this.#talked = fresh();
    keep(this.#talked);
    this.#show();
    this.#field.focus();
  }

  /** The bill as the server draws it, of a conversation that lost a turn or has other prices: no token is computed. */
  async #redo() {
    const talked = this.#talked;
    if (!talked.turns.length) return this.#restart();
    try {
      const conversation = { ...talked.conversation, ...prices() };
      const { result, view } = await callDrawn("chat", { messages: [], conversation });
      if (this.#gone) return;
      Object.assign(talked, { conversation: result, view });
    } catch (error) {
      if (this.#gone) return;
      this.#says.fail(error, () => this.#redo());
    }
    keep(this.#talked);
    this.#show();
  }

  #priced() {
    if (this.#talked.turns.length && !this.#running) this.#redo();
  }

  /** @param {Api.Token[] | null} prompt */
  #exact(prompt) {
    this.#sent.hidden = !prompt?.length;
    if (!prompt?.length) return;
    const label = { "aria-label": tr("assistant.sent") };
    fill(this.#sent, h("summary", {}, tr("assistant.exactly", { count: prompt.length })),
      h("div", { class: "sent", tabindex: "0", role: "region", ...label },
        h("capot-strip", { pieces: pieces(prompt.slice(-SHOWN)), ...label })));
  }

  #buttons() {
    const busy = this.#running !== null;
    this.#stop.disabled = !busy;
    this.#send.disabled = busy;
    this.#undo.disabled = this.#anew.disabled = busy || !this.#talked.turns.length;
  }

  #show() {
    this.#buttons();
    const { view, turns, prompt, conversation } = this.#talked;
    const [chat] = ofKind(view ?? [], "chat");
    fill(this.#log, chat ? chat.turns.map(said) : h("li", { class: "quiet" }, tr("assistant.empty_talk")));
    this.#exact(prompt);
    const rest = (view ?? []).filter((block) =>
      block.block !== "chat" && !(block.block === "heading" && block.level === 1));
    fill(this.#bill, chat ? blocks(rest) : null);
    const [table] = ofKind(rest, "table");
    this.#picture.update({
      caption: "",
      table: table ? { columns: table.columns, rows: table.rows } : null,
      json: turns.length ? conversation : null,
      page: turns.length ? { verb: "chat", arguments: { messages: [], conversation } } : null,
      ...lines(this.#parts.name(), this.#talked, this.#parts.template),
    });
  }
}

/** A message and its answer, while it comes. */
export class Coming {
  #text = "";
  #fresh = "";
  #answer = h("p", { class: "said" });

  /**
   * @param {string} message
   * @param {string} name
   */
  constructor(message, name) {
    this.items = [
      h("li", {}, h("p", { class: "role" }, tr("assistant.you")), h("p", {}, message)),
      h("li", { class: "even" }, h("p", { class: "role" }, name), this.#answer),
    ];
  }

  /** After a cut the same answer comes again: what is shown stays until it is overtaken. */
  again() {
    this.#fresh = "";
  }

  /** @param {string} more */
  write(more) {
    this.#fresh += more;
    if (this.#fresh.length >= this.#text.length) this.#text = this.#fresh;
    this.#answer.textContent = this.#text.trimStart();
  }
}

/**
 * A turn of the conversation as the server draws it: what was said, or its answer.
 * @param {Api.Turn} turn
 * @param {number} index
 */
export function said({ role, text, note }, index) {
  const answer = index % 2 === 1;
  const noted = answer && note ? h("span", { class: "note" }, note) : null;
  return h("li", { class: answer ? "even" : undefined },
    h("p", { class: "role" }, role, noted), h("p", { class: "said" }, text));
}

/**
 * Where a message is typed; Enter sends it.
 * @param {string} value
 * @param {() => unknown} send
 */
function messageField(value, send) {
  const onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  const placeholder = tr("assistant.message_hint");
  return h("textarea", { id: unique("message"), rows: 2, value, placeholder, onkeydown });
}

/**
 * Which text stands around the messages, kept in the address.
 * @param {Lab.Template} template
 */
function kindField(template) {
  const asked = state.read().kind ?? "";
  const offered = KINDS.filter((one) => one !== "chat_template" || template.own);
  if (asked && !offered.some((one) => one === asked)) cannotObey("kind");
  const options = offered.map((value) =>
    h("option", { value, selected: value === asked }, tr(value ? `assistant.way.${value}` : "assistant.own_way")));
  /** @type {HTMLSelectElement} */
  const kind = h("select", { id: unique("kind"), onchange: () => state.write({ kind: kind.value }) }, options);
  return kind;
}
