// Shapes that the pages' scripts share. What the server answers is in api.d.ts, which is made from its classes.

declare namespace Lab {
  type Language = "fr" | "en";

  /** The catalogue of a language: sentences by key, nested as keys are. */
  interface Words {
    [key: string]: string | Words;
  }

  /** A term of the field: its name, the forms it takes in a sentence, what it means. */
  interface Term {
    [part: string]: string;
    name: string;
    forms: string;
    said: string;
  }

  /** What an element holds: text, elements, and lists of them; nothing where a part is left out. */
  type Child = string | number | Node | false | null | undefined | Child[];

  /** Attributes, properties and listeners of `h`. */
  interface Props {
    class?: string;
    dataset?: Record<string, string | undefined>;
    style?: Record<string, string>;
    onkeydown?: (event: KeyboardEvent) => unknown;
    onsubmit?: (event: SubmitEvent) => unknown;
    [listener: `on${string}`]: ((event: never) => unknown) | undefined;
    [name: string]: unknown;
  }

  /** What `h(tag)` makes. */
  type Made<Tag extends string> = Tag extends keyof HTMLElementTagNameMap
    ? HTMLElementTagNameMap[Tag]
    : Tag extends `${infer Name}:svg`
      ? Name extends keyof SVGElementTagNameMap
        ? SVGElementTagNameMap[Name]
        : SVGElement
      : HTMLElement;

  /** An error to show: the server's, with its code; or one of ours. */
  interface Trouble {
    code?: string;
    message: string;
    field?: string | null;
  }

  /** Where an answer stands that is waited for. */
  interface Place {
    position?: number;
    turn?: number;
    at_once?: number;
  }

  /** `GET /api/model`: what is at work, and who asks. */
  interface AtWork extends Api.ModelAtWork {
    owner: boolean;
    coded: boolean;
    version: string;
    limits: { max_prompt_chars: number; max_new_tokens: number; max_streams: number };
  }

  /** What GET paths answer; other paths are asked for what they are. */
  interface Paths {
    "/api/model": AtWork;
    "/api/models": Api.Models;
    "/api/invitation": Api.Invitation;
    "/api/templates": { template: string; chat_template: string | null };
  }

  /** The bodies of a stream's events, by kind; `column` names one way of `assistant`. */
  interface Events<Verb extends keyof Api.Verbs = keyof Api.Verbs> {
    queued: Place;
    progress: { done: number; total: number; row: Api.Row; message: string; column?: string };
    notice: { message: string; column?: string };
    card: Preview;
    started: Api.Started & { prompt: Api.Token[]; column?: string };
    step: Api.Step & { column?: string };
    answered: Api.Answered;
    finished: Finished<Verb>;
    error: { error: Trouble; column?: string };
  }

  /** What the hub tells everyone of a model that it does not hand out. */
  interface Preview {
    result: Api.Card | Api.Preview;
    view: Api.Block[];
  }

  /** The last event of every work. */
  interface Finished<Verb extends keyof Api.Verbs> {
    text: string;
    result: Api.Verbs[Verb]["answers"];
    view: Api.Block[];
    stop_reason: string;
    stop_string?: string | null;
    tokens_per_s?: number | null;
    column?: string;
  }

  /** An event as it is heard: its kind, its body, the tag of its work. */
  type Event<Verb extends keyof Api.Verbs = keyof Api.Verbs> = {
    [Kind in keyof Events]: [kind: Kind, body: Events<Verb>[Kind], tag: string];
  }[keyof Events];

  /** Hears a stream's events. */
  type Heard<Verb extends keyof Api.Verbs = keyof Api.Verbs> = (...event: Event<Verb>) => unknown;

  /** A line of text that grows, see pages/generate/line.js and story.js. */
  interface Line {
    prompt: string;
    base: number[] | null;
    sampling: Sampling;
    seed: number | undefined;
    left: number;
    tokens: Api.Step[];
    drawn: number;
    runs: number;
    reason: string;
    view: Api.Block[] | null;
    result: Api.Generation | null;
    reused?: number;
    fresh?: boolean;
    paced?: number;
    spent?: number;
    stopString?: string | null;
    speed?: number | null;
  }

  /** A line in a tree: where it left which other, and the token taken there. */
  interface Branch extends Line {
    parent: Branch | null;
    at: number;
    token: Api.Step | null;
    number: number;
  }

  /** The tree of a prompt. */
  interface Story {
    prompt: string;
    base: number[] | null;
    lines: Branch[];
    current: Branch | null;
  }

  /** How tokens are chosen, as the sliders of a page say it. */
  interface Sampling {
    temperature: number;
    top_k: number;
    top_p: number;
    min_p: number;
    stop?: string[];
  }

