// "In Python" and "on the command line": lines that give exactly what the page shows.

/** @type {(value: unknown) => string} */
const python = (value) => {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  return typeof value === "string" ? pythonText(value) : String(value);
};

/** @param {string} text */
function pythonText(text) {
  const escaped = JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return escaped;
}

/**
 * A Python program for one verb: positional arguments, then keywords; `sampling` becomes a Sampling.
 * @param {string} model
 * @param {string} verb
 * @param {unknown[]} args
 * @param {Record<string, unknown>} [options]
 * @param {Record<string, unknown>} [sampling]
 */
export function inPython(model, verb, args, options = {}, sampling = {}) {
  const words = [...args.map(python), ...Object.entries(options).map(([name, value]) => `${name}=${python(value)}`)];
  const chosen = Object.entries(sampling).map(([name, value]) => `${name}=${python(value)}`);
  if (chosen.length) words.push(`sampling=capot.Sampling(${chosen.join(", ")})`);
  const source = model === "boxed" ? "" : pythonText(model);
  return `import capot\n\nmodel = capot.open(${source})\nprint(model.${verb}(${words.join(", ")}))`;
}

/**
 * One argument, safe for a POSIX shell.
 * @param {string} text
 */
export function quoted(text) {
  return /^[\w./:=@%+,-]+$/.test(text) && !text.startsWith("@") && text !== "-"
    ? text
    : `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * Settings as options of the command line: `top_k` is --top-k there.
 * @param {Record<string, unknown>} settings
 */
export function asFlags(settings) {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [`--${name.replaceAll("_", "-")}`, value]));
}

/**
 * The command for one verb; true is a bare option, lists are given by repeating or joined by the caller.
 * @param {string} model
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, unknown>} [options]
 */
export function onCommandLine(model, command, args, options = {}) {
  const words = ["capot", command, ...args.map((text) => quoted(text.startsWith("@") ? `@${text}` : text))];
  for (const [name, value] of Object.entries(options)) {
    if (value === true) words.push(name);
    else if (value !== undefined && value !== null && value !== false) words.push(name, quoted(String(value)));
  }
  if (model !== "boxed") words.push("--model", quoted(model));
  return words.join(" ");
}
