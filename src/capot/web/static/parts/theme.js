// Light or dark, as the visitor has chosen, else as the system is. Who draws colours hears "capot-theme".

const DARK = matchMedia("(prefers-color-scheme: dark)");
const KEY = "capot-theme";

/** Whether the page is dark: as chosen, else as the visitor's system is. */
export const isDark = () => (document.documentElement.dataset.theme ?? (DARK.matches ? "dark" : "light")) === "dark";

const announce = () => document.dispatchEvent(new CustomEvent("capot-theme"));
DARK.addEventListener("change", announce);

/** From light to dark, or back: for good. */
export function turn() {
  const theme = isDark() ? "light" : "dark";
  localStorage.setItem(KEY, theme);
  document.documentElement.dataset.theme = theme;
  announce();
}
