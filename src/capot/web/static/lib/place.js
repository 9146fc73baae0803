// Where the lab is on its host: at the top, or under a path that a proxy gives it. This file's own address says which.

/** What comes before every path of the lab; empty at the top. */
export const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/**
 * The lab's own path of an address of this page's host.
 * @param {string} path
 */
export const inside = (path) =>
  root && (path === root || path.startsWith(`${root}/`)) ? path.slice(root.length) || "/" : path;