  /** The settings of pages/generate/controls.js. */
  interface Controls {
    box: HTMLElement;
    showTemperature: (shown: boolean) => void;
    sampling: () => Sampling;
    seed: () => number | undefined;
    count: () => number;
    after: () => number;
  }

  /** What an instrument of the generate page is given; `handed` is what it gave back when it was left. */
  interface Writing<Handed> {
    field: Field;
    settings: Controls;
    name: () => string;
    handed: Handed | null;
  }

  /** An instrument of the generate page: one text, or several side by side. */
  interface Instrument<Handed> {
    readonly box: HTMLElement;
    /** Whether anything is under way. */
    readonly busy: boolean;
    start(): unknown;
    halt(): unknown;
    further(count: number): unknown;
    leave(how?: Leaving): Handed | null;
  }

  /** What an instrument of the assistant's page is given; `handed` is what it gave back when it was left. */
  interface Assisting<Handed> {
    settings: Controls;
    template: Template;
    name: () => string;
    handed: Handed | null;
    /** Where it stands in a page that is not its own: what keeps its state, what folds its fields, who hears of it. */
    apart?: { desk: Desk; fold: (fields: HTMLElement[]) => HTMLElement; onChange: () => unknown; again?: () => unknown };
  }

  /** An instrument of the assistant's page: a question four ways, or a conversation. */
  interface Assistant<Handed> {
    readonly box: HTMLElement;
    start(): unknown;
    /** The template was edited. */
    changed?(): void;
    leave(how?: Leaving): Handed | null;
  }

  /** The edited template, see pages/assistant/template.js. */
  interface Template {
    box: HTMLElement;
    own: boolean;
    given: () => { template?: string; chat_template?: string; system?: string };
    files: (command: string) => string;
    refused: (error: Trouble) => boolean;
  }

  /** The prompt's field, see parts/prompt.js. */
  interface Field {
    box: HTMLElement;
    field: HTMLTextAreaElement;
    troubles: HTMLElement;
    set: (text: string, how?: { focus?: boolean }) => void;
    /** Other examples than before. */
    offer: (examples: string[]) => void;
    readonly text: string;
  }

  /** A text that follows the visitor, see lib/state.js. */
  interface Carried {
    get: () => string;
    /** Whether the visitor has ever typed one, were it to erase it. */
    known: () => boolean;
    /** Whether an address holds it. */
    set: (text: string) => boolean;
  }

  /** Where a chapter's parts keep what they show: the page's address, or a desk of their own. */
  interface Desk {
    /** Whether the whole page is theirs. */
    whole: boolean;
    read: () => Record<string, string>;
    /** Whether an address holds all of it. */
    write: (changes: Record<string, string | number | null | undefined>) => boolean;
    prompt: Carried;
  }

  /** How the curves of the memory page are drawn. */
  interface Scale {
    box: HTMLElement;
    readonly logarithmic: boolean;
    onChange: (listener: () => unknown) => unknown;
  }

  /** One work of a stream. */
  interface Work<Verb extends keyof Api.Verbs = keyof Api.Verbs> {
    tag?: string;
    verb: Verb;
    arguments: Api.Verbs[Verb]["takes"];
    prompt?: boolean;
    view?: boolean;
  }

  /** A response under way. */
  interface Stream {
    name: string;
    stop: (tag?: string) => Promise<unknown>;
    abort: () => void;
    done: Promise<void>;
  }

  /** A stream that outlives a cut. */
  interface Resumable {
    stopping: boolean;
    left: boolean;
    ended?: boolean;
    stop: () => Promise<unknown> | undefined;
    abort: () => void;
    done: Promise<void>;
    over: Promise<boolean>;
  }

  /** The connection is lost: why, and how to try at once. */
  interface Lost {
    error: Trouble;
    again: () => void;
  }

  /** The line beside a button that says what its stream does, see parts/status.js. */
  interface Status {
    box: HTMLElement;
    clear: () => void;
    note: (words: string) => void;
    fail: (error: Trouble, again?: () => unknown) => void;
    refused: (error: Trouble, place: HTMLElement) => boolean;
    wait: (words: string) => void;
    hear: Heard;
    cut: (lost: Lost | null) => void;
  }

  /** Where a work says what it does, see lib/resumable.js. */
  interface Saying {
    says: Status;
    troubles: HTMLElement;
    again?: () => unknown;
    elsewhere?: (error: Trouble) => unknown;
    kinds?: (keyof Events)[];
    words?: string;
  }

  /** A table under a picture: numbers are already written. */
  interface Rows {
    columns: string[];
    rows: (string | number | null | undefined)[][];
    title?: string;
  }

