// Speaking to the server: one call, one answer; or several generations on one event stream.

import { lang } from "./words.js";
import { unique } from "./dom.js";
import { root } from "./place.js";

/** An error with the server's code and its words; `code` is "unreachable" where no server answered. */
export class LabError extends Error {
  constructor(code, message, field) {
    super(message);
    [this.code, this.field] = [code, field];
  }
}

/** Who looks at the page: the owner of the server has a terminal on its machine, a learner has not. */
export const visitor = { owner: false };

const SILENCE = 30_000; // ms
const [PATIENCE, LOOK] = [500, 1000]; // ms before an answer's place in the queue is looked up, and between two looks

const headers = () => ({ "content-type": "application/json", "x-capot-lang": lang() });

async function send(path, { body, signal, accept, queued } = {}) {
  const name = queued && unique("call");
  const looking = queued && look(name, queued);
  let answer;
  try {
    const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    answer = await fetch(root + path, { ...options, headers: { ...headers(), ...(accept ? { accept } : {}), ...(name ? { "x-capot-call": name } : {}) }, signal });
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

let opening = null;

/** Each answer names the opening of the model at work: where it is another than before, the page must hear of it. */
function noticed(name) {
  if (!name) return; // refused at the door
  const changed = opening !== null && name !== opening;
  opening = name;
  if (changed) document.dispatchEvent(new CustomEvent("capot-opening"));
}

/** Tell `queued` the place of the call `name` in the queue, until `end`. */
function look(name, queued) {
  let timer = setTimeout(again, PATIENCE);
  return { end: () => { clearTimeout(timer); timer = null; } };

  async function again() {
    try {
      const place = await get(`/api/place?call=${name}`);
      if (timer !== null) queued(place);
    } catch {
      // the call itself will say what is wrong
    }
    if (timer !== null) timer = setTimeout(again, LOOK);
  }
}

/** Whether the server answers at all. */
export const reached = () => fetch(`${root}/static/early.js`, { cache: "no-store" }).then(() => true, () => false);

async function refusal(answer) {
  try {
    const { error } = await answer.json();
    return new LabError(error.code, error.message, error.field);
  } catch {
    return new LabError("unreachable", "");
  }
}

/** GET a path of the API and return its result. */
export async function get(path, options = {}) {
  return (await (await send(path, options)).json()).result;
}

/**
 * POST a verb and return its result; `whole` returns the body, which holds `view` where the query asks for it. While it is
 * waited for, `queued` hears where it stands: { position } in the queue of all, { turn } among the visitor's own answers, of
 * which { at_once } are worked on at a time; both 0 once it is at work.
 */
export async function call(verb, body, { query = "", whole = false, ...options } = {}) {
  const answer = await (await send(`/api/${verb}${query}`, { ...options, body })).json();
  return whole ? answer : answer.result;
}

/** POST a path and return the raw answer: float32 logits, a page to keep. */
export async function raw(path, body, options = {}) {
  return send(path, { ...options, body });
}

/**
 * Start several generations on one response. `parts` is [{ tag, verb, arguments }]; `on(kind, body, tag)` hears
 * queued, started, step, finished and error. Returns { name, stop(tag?), done } ; `done` settles when all have ended,
 * and rejects with LabError "cut" where the connection broke before that.
 */
export function stream(parts, on) {
  const name = unique("page");
  return listen("/api/stream", { name, streams: parts }, { name, tags: parts.map((part) => part.tag), on });
}

/** Open another model: the owner's own. `on(kind, body)` hears progress, notice, finished and error. */
export function openModel(body, on) {
  return listen("/api/open", body, { name: "open", tags: ["open"], on });
}

function listen(path, body, { name, tags, on }) {
  const control = new AbortController();
  const open = new Set(tags);
  const heard = (kind, told) => {
    if (kind === "finished" || kind === "error") open.delete(told.tag);
    on(kind, told.body, told.tag);
  };
  let waited = false; // for the visitor's own answers, before anything is begun
  const queued = (place) => {
    if (place.turn || waited) on("queued", place, tags[0]);
    waited = place.turn > 0;
  };
  const run = async () => {
    const answer = await send(path, { body, signal: control.signal, accept: "text/event-stream", queued });
    try {
      await read(answer.body.getReader(), heard);
    } catch (error) {
      if (error.name === "AbortError") return;
      throw new LabError("cut", "");
    }
    if (open.size) throw new LabError("cut", "");
  };
  const stop = (tag) => {
    if (tag === undefined && !open.size) return Promise.resolve();
    return raw("/api/stop", { name, tag: tag ?? null }).catch(() => control.abort());
  };
  return { name, stop, abort: () => control.abort(), done: run() };
}

/** The next bytes; the server says something every ten seconds, so a long silence is a dead connection. */
function bytes(reader) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => { reader.cancel().catch(() => {}); reject(new LabError("cut", "")); }, SILENCE);
    reader.read().then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Read server-sent events through a buffer: an event may be cut anywhere, even inside a character. */
async function read(reader, heard) {
  const decoder = new TextDecoder();
  let buffer = "";
  for (;;) {
    const { value, done } = await bytes(reader);
    buffer += decoder.decode(value, { stream: !done });
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) {
      const kind = /^event: (.*)$/m.exec(event)?.[1];
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (kind && data) heard(kind, JSON.parse(data));
    }
    if (done) return;
  }
}
