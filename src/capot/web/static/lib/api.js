// Speaking to the server: one call, one answer; or several generations on one event stream.

import { lang } from "./words.js";
import { unique } from "./dom.js";
import { root } from "./place.js";
import { forget, learn } from "./tokens.js";

/** An error with the server's code and its words; `code` is "unreachable" where no server answered. */
export class LabError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {string | null} [field]
   */
  constructor(code, message, field) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

/** Who looks at the page: the owner of the server has a terminal on its machine, a learner has not. */
export const visitor = { owner: false };

const SILENCE = 30_000; // ms
const [PATIENCE, LOOK] = [500, 1000]; // ms before an answer's place in the queue is looked up, and between two looks

const headers = () => ({ "content-type": "application/json", "x-capot-lang": lang() });

/**
 * What a call may say besides: what ends it, and who hears of its place in the queue.
 * @typedef {{ signal?: AbortSignal, queued?: (place: Lab.Place) => unknown }} Options
 */

/** @typedef {{ tag: string, body: unknown }} Tagged an event of a stream, and whose it is */

/**
 * @param {string} path
 * @param {Options & { body?: unknown, accept?: string }} [options]
 */
async function send(path, { body, signal, accept, queued } = {}) {
  const name = unique("call");
  const looking = queued && look(name, queued, signal);
  /** @type {Response} */
  let answer;
  try {
    const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const sent = { ...headers(), ...(accept ? { accept } : {}), ...(queued ? { "x-capot-call": name } : {}) };
    answer = await fetch(root + path, { ...options, headers: sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new LabError("unreachable", "");
  } finally {
    looking?.end();
  }
  noticed(answer.headers.get("x-capot-opening"));
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** @type {string | null} */
let opening = null;

/**
 * Each answer names the opening of the model at work: where it is another than before, the page must hear of it.
 * @param {string | null} name
 */
function noticed(name) {
  if (!name) return; // refused at the door
  const changed = opening !== null && name !== opening;
  opening = name;
  if (changed) forget();
  if (changed) document.dispatchEvent(new CustomEvent("capot-opening"));
}

/**
 * Tell `queued` the place of the call `name` in the queue, until `end`.
 * @param {string} name
 * @param {(place: Lab.Place) => unknown} queued
 * @param {AbortSignal} [signal] the call's own: nobody hears where a call that is stopped stood
 */
function look(name, queued, signal) {
  /** @type {number | undefined} */
  let timer = setTimeout(again, PATIENCE);
  return { end: () => { clearTimeout(timer); timer = undefined; } };

  async function again() {
    try {
      const place = await get(`/api/place?call=${name}`, { signal });
      if (timer !== undefined) queued(/** @type {Lab.Place} */ (place));
    } catch {
      // the call itself will say what is wrong
    }
    if (timer !== undefined) timer = setTimeout(again, LOOK);
  }
}

/** Whether the server answers at all. */
export const reached = () => fetch(`${root}/static/early.js`, { cache: "no-store" }).then(() => true, () => false);

/** @param {Response} answer */
async function refusal(answer) {
  try {
    const { error } = await answer.json();
    return new LabError(error.code, error.message, error.field);
  } catch {
    return new LabError("unreachable", "");
  }
}

/**
 * GET a path of the API and return its result.
 * @template {string} Path
 * @param {Path} path
 * @param {Options} [options]
 * @returns {Promise<Path extends keyof Lab.Paths ? Lab.Paths[Path] : unknown>}
 */
export async function get(path, options = {}) {
  return (await (await send(path, options)).json()).result;
}

/**
 * POST a verb and return its result. While it is waited for, `queued` hears where it stands: { position } in the
 * queue of all, { turn } among the visitor's own answers, of which { at_once } are worked on at a time; both 0 once
 * it is at work.
 * @template {keyof Api.Verbs} Verb
 * @param {Verb} verb
 * @param {Api.Verbs[Verb]["takes"]} body
 * @param {Options} [options]
 * @returns {Promise<Api.Verbs[Verb]["answers"]>}
 */
export async function call(verb, body, options = {}) {
  return (await told(`/api/${verb}`, { ...options, body })).result;
}

/**
 * As `call`, with the blocks that draw the answer.
 * @template {keyof Api.Verbs} Verb
 * @param {Verb} verb
 * @param {Api.Verbs[Verb]["takes"]} body
 * @param {Options} [options]
 * @returns {Promise<{ result: Api.Verbs[Verb]["answers"], view: Api.Block[] }>}
 */
export async function callDrawn(verb, body, options = {}) {
  return told(`/api/${verb}?view=1`, { ...options, body });
}

/**
 * The body of an answer, once it is heard how its tokens are written.
 * @param {string} path
 * @param {Options & { body: unknown }} options
 */
async function told(path, options) {
  const body = await (await send(path, options)).json();
  learn(body.labels ?? {});
  return body;
}

/**
 * POST a path and return the raw answer: float32 logits, a page to keep.
 * @param {string} path
 * @param {object} body
 * @param {Options} [options]
 */
export async function raw(path, body, options = {}) {
  return send(path, { ...options, body });
}

/**
 * Start several generations on one response. `parts` is [{ tag, verb, arguments }]; `on(kind, body, tag)` hears
 * queued, started, step, finished and error. Returns { name, stop(tag?), done } ; `done` settles when all have ended,
 * and rejects with LabError "cut" where the connection broke before that.
 * @template {keyof Api.Verbs} Verb
 * @param {Lab.Work<Verb>[]} parts
 * @param {Lab.Heard<Verb>} on
 */
export function stream(parts, on) {
  const name = unique("page");
  return listen(
    "/api/stream",
    { name, streams: parts },
    { name, tags: parts.map((part) => part.tag ?? part.verb), on },
  );
}

/**
 * Open another model: the owner's own. `on(kind, body)` hears progress, notice, finished and error.
 * @param {{ model: string, engine: string | null }} body
 * @param {Lab.Heard} on
 */
export function openModel(body, on) {
  return listen("/api/open", body, { name: "open", tags: ["open"], on });
}

/**
 * @template {keyof Api.Verbs} Verb
 * @param {string} path
 * @param {object} body
 * @param {{ name: string, tags: string[], on: Lab.Heard<Verb> }} how
 * @returns {Lab.Stream}
 */
function listen(path, body, { name, tags, on }) {
  const control = new AbortController();
  const open = new Set(tags);
  /** @type {(kind: keyof Lab.Events, event: Tagged) => void} */
  const onEvent = (kind, { body, tag }) => {
    if (kind === "finished" || kind === "error") open.delete(tag);
    on(.../** @type {Lab.Event<Verb>} */ ([kind, body, tag]));
  };
  let waited = false; // for the visitor's own answers, before anything is begun
  const queued = (/** @type {Lab.Place} */ place) => {
    if (place.turn || waited) on("queued", place, tags[0]);
    waited = Boolean(place.turn);
  };
  const run = async () => {
    const answer = await send(path, { body, signal: control.signal, accept: "text/event-stream", queued });
    try {
      await read(/** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader(), onEvent);
    } catch (error) {
      if (error.name === "AbortError") return;
      throw new LabError("cut", "");
    }
    if (open.size) throw new LabError("cut", "");
  };
  const stop = (/** @type {string | undefined} */ tag) => {
    if (tag === undefined && !open.size) return Promise.resolve();
    return raw("/api/stop", { name, tag: tag ?? null }).catch(() => control.abort());
  };
  return { name, stop, abort: () => control.abort(), done: run() };
}

/**
 * The next bytes; the server says something every ten seconds, so a long silence is a dead connection.
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @returns {Promise<ReadableStreamReadResult<Uint8Array>>}
 */
function bytes(reader) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => { reader.cancel().catch(() => {}); reject(new LabError("cut", "")); }, SILENCE);
    reader.read().then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * Read server-sent events through a buffer: an event may be cut anywhere, even inside a character.
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @param {(kind: keyof Lab.Events, event: Tagged) => void} onEvent
 */
async function read(reader, onEvent) {
  const decoder = new TextDecoder();
  let buffer = "";
  for (;;) {
    const { value, done } = await bytes(reader);
    buffer += decoder.decode(value, { stream: !done });
    const events = buffer.split("\n\n");
    buffer = events.pop() ?? "";
    for (const event of events) {
      const kind = /^event: (.*)$/m.exec(event)?.[1];
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (kind && data) onEvent(/** @type {keyof Lab.Events} */ (kind), JSON.parse(data));
    }
    if (done) return;
  }
}