  /** The page to keep: a verb's, as the server makes it, or one that is made here. */
  type Copy = { verb: keyof Api.Verbs; arguments: object; make?: undefined } | { make: () => Promise<string | Blob> };

  /** What can be done with a picture, see parts/frame.js; a function is asked when it is needed. */
  interface Facts {
    caption?: string;
    table?: Lazy<Rows | null>;
    rows?: Lazy<Rows | null>;
    python?: Lazy<string | null>;
    command?: Lazy<string | null>;
    json?: Lazy<unknown>;
    page?: Lazy<Copy | null>;
  }

  type Lazy<Value> = Value | (() => Value);

  /** What a fact is once it is asked for. */
  type Plain<Fact> = Fact extends () => infer Value ? Value : Fact;

  /** The lines of Python and of shell that give what a page shows. */
  interface AsCode {
    python?: Lazy<string | null>;
    command?: Lazy<string | null>;
  }

  /** One piece of <capot-strip>. */
  interface Piece {
    text: string;
    part?: string | null;
    hint?: string;
    tone?: number;
    weight?: number | null;
    kind?: Api.Piece["kind"];
    label?: string;
    bytes?: string | null;
    ends?: boolean;
    sub?: string | null;
    chosen?: boolean;
  }

  /** One row of <capot-bars>. */
  interface Bar {
    label: string;
    value: number;
    text: string;
    marked?: boolean;
    cut?: boolean;
    far?: boolean;
    ghost?: number | null;
    hint?: string;
  }

  /** A labelled point of parts/plane.js. */
  interface Point {
    label: string;
    x: number;
    y: number;
    tone?: number;
    group?: number;
  }

  /** What a page is given by the frame; `handed` is what it gave back itself, when another language was chosen. */
  interface Context<Handed = unknown> {
    model: AtWork | null;
    go: (address: string) => Promise<void>;
    chapterAddress: (chapter: string) => string;
    chapter: string;
    handed: Handed | null;
    /** Aborted when the page is left, be it before it says how. */
    left: AbortSignal;
  }

  /** The default of each module of a page. */
  type Draws = (main: HTMLElement, context: Context) => Promise<Page | void>;

  /** What a verb takes, as `GET /api/chapters/<chapter>` says it. */
  interface Setting {
    name: string;
    kind: "text" | "whole" | "real" | "choice" | "texts" | "numbers" | "data" | "yes";
    default: unknown;
    required: boolean;
    label: string;
    words: string;
    choices: string[];
    minimum?: number;
    maximum?: number;
  }

  type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

  /** A verb of a chapter, as `GET /api/chapters/<chapter>` says it. */
  interface Verb {
    name: keyof Api.Verbs;
    help: string;
    settings: Setting[];
    example: Record<string, unknown>;
  }

  /**
   * What a page gives back at once: how it is left, which, where it comes back at once (`again`), answers what it is to
   * go on with; and what it draws first, which it may be left before.
   */
  interface Page<Handed = unknown> {
    leave?: (how?: Leaving) => Handed | null | void;
    drawn?: Promise<unknown> | null;
  }

  interface Leaving {
    again?: boolean;
  }

  /** Markdown of a lesson: a text, or a tag with its attributes and what stands in it. */
  type MdNode = string | [tag: string, attributes: Record<string, string | number>, children: MdNode[]];

  interface LessonHead {
    [part: string]: string | number;
    number: number;
    title: string;
    goal: string;
    minutes: number;
    questions: number;
  }

  /** `GET /api/lessons`: `course` names what a browser keeps of it. */
  interface CourseContents {
    course: string;
    lessons: LessonHead[];
  }

  /** One instrument: `chapter` has a page of its own to open it in, `of` is the chapter of the verb. */
  interface LessonCall {
    verb: keyof Api.Verbs;
    arguments: Record<string, unknown>;
    of: string;
    chapter: string;
  }

  interface QuestionPart {
    part: "question";
    place: number;
    kind: "choice" | "number" | "token" | "curve" | "words";
    ask: MdNode[];
    choices: MdNode[][];
    unit: string;
    unit_one: string;
    /** The longest token, the greatest number that can be sealed; 0: no bound. */
    most: number;
    /** The least and the greatest number of this question; null: no bound. */
    least: number | null;
    greatest: number | null;
    points: number[];
    seen: MdNode[] | null;
    seen_unit: string;
    seen_unit_one: string;
    seen_most: number;
    tolerance: number;
    /** Whether the run says the same on every processor. */
    exact: boolean;
    share: number;
    why: MdNode[];
    calls: LessonCall[];
  }

