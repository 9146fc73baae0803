// A question: a prediction, sealed; then the run, what is read in it, why, hints, and the answer with its evidence.

import { fill, h, labelled, unique } from "../../lib/dom.js";
import { raw } from "../../lib/api.js";
import { number, percent, tr } from "../../lib/words.js";
import { fault } from "../../parts/fault.js";
import { instrument } from "./instrument.js";
import { built } from "./nodes.js";
import { predictor, shown } from "./predict.js";
import { itemOf, keyOf } from "./record.js";

const HINTS = 3;

/** One question of a lesson. `start()` goes on from where its record stands. */
export class Question {
  box = h("section", { class: "question panel" });
  #part;
  #number;
  #record;
  #key;
  #instruments;
  #runs = h("div", { class: "runs" });
  #after = h("div", { class: "after-run" });
  #troubles = h("div", { class: "troubles" });
  #hints = h("ol", { class: "hints" });
  #place = h("div", { class: "given-answer" });
  /** @type {unknown[]} */
  #evidence = [];
  /** @type {Lab.Judgement | null} */
  #judged = null;
  #sealedHere = false;
  /** @type {Promise<boolean> | null} */
  #running = null;
  #verdict = h("p", { class: "verdict", role: "status" });
  /** @type {Partial<Record<"seen" | "why" | "after", HTMLInputElement | HTMLTextAreaElement>>} */
  #fields = {};

