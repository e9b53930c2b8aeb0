/** Dark or light: as the system has it, unless the person chose. */
import { signal } from "@preact/signals";

export type Theme = "system" | "dark" | "light";

const KEY = "quix-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme {
  const found = localStorage.getItem(KEY);
  return found === "dark" || found === "light" ? found : "system";
}

export const theme = signal<Theme>(stored());
/** What is shown now; plots are drawn anew when it changes. */
export const isDark = signal(true);

export function choose(next: Theme): void {
  theme.value = next;
  if (next === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  apply();
}

export function apply(): void {
  isDark.value = theme.value === "system" ? dark.matches : theme.value === "dark";
  document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
}

dark.addEventListener("change", apply);