  interface ChangePart {
    part: "change";
    ask: MdNode[];
    calls: LessonCall[];
    vary: string;
  }

  type LessonPart =
    | { part: "prose"; nodes: MdNode[] }
    | { part: "figure"; calls: LessonCall[] }
    | QuestionPart
    | ChangePart;

  /** `GET /api/lessons/<number>`. */
  interface Lesson {
    number: number;
    title: string;
    goal: string;
    minutes: number;
    chapters: string[];
    parts: LessonPart[];
  }

  /** What a learner commits to: a choice from 1, a number, a text, the points of a curve. */
  type Predicted = number | string | number[];

  /** `POST /api/lessons/<number>/<place>`: a prediction and what was read, held against the run. */
  interface Judgement {
    came_true: boolean | null;
    right: string;
    points: number[];
    expected: boolean;
    seen: boolean | null;
    /** Whether what was typed could not be read. */
    unread: boolean;
    hints: MdNode[][];
    answer: MdNode[];
  }

  /** What a browser keeps of a question, or of a change. */
  interface CourseAnswer {
    draft?: unknown;
    predicted?: Predicted;
    sealed?: string;
    seen?: string;
    seenRight?: boolean | null;
    why?: string;
    after?: string;
    hints?: number;
    shown?: boolean;
    came?: boolean | null;
    right?: string;
    points?: number[];
    answer?: MdNode[];
  }

  /** A picture of a report, with what makes it again. */
  interface Pin {
    id: string;
    title: string;
    verb: string;
    arguments: Record<string, unknown>;
    model: string;
    made: string;
    lang?: Language;
    view: Api.Block[];
  }

  interface Strip extends HTMLElement {
    pieces: Piece[];
    push(piece: Piece): void;
  }

  interface Bars extends HTMLElement {
    rows: Bar[];
  }

  interface Figure extends HTMLElement {
    spec: Record<"light" | "dark", Api.Figure>;
    keep(name: string, format: "svg" | "png"): Promise<unknown>;
  }

  interface Slider extends HTMLElement {
    value: number;
  }

  interface Font {
    size: number;
    family: string;
    color: string;
  }

  /** A trace of a Plotly figure, as far as the pages look into it. */
  interface Trace {
    [more: string]: unknown;
    type: string;
    mode?: string;
    name?: string;
    x: (number | null)[];
    y: (number | null)[];
    text?: string[];
    textfont?: Font;
    hovertext?: string[];
    fill?: string;
    fillcolor?: string;
    line?: { color?: string; width?: number; dash?: string };
  }

  /** A word beside a point, and an arrow to it where there is one. */
  interface Annotation {
    [more: string]: unknown;
    text?: string;
    showarrow?: boolean;
  }

  /** What stands around the traces. */
  interface Layout {
    [more: string]: unknown;
    xaxis?: object;
    yaxis?: object;
    annotations?: Annotation[];
  }

  /** A figure of a page that is kept, see view/figure.js: bars have ticks, a figure in space has a scene. */
  interface Spec {
    data: Trace[];
    layout: Layout & {
      xaxis: { range: number[] };
      yaxis: { ticktext: string[] };
      scene?: { camera: { eye: Record<"x" | "y" | "z", number> } };
    };
  }

  /** An axis that Plotly has drawn: where it lies in pixels, and where a value lies on it. */
  interface DrawnAxis {
    _offset: number;
    _length: number;
    l2p(value: number): number;
  }

  /** An element that Plotly has drawn in. */
  interface Plotted extends HTMLElement {
    layout: Layout;
    _fullLayout: { width: number; xaxis: DrawnAxis; yaxis: DrawnAxis };
  }

  /** What the lab uses of Plotly. */
  interface Plotly {
    register(module: object): void;
    react(place: HTMLElement, data: object[], layout: object, config: object): Promise<unknown>;
    relayout(place: HTMLElement, changes: object): Promise<unknown>;
    purge(place: HTMLElement): void;
    downloadImage(place: HTMLElement | undefined, how: object): Promise<unknown>;
    toImage(figure: object, how: object): Promise<string>;
  }
}

interface HTMLElementTagNameMap {
  "capot-strip": Lab.Strip;
  "capot-bars": Lab.Bars;
  "capot-figure": Lab.Figure;
  "capot-slider": Lab.Slider;
}

interface DocumentEventMap {
  "capot-model": CustomEvent<Lab.AtWork>;
  "capot-view": CustomEvent<File>;
  "capot-disobeyed": CustomEvent<string[]>;
}

/** Plotly's script is read when the first figure is drawn, see parts/figure.js. */
declare var Plotly: Lab.Plotly;