  /**
   * @param {Lab.QuestionPart} part
   * @param {{ number: number, record: import("./record.js").CourseRecord, model: string, title: string }} how
   */
  constructor(part, { number, record, model, title }) {
    this.#part = part;
    this.#number = number;
    this.#record = record;
    this.#key = keyOf(number, part.place);
    this.box.dataset.question = this.#key;
    this.#instruments = part.calls.map((call, place) =>
      instrument(call, { record, model, id: `${this.#key}.${place}`, title, again: () => this.#run() }));
    fill(this.#runs, this.#instruments.map((one) => one.box));
    record.follow(itemOf(this.#key), () => this.#heard());
    this.#draw();
  }

  get #kept() {
    return this.#record.read(this.#key);
  }

  /** @param {Lab.CourseAnswer} changes */
  #keep(changes) {
    this.#record.set(this.#key, changes);
  }

  async start() {
    // sealed while the instruments before it were at work, it is at work already, or has been
    const wanted = this.#kept.sealed && this.#part.kind !== "words" && !this.#hasRun;
    if (wanted) await this.#run();
  }

  get #hasRun() {
    return this.#evidence.length === this.#instruments.length;
  }

  stop() {
    for (const one of this.#instruments) one.stop();
  }

  /** Another tab has written to this answer: what it wrote shows here too. */
  #heard() {
    const kept = this.#kept;
    if (Boolean(kept.sealed) !== this.#sealedHere) {
      this.#draw();
      this.start();
      return;
    }
    if (!kept.sealed) return this.#drawAgain();
    for (const [field, input] of Object.entries(this.#fields)) {
      const value = kept[/** @type {"seen" | "why" | "after"} */ (field)] ?? "";
      if (input.value !== value) input.value = value;
    }
    this.#showVerdict();
    this.#showHints();
    if (kept.shown) this.#drawAnswer(); // and keep nothing: the other tab would hear of it
  }

  /** Draw the draft of another tab; the field at hand stays at hand. */
  #drawAgain() {
    const fields = () => [...this.box.querySelectorAll("input, textarea, button")];
    const at = fields().findIndex((field) => field === document.activeElement);
    this.#draw();
    /** @type {HTMLElement | undefined} */ (fields()[at])?.focus({ preventScroll: true });
  }

  #draw() {
    this.#sealedHere = Boolean(this.#kept.sealed);
    const title = h("h3", {}, tr(this.#part.kind === "words" ? "course.question.words" : "course.question.title"));
    fill(this.box, title, built(this.#part.ask), this.#kept.sealed ? this.#sealed() : this.#asked());
  }

  /** The field of the draft as it is stored. */
  #field() {
    return predictor(this.#part, this.#kept.draft, (draft) => this.#keep({ draft }));
  }

  /** The field, and the button that seals what is stored of it: another tab may have written last. */
  #asked() {
    const missing = h("p", { class: "quiet", role: "status" });
    const seal = (/** @type {Event} */ event) => {
      event.preventDefault();
      const field = this.#field();
      const predicted = field.read();
      if (predicted === null) return fill(missing, field.missing());
      // another tab may have sealed one meanwhile: the first one counts
      if (!this.#kept.sealed) this.#keep({ predicted, sealed: new Date().toISOString(), draft: undefined });
      this.#draw();
      this.box.querySelector("h3")?.scrollIntoView({ block: "nearest" });
      return this.start();
    };
    const words = this.#part.kind === "words";
    return h("form", { class: "predict", onsubmit: seal }, this.#field().box,
      h("button", { type: "submit", class: "primary" }, tr(words ? "course.keep_first" : "course.seal")), missing);
  }

  /** What was predicted, and what comes after. */
  #sealed() {
    const [{ predicted, sealed }, words] = [this.#kept, this.#part.kind === "words"];
    const when = new Date(sealed ?? "").toLocaleTimeString(document.documentElement.lang, { timeStyle: "short" });
    const title = tr(words ? "course.sealed_words" : "course.sealed", { time: when });
    const mine = h("div", { class: "sealed" }, h("p", { class: "title" }, title),
      h("div", { class: "predicted" }, shown(this.#part, /** @type {Lab.Predicted} */ (predicted))));
    fill(this.#after, words ? this.#again() : this.#observed());
    this.#after.hidden = !words; // until the run is there
    return words ? [mine, this.#after] : [mine, this.#runs, this.#troubles, this.#after];
  }

  /** One run at a time: whoever asks meanwhile waits for it. */
  #run() {
    this.#running ??= this.#play().finally(() => { this.#running = null; });
    return this.#running;
  }

  async #play() {
    fill(this.#troubles);
    /** @type {unknown[]} */
    const evidence = [];
    for (const one of this.#instruments) {
      const found = await one.run();
      if (!found) return this.#runAgain();
      evidence.push(found);
    }
    this.#evidence = evidence;
    this.#after.hidden = false;
    return this.#judge();
  }

  /** A run that was stopped, or that failed, can be taken up: without it there is nothing to see. */
  #runAgain() {
    fill(this.#troubles, h("button", { type: "button", class: "run-again", onclick: () => this.#run() },
      tr("course.run_again")));
    return false;
  }

  /** What the run says of the prediction, and of what was read. The server holds them against this very run. */
  async #judge() {
    const { predicted, seen, after } = this.#kept;
    const said = this.#part.kind === "words" ? after || predicted : predicted;
    try {
      const path = `/api/lessons/${this.#number}/${this.#part.place}`;
      const answer = await raw(path, { evidence: this.#evidence, predicted: said, seen: seen || null });
      this.#judged = /** @type {Lab.Judgement} */ ((await answer.json()).result);
    } catch (error) {
      fill(this.#troubles, fault(error, () => this.#judge()));
      return false;
    }
    fill(this.#troubles);
    this.#showHints();
    if (this.#kept.shown) this.#showAnswer();
    return true;
  }

  /** "What did you see?", "Why?", hints and the answer. */
  #observed() {
    const seen = this.#part.seen ? this.#seen(this.#part.seen) : null;
    return [seen, this.#words("why", built(this.#part.why)), this.#tools(), this.#hints, this.#place];
  }

  /** @param {Lab.MdNode[]} asked */
  #seen(asked) {
    const input = h("input", { id: unique("seen"), type: "text", autocomplete: "off", spellcheck: "false",
      maxlength: this.#part.seen_most, value: this.#kept.seen ?? "", oninput: () => {
        this.#keep({ seen: input.value, seenRight: null });
        this.#showVerdict();
      } });
    this.#fields.seen = /** @type {HTMLInputElement} */ (input);
    this.#showVerdict();
    const unit = this.#part.seen_unit ? ` (${this.#part.seen_unit})` : "";
    const check = (/** @type {Event} */ event) => {
      event.preventDefault();
      return this.#check(input.value);
    };
    return h("form", { class: "seen", onsubmit: check }, h("h4", {}, tr("course.seen")), built(asked),
      h("div", { class: "row" }, labelled(input, tr("course.read") + unit),
        h("button", { type: "submit" }, tr("course.check"))), this.#verdict, this.#tolerated());
  }

  /**
   * Hold what was read against the run. No verdict stands beside another text than the one it is about.
   * @param {string} typed
   */
  async #check(typed) {
    this.#keep({ seen: typed, seenRight: null });
    this.#showVerdict(typed.trim() ? "" : tr("course.seen_missing"));
    if (!typed.trim() || !(await this.#judge()) || this.#kept.seen !== typed) return;
    this.#keep({ seenRight: this.#judged?.seen ?? null });
    this.#showVerdict(this.#judged?.unread ? tr("course.seen_unread") : "");
  }

  /** @param {string} [instead] what is said where there is no verdict */
  #showVerdict(instead = "") {
    const { seenRight } = this.#kept;
    const held = typeof seenRight === "boolean";
    this.#verdict.dataset.right = String(seenRight ?? "");
    this.#verdict.textContent = held ? tr(seenRight ? "course.seen_right" : "course.seen_wrong") : instead;
  }

  /** How far a reading may be from the run, and why: pages round, durations and processors vary. */
  #tolerated() {
    const { tolerance, share, seen_unit: unit, exact } = this.#part;
    if (!tolerance && !share) return null;
    const within = unit === "%" ? tr("course.points", { points: tolerance }) : `${number(tolerance)} ${unit}`.trim();
    const words = share ? tr("course.share", { share: percent(share, 0) })
      : tr(exact ? "course.tolerance_exact" : "course.tolerance", { tolerance: within });
    return h("p", { class: "small quiet" }, words);
  }

  /**
   * A text of one's own, kept as it is typed.
   * @param {"why" | "after"} name
   * @param {Lab.Child} asked
   */
  #words(name, asked) {
    /** @type {HTMLTextAreaElement} */
    const input = h("textarea", { id: unique(name), rows: 3, value: this.#kept[name] ?? "",
      oninput: () => this.#keep({ [name]: input.value }) });
    this.#fields[name] = input;
    return h("div", { class: "own-words" }, h("h4", {}, tr(`course.${name}`)), asked,
      labelled(input, tr("course.own_words")));
  }

  /** The buttons of hints and answer. An answer asks for a sentence of one's own, or for all the hints. */
  #tools() {
    const said = h("p", { class: "quiet", role: "status" });
    const hint = h("button", { type: "button", class: "hint-button", onclick: async () => {
      if (!this.#judged && !(await this.#ready())) return;
      this.#keep({ hints: Math.min(HINTS, (this.#kept.hints ?? 0) + 1) });
      this.#showHints();
    } }, tr("course.hint"));
    const answer = h("button", { type: "button", class: "answer-button", onclick: async () => {
      const words = this.#part.kind === "words" ? this.#kept.after : this.#kept.why;
      if (!words?.trim() && (this.#kept.hints ?? 0) < HINTS) return fill(said, tr("course.first_why"));
      fill(said);
      if (!this.#judged && !(await this.#ready())) return null;
      return this.#showAnswer();
    } }, tr("course.answer"));
    return h("div", {}, h("div", { class: "row" }, hint, answer), said);
  }

  /** The run, where it was not needed before. */
  async #ready() {
    return this.#hasRun ? this.#judge() : this.#run();
  }

  #showHints() {
    const taken = this.#kept.hints ?? 0;
    fill(this.#hints, (this.#judged?.hints ?? []).slice(0, taken).map((hint) => h("li", {}, built(hint))));
    const button = this.box.querySelector(".hint-button");
    if (button instanceof HTMLButtonElement) {
      button.disabled = taken >= HINTS;
      const words = ["course.hint", ...Array(HINTS - 1).fill("course.hint_next"), "course.hint_none"][taken];
      button.textContent = tr(words, { left: HINTS - taken });
    }
  }

  #showAnswer() {
    const judged = this.#judged;
    if (!judged) return;
    const { answer, right, points, came_true: came } = judged;
    this.#keep({ shown: true, came, right, points, answer });
    this.#drawAnswer();
  }

  #drawAnswer() {
    if (!this.#judged) return;
    const { answer, right, points, came_true: came } = this.#judged;
    const verdict = came === null ? null
      : h("p", { class: "verdict", dataset: { right: String(came) } }, tr(came ? "course.came" : "course.came_not"));
    const drawn = points.length ? shown(this.#part, /** @type {Lab.Predicted} */ (this.#kept.predicted), points) : null;
    fill(this.#place, h("h4", {}, tr("course.the_answer")), verdict,
      right ? h("p", {}, tr("course.right"), " ", h("strong", {}, right)) : null, drawn, built(answer));
  }

  /** The question that stands before and after the whole: what comes once the lessons are done. */
  #again() {
    return [this.#words("after", h("p", {}, tr("course.again"))), this.#words("why", built(this.#part.why)),
      this.#tools(), this.#troubles, this.#hints, this.#place];
  }
}
