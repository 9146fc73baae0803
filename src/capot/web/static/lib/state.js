// What a page shows, kept in the fragment of its address: never sent, never logged, restored by a link.

const LIMIT = 8000; // characters of a fragment that every browser and mail program carries

/** The state as an object of strings. */
export function read() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/** Change some of the state; empty values leave it. Writes no history entry unless asked. */
export function write(changes, { push = false } = {}) {
  const params = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === "") params.delete(name);
    else params.set(name, String(value));
  }
  const text = params.toString();
  const address = location.pathname + (text ? `#${text}` : "");
  if (text.length <= LIMIT) history[push ? "pushState" : "replaceState"](null, "", address);
  document.dispatchEvent(new CustomEvent("capot-state"));
  return text.length <= LIMIT;
}

/** The prompt that follows the visitor from page to page, even where it is too long for an address. */
export const prompt = {
  get: () => read().prompt ?? sessionStorage.getItem("capot-prompt") ?? "",
  set(text) {
    sessionStorage.setItem("capot-prompt", text.length < 1_000_000 ? text : "");
    return write({ prompt: text });
  },
};

/** A state as a file, for what no address can hold; `restore` reads it back. */
export function asFile() {
  const state = { ...read(), prompt: prompt.get() };
  return new Blob([JSON.stringify({ capot: 1, path: location.pathname, state }, null, 1)], { type: "application/json" });
}

export async function restore(file) {
  const saved = JSON.parse(await file.text());
  if (saved.capot !== 1 || typeof saved.state !== "object" || !/^\/[a-z]*$/.test(saved.path)) throw new Error("not a state");
  sessionStorage.setItem("capot-prompt", String(saved.state.prompt ?? ""));
  const params = new URLSearchParams(saved.state);
  if (params.toString().length > LIMIT) params.delete("prompt");
  return `${saved.path}#${params}`;
}
