// One question, four ways: only the text around it changes. They are written together, on one stream.

import { fill, h } from "../../lib/dom.js";
import { duration, number, ownFirst, tr } from "../../lib/words.js";
import * as state from "../../lib/state.js";
import { inPython, onCommandLine } from "../../lib/code.js";
import { once } from "../../lib/resumable.js";
import { ofKind } from "../../parts/blocks.js";
import { frame } from "../../parts/frame.js";
import { status } from "../../parts/status.js";
import { promptField } from "../../parts/prompt.js";
import { chosen, flags } from "../generate/controls.js";
import { settled, unsettled } from "../generate/story.js";
import { Column, lacking } from "./column.js";

const KINDS = ["raw", "few_shot", "stopped", "chat_template"];
const EXAMPLES = {
  fr: ["Quelle est la capitale de la France ?", "Combien de pattes a un chat ?"],
  en: ["What is the capital of France?", "How many legs does a cat have?"],
};
const HEADS = ["way", "prompt", "generated", "stopped", "time", "answer", "after"];
const NOTHING = { table: null, python: null, command: null, json: null, page: null };

/** @typedef {{ seed: number, max_new_tokens: number, after_stop: number }} Counts */
/** @typedef {Lab.Sampling & Counts & Api.AssistantRequest} Asked */
/** @typedef {{ result: Api.Answers, view: Api.Block[] }} Played */

/**
 * The instrument; see the page for `settings`, `template` and `name`.
 * @param {Lab.Assisting<Asked>} parts
 * @returns {Ways}
 */
export const ways = (parts) => new Ways(parts);

class Ways {
  #parts;
  /** @type {Lab.Resumable | null} */
  #running = null;
  /** @type {Column[]} */
  #columns = [];
  /** @type {Asked | null} */
  #asked = null;
  /** @type {{ answers: Api.Answers, caption: string | undefined } | null} */
  #result = null;
  /** @type {Played | null} */
  #played = null;
  #says = status(() => this.#halt());
  #desk;
  #field;
  #stop = h("button", { type: "button", disabled: true, onclick: () => this.#halt() }, tr("actions.stop"));
  #place = h("div", { class: "side-by-side pairs" });
  #picture = frame(this.#place, { name: "assistant" });

