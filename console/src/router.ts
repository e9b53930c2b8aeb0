/** Which page the address names. Links are plain links; this keeps the browser from loading the page anew. */
import { signal } from "@preact/signals";

export const path = signal(location.pathname);

export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  arrive();
  window.scrollTo(0, 0);
}

export function start(): void {
  addEventListener("popstate", arrive);
  addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
      return;
    const link = (event.target as Element).closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/") || link.pathname.startsWith("/assets/")) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

function arrive(): void {
  path.value = location.pathname;
}

/** "/backends/a/runs" -> ["backends", "a", "runs"]. */
export function parts(of: string): string[] {
  return of.split("/").filter(Boolean).map(decodeURIComponent);
}
