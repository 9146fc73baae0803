// A conversation: everything is sent again at every turn, and the bill says what that takes.

import { fill, h, unique } from "../../lib/dom.js";
import { lang, tr, typed, unwritten } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, quoted } from "../../lib/code.js";
import { once } from "../../lib/lasting.js";
import { blocks } from "../../parts/blocks.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { pieces } from "../../parts/pieces.js";
import { chosen, flags } from "../generate/controls.js";

const KINDS = ["", "raw", "few_shot", "stopped", "chat_template"];
const KEY = "capot-talk";
const SHOWN = 600; // tokens of a prompt that are drawn

/** The instrument; see the page for `settings`, `template` and `name`. */
export function talk({ settings, template, name, handed }) {
  let talked = saved(); // { conversation, view, turns: [{ message, options }], prompt }
  let running = null, sending = null, gone = false;
  const says = status(() => halt());
  const log = h("ol", { class: "chat", "aria-live": "polite" });
  const id = unique("message");
  const field = h("textarea", { id, rows: 2, value: talked.typed ?? "", placeholder: tr("assistant.message_hint"), onkeydown: (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); say(); }
  } });
  const troubles = h("div");
  const send = h("button", { type: "button", class: "primary", onclick: () => say() }, tr("assistant.send"));
  const stop = h("button", { type: "button", onclick: () => halt() }, tr("actions.stop"));
  const undo = h("button", { type: "button", onclick: () => forget() }, tr("assistant.undo"));
  const anew = h("button", { type: "button", onclick: () => restart() }, tr("assistant.new"));
  const kind = h("select", { id: unique("kind"), onchange: () => state.write({ kind: kind.value }) }, KINDS.filter((one) => one !== "chat_template" || template.own).map((one) => h("option", { value: one, selected: one === (state.read().kind ?? "") }, tr(one ? `assistant.way.${one}` : "assistant.own_way"))));
  const price = (key) => {
    const shown = () => (Number(state.read()[key]) ? typed(Number(state.read()[key])) : "");
    const input = h("input", { id: unique(key), type: "text", inputmode: "decimal", autocomplete: "off", value: shown(), placeholder: "0", onchange: () => {
      const value = input.value.trim() ? unwritten(input.value) : 0;
      if (value >= 0 && Number.isFinite(value)) state.write({ [key]: value || "" }); // else it goes back to what it was
      input.value = shown();
      priced();
    } });
    return input;
  };
  const prices = { price_in: price("price_in"), price_out: price("price_out") };
  const asked = () => Object.fromEntries(Object.keys(prices).map((key) => [key, Number(state.read()[key]) || 0]));
  const labelled = (input, key) => h("div", { class: "field" }, h("label", { for: input.id }, tr(`assistant.${key}`)), input);
  const sent = h("details", { class: "exact", hidden: true });
  const bill = h("div", { class: "bill" });
  const picture = frame(bill, { name: "conversation" });
  show();
  return {
    box: h("div", {}, h("div", { class: "row" }, labelled(kind, "kind"), labelled(prices.price_in, "price_in"), labelled(prices.price_out, "price_out")),
      settings.box, template.box, log, says.box, h("div", { class: "prompt" }, h("label", { for: id }, tr("assistant.message")), field, troubles),
      h("div", { class: "row" }, send, stop, undo, anew), sent, picture.box),
    start, leave,
  };

  async function start() {
    if (talked.turns.length && (!talked.view || talked.lang !== lang())) await redo();
    if (handed && !gone) run(handed.args, handed.turn);
  }

  /** The visitor leaves; where the page comes back at once (`again`), what it is to go on with. */
  function leave({ again = false } = {}) {
    gone = true;
    const under = again && running ? sending : null;
    talked.typed = field.value || (running && !under ? sending.turn.message : ""); // what is handed on is sent, and not typed again
    keep();
    running?.abort();
    return under;
  }

  function say(text = field.value) {
    if (running) return;
    const options = { ...chosen(settings.sampling()), max_new_tokens: settings.count(), seed: settings.seed() ?? talked.seed };
    if (talked.turns.length === 0) talked.kind = kind.value;
    const price = Object.fromEntries(Object.entries(asked()).filter(([, value]) => value));
    const before = talked.conversation && { ...talked.conversation, system: "" }; // a text that was erased is not said any more
    run({ messages: [text], conversation: before, kind: kind.value, ...template.given(), ...price, ...options }, { message: text, options });
  }

  async function run(args, turn) {
    let text = "", fresh = "";
    const answer = h("p", { class: "said" });
    const mine = [h("li", {}, h("p", { class: "role" }, tr("assistant.you")), h("p", {}, turn.message)), h("li", { class: "even" }, h("p", { class: "role" }, name()), answer)];
    const write = (more) => { fresh += more; if (fresh.length >= text.length) text = fresh; answer.textContent = text.trimStart(); };
    const work = running = once({ verb: "chat", arguments: args, prompt: true, view: true }, (event, body) => {
      if (event === "started") {
        fresh = ""; // after a cut the same answer comes again: what is shown stays until it is overtaken
        if (!mine[0].isConnected) {
          log.querySelector(":scope > .quiet")?.remove();
          log.append(...mine);
          field.value = "";
        }
        talked.prompt = body.prompt.slice(-SHOWN);
        exact(body.prompt);
      }
      if (event === "step") write(body.text);
      if (event === "finished") {
        write(body.text);
        Object.assign(talked, { conversation: body.result, view: body.view });
        if (body.result.turns.length > talked.turns.length) talked.turns.push(turn); // stopped before its first word it is no turn
        else field.value = turn.message;
      }
    }, { says, troubles, again: () => run(args, turn), elsewhere: template.refused });
    sending = { args, turn };
    buttons();
    await work.over;
    if (work.left) return;
    running = null;
    if (!work.ended && !field.value) field.value = turn.message; // given up in a cut: what was typed is never lost
    keep();
    show();
    field.focus({ preventScroll: true });
  }

  function halt() {
    return running?.stop();
  }

  function forget() {
    const { conversation, turns } = talked;
    field.value = turns.at(-1).message;
    conversation.turns.pop();
    turns.pop();
    redo();
  }

  function restart() {
    talked = fresh();
    keep();
    show();
    field.focus();
  }

  /** The bill as the server draws it, of a conversation that has lost a turn or changed its prices: no token is computed. */
  async function redo() {
    if (!talked.turns.length) return restart();
    const { price_in, price_out } = asked();
    const { call } = await import("../../lib/api.js");
    try {
      const { result, view } = await call("chat", { messages: [], conversation: { ...talked.conversation, price_in, price_out } }, { query: "?view=1", whole: true });
      if (gone) return;
      Object.assign(talked, { conversation: result, view });
    } catch (error) {
      if (gone) return;
      says.fail(error, () => redo());
    }
    keep();
    show();
  }

  function priced() {
    if (talked.turns.length && !running) redo();
  }

  function exact(prompt) {
    sent.hidden = !prompt?.length;
    if (!sent.hidden) fill(sent, h("summary", {}, tr("assistant.exactly", { count: prompt.length })), h("div", { class: "sent", tabindex: "0", role: "region", "aria-label": tr("assistant.sent") }, h("capot-strip", { pieces: pieces(prompt.slice(-SHOWN)), "aria-label": tr("assistant.sent") })));
  }

  function buttons() {
    stop.disabled = !running;
    send.disabled = Boolean(running);
    undo.disabled = anew.disabled = Boolean(running) || !talked.turns.length;
  }

  function show() {
    buttons();
    const view = talked.view ?? [];
    const chat = view.find((block) => block.block === "chat");
    fill(log, (chat?.turns ?? []).map((turn, index) => h("li", { class: index % 2 ? "even" : undefined }, h("p", { class: "role" }, turn.role, index % 2 && turn.note ? h("span", { class: "note" }, turn.note) : null), h("p", { class: "said" }, turn.text))));
    if (!chat) fill(log, h("li", { class: "quiet" }, tr("assistant.empty_talk")));
    exact(talked.prompt);
    const rest = view.filter((block) => block.block !== "chat" && !(block.block === "heading" && block.level === 1));
    fill(bill, chat ? blocks(rest) : null);
    const table = rest.find((block) => block.block === "table");
    picture.update({ caption: "", table: table ? { columns: table.columns, rows: table.rows } : null, json: talked.turns.length ? talked.conversation : null,
      page: talked.turns.length ? { verb: "chat", arguments: { messages: [], conversation: talked.conversation } } : null, ...lines() });
  }

  /** Lines that hold the same conversation: one call for the turns of the same settings. */
  function lines() {
    if (!talked.turns.length) return { python: null, command: null };
    const groups = [];
    for (const { message, options } of talked.turns) {
      const key = JSON.stringify(options);
      if (groups.at(-1)?.key === key) groups.at(-1).messages.push(message);
      else groups.push({ key, options, messages: [message] });
    }
    const { kind: chosen, price_in, price_out } = talked.conversation;
    const more = { kind: chosen, ...template.given(), ...(price_in ? { price_in } : {}), ...(price_out ? { price_out } : {}) };
    const calls = groups.map(({ messages, options }, index) => inPython(name(), "chat", [messages], { ...(index ? {} : more), ...options }).split("\n").at(-1).slice("print(".length, -1));
    const python = [inPython(name(), "chat", []).split("\n").slice(0, -1).join("\n"), ...calls.map((one, index) => `talk = ${index ? `${one.slice(0, -1)}, conversation=talk.to_dict()` : one.slice(0, -1)})`), "print(talk)"].join("\n");
    return { python, command: groups.length === 1 && groups[0].messages.every((text) => !text.includes("\n")) ? script(groups[0], more) : null };
  }

  function script({ messages, options }, { kind: way, system, price_in, price_out }) {
    const given = [["--system", system], ["--price-in", price_in], ["--price-out", price_out], ...Object.entries(flags(options)), ["--model", name() === "boxed" ? undefined : name()]].filter(([, value]) => value !== undefined);
    const command = ["capot chat --script -", ...given.map(([flag, value]) => `${flag} ${quoted(String(value))}`)].join(" ");
    const said = `printf '%s\\n' ${messages.map(quoted).join(" ")} | ${command}`;
    const edited = template.given();
    return edited.template || edited.chat_template ? template.files(said) : `${said} --template ${way}`;
  }

  function keep() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ ...talked, lang: lang() }));
    } catch {
      sessionStorage.removeItem(KEY);
    }
    const { bill: _, ...conversation } = talked.conversation ?? {};
    state.write({ talk: talked.turns.length ? JSON.stringify({ conversation, turns: talked.turns, seed: talked.seed }) : "" });
  }
}

const fresh = () => ({ conversation: null, view: null, turns: [], prompt: null, seed: Math.floor(Math.random() * 2 ** 32) });

/** What this tab kept, where it is the conversation of the address. */
function saved() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  const linked = linkedTalk();
  if (linked && JSON.stringify(linked.turns) !== JSON.stringify(kept?.turns)) return { ...fresh(), ...linked };
  return kept ?? fresh();
}

function linkedTalk() {
  try {
    return JSON.parse(state.read().talk ?? "null");
  } catch {
    return null;
  }
}