  /** @param {Lab.Assisting<Asked>} parts */
  constructor(parts) {
    this.#parts = parts;
    const { apart } = parts;
    this.#desk = apart?.desk ?? state.page;
    this.#field = promptField({
      onChange: () => this.changed(),
      label: tr("assistant.question"),
      examples: apart ? undefined : ownFirst(EXAMPLES),
      own: apart?.desk.prompt ?? state.question,
      placeholder: tr("assistant.question_hint"),
    });
    const go = h("button", { type: "button", class: "primary", onclick: () => this.#begin() }, tr("assistant.ask"));
    this.#tell();
    const fields = [this.#field.box, parts.settings.box, parts.template.box];
    this.box = h("div", {}, apart ? apart.fold(fields) : fields,
      h("div", { class: "row" }, go, this.#stop), this.#says.box, this.#picture.box);
  }

  /**
   * The visitor leaves; where the page comes back at once (`again`), what it is to go on with.
   * @param {Lab.Leaving} [how]
   */
  leave({ again = false } = {}) {
    this.#running?.abort();
    return again && this.#running ? this.#asked : null;
  }

  /** What is asked is not what was answered any more: a link no longer holds the answer. */
  changed() {
    this.#desk.write({ asked: "" });
  }

  /** What makes the answers on show again. */
  page() {
    return this.#picture.page();
  }

  /**
   * Ask this; what it came to, null where it was stopped or failed.
   * @param {Partial<Asked>} given
   * @returns {Promise<Played | null>}
   */
  async ask(given) {
    await this.#begin(given);
    return this.#played;
  }

  start() {
    const { settings, handed } = this.#parts;
    if (handed) return this.#begin(handed);
    const saved = this.#desk.read();
    if (!saved.asked || !this.#field.text) return null;
    const [seed, count, after, own] = saved.asked.split(":"); // of a link of before the seed alone
    return this.#begin({
      seed: Number(seed),
      max_new_tokens: Number(count) || settings.count(),
      after_stop: Number(after ?? settings.after()),
      ...unsettled(own, settings.sampling()),
    });
  }

  /**
   * Ask: by the settings of the page, where `given` holds none.
   * @param {Partial<Asked>} [given]
   */
  #begin(given = {}) {
    this.#running?.abort();
    const { settings, template } = this.#parts;
    const counts = {
      max_new_tokens: settings.count(),
      seed: settings.seed() ?? Math.floor(Math.random() * 2 ** 32),
      after_stop: settings.after(),
    };
    const asked = { question: this.#field.text, ...template.given(), ...settings.sampling(), ...counts, ...given };
    this.#asked = asked;
    const kinds = KINDS.filter((kind) => kind !== "chat_template" || template.own);
    this.#columns = kinds.map((kind) => new Column(kind));
    fill(this.#place, this.#columns.map((one) => one.box), template.own ? null : lacking());
    this.#result = this.#played = null;
    return this.#run(asked);
  }

  /** @param {Asked} asked */
  async #run(asked) {
    const work = this.#running = once({ verb: "assistant", arguments: asked, prompt: true, view: true }, (...event) => {
      const [kind, body] = event;
      const column = "column" in body ? body.column : undefined;
      this.#columns.find((one) => one.kind === column)?.hear(...event);
      if (kind === "finished") this.#finish(body);
    }, {
      says: this.#says,
      troubles: this.#field.troubles,
      again: this.#parts.apart?.again ?? (() => this.#run(asked)),
      elsewhere: this.#parts.template.refused,
    });
    this.#tell();
    const fine = await work.over;
    if (!fine || work.stopping) this.#played = null;
    if (!fine && !this.#columns.some((one) => one.steps)) {
      this.#columns = [];
      fill(this.#place);
    }
    if (work.left) return;
    this.#running = null;
    this.#tell();
    const { seed, max_new_tokens, after_stop } = asked;
    if (this.#result && this.#desk.whole && asked.question === this.#field.text)
      this.#desk.write({ asked: [seed, max_new_tokens, after_stop, settled(asked)].join(":") });
  }

  #halt() {
    return this.#running?.stop();
  }

  /**
   * The answer has come whole: its own sentences go under its columns.
   * @param {Lab.Finished<"assistant">} body
   */
  #finish({ result, view }) {
    this.#played = { result, view };
    const drawn = ofKind(view, "columns").flatMap((block) => block.columns);
    for (const [index, answer] of result.answers.entries())
      this.#columns.find((one) => one.kind === answer.kind)?.finish(answer, drawn[index]);
    this.#result = { answers: result, caption: ofKind(view, "text").at(-1)?.text };
  }

  #tell() {
    this.#drawn();
    this.#parts.apart?.onChange();
  }

  #drawn() {
    this.#stop.disabled = !this.#running;
    if (!this.#result || !this.#asked || this.#running)
      return this.#picture.update({ caption: this.#columns.length ? "" : tr("assistant.empty"), ...NOTHING });
    const { answers, caption } = this.#result;
    return this.#picture.update({
      caption,
      table: asRows(answers),
      json: answers,
      page: { verb: "assistant", arguments: this.#asked },
      ...this.#code(this.#asked),
    });
  }

  /**
   * The lines of Python and of shell that ask the same.
   * @param {Asked} asked
   */
  #code({ question, system, template: _, chat_template: __, after_stop, seed, max_new_tokens, ...sampling }) {
    const { name, template } = this.#parts;
    const options = { ...chosen(sampling), max_new_tokens, seed, after_stop };
    const counts = { "--max-new-tokens": max_new_tokens, "--seed": seed, "--after-stop": after_stop };
    const command = onCommandLine(name(), "assistant", [question],
      { "--system": system, ...flags(sampling), ...counts });
    return {
      python: inPython(name(), "assistant", [question], { ...template.given(), ...options }),
      command: template.files(command),
    };
  }
}

/**
 * @param {Api.Answers} result
 * @returns {Lab.Rows}
 */
const asRows = ({ answers }) => ({
  columns: HEADS.map((key) => tr(`assistant.column.${key}`)),
  rows: answers.map((one) => [
    tr(`assistant.way.${one.kind}`),
    number(one.prompt_tokens),
    number(one.generated_tokens),
    tr(`assistant.reason.${one.stop_reason}`),
    duration(one.seconds),
    one.text,
    one.after_stop,
  ]),
});
