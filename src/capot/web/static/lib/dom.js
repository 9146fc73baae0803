// The few helpers every page is built with. Text reaches the page as text, never as markup.

/**
 * An element: `h("p", { class: "quiet", onclick }, "text", child, [more])`. Empty children are left out.
 * @template {string} Tag
 * @param {Tag} tag
 * @param {Lab.Props} [props]
 * @param {...Lab.Child} children
 * @returns {Lab.Made<Tag>}
 */
export function h(tag, props = {}, ...children) {
  const node = tag.includes(":svg")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.replace(":svg", ""))
    : document.createElement(tag);
  set(node, props);
  node.append(...flat(children));
  return /** @type {Lab.Made<Tag>} */ (node);
}

/**
 * A field under its label; what else belongs to it follows.
 * @param {Lab.Control} control
 * @param {Lab.Child} words
 * @param {...Lab.Child} others
 */
export function labelled(control, words, ...others) {
  return h("div", { class: "field" }, h("label", { for: control.id }, words), control, others);
}

/**
 * Set attributes, properties, listeners (`onclick`), `dataset` and `style` (custom properties included).
 * @template {Element} Node
 * @param {Node} node
 * @param {Lab.Props} props
 */
export function set(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) {
      if (value === false) node.removeAttribute(name);
    } else if (name.startsWith("on") && typeof value === "function") {
      node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (name === "dataset") {
      Object.assign(/** @type {HTMLElement} */ (/** @type {Element} */ (node)).dataset, value);
    } else if (name === "style") {
      const { style } = /** @type {HTMLElement} */ (/** @type {Element} */ (node));
      for (const [key, part] of Object.entries(value)) style.setProperty(key, part);
    } else if (name === "value" || name === "checked" || typeof value === "object") {
      Object.assign(node, { [name]: value }); // a field's content, or what a custom element draws
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  return node;
}

/**
 * @param {Lab.Child[]} children
 * @returns {(string | Node)[]}
 */
function flat(children) {
  return children.flatMap((child) => {
    if (Array.isArray(child)) return flat(child);
    if (child === null || child === undefined || child === false) return [];
    return [typeof child === "number" ? String(child) : child];
  });
}

/**
 * Replace what an element holds.
 * @template {Element} Node
 * @param {Node} node
 * @param {...Lab.Child} children
 */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

/**
 * A function that runs once, `ms` after the last call.
 * @template {unknown[]} Args
 * @param {number} ms
 * @param {(...args: Args) => unknown} action
 * @returns {(...args: Args) => void}
 */
export function later(ms, action) {
  /** @type {number | undefined} */
  let timer;
  let due = () => {};
  return (...args) => {
    clearTimeout(timer);
    waiting.delete(due);
    due = () => {
      clearTimeout(timer);
      waiting.delete(due);
      action(...args);
    };
    waiting.add(due);
    timer = setTimeout(due, ms);
  };
}

/** @type {Set<() => void>} */
const waiting = new Set(); // what `later` has put off

/** Do now what was put off: once a page is left, its actions would write into the address of another. */
export function hurry() {
  for (const due of [...waiting]) due();
}

/**
 * At most one call a frame, with the last arguments.
 * @template {unknown[]} Args
 * @param {(...args: Args) => unknown} action
 * @returns {(...args: Args) => void}
 */
export function framed(action) {
  /** @type {Args | null} */
  let waiting = null;
  return (...args) => {
    if (waiting === null) requestAnimationFrame(() => {
      const last = /** @type {Args} */ (/** @type {unknown} */ (waiting));
      waiting = null;
      action(...last);
    });
    waiting = args;
  };
}

/** A name no other element has: plain-HTTP pages of a local network have no crypto.randomUUID. */
export function unique(prefix = "x") {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `${prefix}-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Spaces and line ends made visible.
 * @param {string} text
 */
export function visible(text) {
  return text
    .replaceAll(" ", "·")
    .replaceAll("\n", "⏎")
    .replaceAll("\t", "⇥")
    .replaceAll("\u00a0", "⍽")
    .replaceAll("\u202f", "⍽");
}
