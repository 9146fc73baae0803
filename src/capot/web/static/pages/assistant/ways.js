// One question, four ways: only the text around it changes. They are written together, on one stream.

import { fill, h } from "../../lib/dom.js";
import { duration, number, ownFirst, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { once } from "../../lib/lasting.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { pieces } from "../../parts/pieces.js";
import { promptField } from "../../parts/prompt.js";
import { chosen, flags } from "../generate/controls.js";
import { settled, unsettled } from "../generate/story.js";

const KINDS = ["raw", "few_shot", "stopped", "chat_template"];
const EXAMPLES = { fr: ["Quelle est la capitale de la France ?", "Combien de pattes a un chat ?"], en: ["What is the capital of France?", "How many legs does a cat have?"] };
const SHOWN = 400; // tokens of a prompt that are drawn

/** The instrument; see the page for `settings`, `template` and `name`. */
export function ways({ settings, template, name, handed }) {
  let running = null, columns = [], result = null, asked = null;
  const says = status(() => halt());
  const field = promptField({ heard: changed, label: tr("assistant.question"), examples: ownFirst(EXAMPLES), own: state.question, placeholder: tr("assistant.question_hint") });
  const go = h("button", { type: "button", class: "primary", onclick: () => begin() }, tr("assistant.ask"));
  const stop = h("button", { type: "button", disabled: true, onclick: () => halt() }, tr("actions.stop"));
  const place = h("div", { class: "side-by-side pairs" });
  const picture = frame(place, { name: "assistant" });
  tell();
  return { box: h("div", {}, field.box, settings.box, template.box, h("div", { class: "row" }, go, stop), says.box, picture.box), start, changed, leave };

  /** The visitor leaves; where the page comes back at once (`again`), what it is to go on with. */
  function leave({ again = false } = {}) {
    running?.abort();
    return again && running ? asked : null;
  }

  /** What is asked is not what was answered any more: a link no longer holds the answer. */
  function changed() {
    state.write({ asked: "" });
  }

  function start() {
    if (handed) return begin(handed);
    const saved = state.read();
    if (!saved.asked || !field.text) return null;
    const [seed, count, after, own] = saved.asked.split(":"); // of a link of before the seed alone
    return begin({ seed: Number(seed), max_new_tokens: Number(count) || settings.count(), after_stop: Number(after ?? settings.after()), ...unsettled(own, settings.sampling()) });
  }

  /** Ask: by the settings of the page, where `given` holds none. */
  function begin(given = {}) {
    running?.abort();
    const seed = settings.seed() ?? Math.floor(Math.random() * 2 ** 32);
    asked = { question: field.text, ...template.given(), ...settings.sampling(), max_new_tokens: settings.count(), seed, after_stop: settings.after(), ...given };
    columns = KINDS.filter((kind) => kind !== "chat_template" || template.own).map((kind) => column(kind));
    fill(place, columns.map((one) => one.box), template.own ? null : lacking());
    result = null;
    run();
  }

  async function run() {
    const work = running = once({ verb: "assistant", arguments: asked, prompt: true, view: true }, (kind, body) => {
      columns.find((one) => one.kind === body.column)?.hear(kind, body);
      if (kind === "finished") finish(body);
    }, { says, troubles: field.troubles, again: run, elsewhere: template.refused });
    tell();
    const fine = await work.over;
    if (!fine && !columns.some((one) => one.count())) { columns = []; fill(place); }
    if (work.left) return;
    running = null;
    tell();
    if (result && asked.question === field.text) state.write({ asked: [asked.seed, asked.max_new_tokens, asked.after_stop, settled(asked)].join(":") });
  }

  function halt() {
    return running?.stop();
  }

  /** The answer has come whole: its own sentences go under its columns. */
  function finish(body) {
    result = body.result;
    const drawn = body.view.filter((block) => block.block === "columns").flatMap((block) => block.columns);
    result.answers.forEach((answer, index) => columns.find((one) => one.kind === answer.kind)?.finish(answer, drawn[index]));
    result.caption = body.view.filter((block) => block.block === "text").at(-1)?.text;
  }

  function tell() {
    stop.disabled = !running;
    if (!result || running) return picture.update({ caption: columns.length ? "" : tr("assistant.empty"), table: null, python: null, command: null, json: null, page: null });
    const { question, system, template: _, chat_template: __, after_stop, seed, max_new_tokens, ...sampling } = asked;
    const options = { ...chosen(sampling), max_new_tokens, seed, after_stop };
    const { caption, ...json } = result;
    return picture.update({
      caption,
      table: { columns: ["way", "prompt", "generated", "stopped", "time", "answer", "after"].map((key) => tr(`assistant.column.${key}`)),
        rows: result.answers.map((one) => [tr(`assistant.way.${one.kind}`), number(one.prompt_tokens), number(one.generated_tokens), tr(`assistant.reason.${one.stop_reason}`), duration(one.seconds), one.text, one.after_stop]) },
      python: inPython(name(), "assistant", [question], { ...template.given(), ...options }),
      command: template.files(onCommandLine(name(), "assistant", [question], { "--system": system, ...flags(sampling), "--max-new-tokens": max_new_tokens, "--seed": seed, "--after-stop": after_stop })),
      json,
      page: { verb: "assistant", arguments: asked },
    });
  }
}

/** The way that this model does not have. */
const lacking = () => h("section", { class: "way", dataset: { kind: "missing" } }, h("h2", {}, tr("assistant.way.chat_template")), h("p", { class: "quiet" }, tr("assistant.missing")));

/** One way: what was sent, token by token, then what comes back. */
function column(kind) {
  let [text, fresh, steps] = ["", "", 0];
  const means = h("p", { class: "quiet" });
  const strip = h("capot-strip", { "aria-label": tr("assistant.sent") });
  const sent = h("div", { class: "sent", tabindex: "0", role: "region", "aria-label": `${tr("assistant.sent")} – ${tr(`assistant.way.${kind}`)}` }, strip);
  const sentSaid = h("p", { class: "small quiet" });
  const warning = h("p", { class: "warning", hidden: true });
  const answer = h("p", { class: "said" });
  const after = h("p", { class: "after", hidden: true });
  const answerSaid = h("p", { class: "small quiet" });
  const title = h("h2", {}, tr(`assistant.way.${kind}`));
  const box = h("section", { class: "way", dataset: { kind } }, title, means, h("p", { class: "part" }, tr("assistant.sent")), sent, sentSaid, warning,
    h("p", { class: "part" }, tr("assistant.answer")), h("div", { class: "reply" }, answer, after), answerSaid);

  const write = () => {
    if (fresh.length >= text.length) text = fresh; // after a cut the same text comes again: what is shown stays until then
    answer.textContent = text.trimStart();
  };

  function hear(event, body) {
    if (event === "started") {
      fresh = "";
      strip.pieces = pieces(body.prompt.slice(0, SHOWN));
      sent.scrollTop = sent.scrollHeight;
      sentSaid.textContent = tr("assistant.count", { count: body.prompt_tokens });
    }
    if (event === "step") steps += 1;
    if (event === "step" || event === "answered") { fresh += body.text; write(); }
    if (event === "answered") reply(body.answer);
  }

  function reply(found) {
    text = found.text;
    answer.textContent = text.trim() || "∅";
    const more = found.after_stop.replace(/^\n+|\n+$/g, "");
    after.hidden = !more;
    fill(after, h("span", { class: "offstage" }, tr("assistant.after")), more);
  }

  function finish(found, blocks) {
    reply(found);
    const [heading, ...rest] = blocks;
    title.textContent = heading.text;
    means.textContent = rest.find((block) => block.block === "text" && block.tone === "quiet")?.text ?? "";
    sentSaid.textContent = rest.find((block) => block.block === "strip")?.caption ?? "";
    answerSaid.textContent = rest.find((block) => block.block === "chat")?.caption ?? "";
    const told = rest.find((block) => block.block === "text" && block.tone === "warning");
    warning.hidden = !told;
    warning.textContent = told?.text ?? "";
  }

  return { kind, box, hear, finish, count: () => steps };
}
