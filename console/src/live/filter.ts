/** What the fleet's table shows: kept while other pages are looked at, and set from them. */
import { computed, signal } from "@preact/signals";
import { parse } from "../lib/search";

export type Shown = "all" | "online" | "offline" | "revoked";

export const query = signal("");
export const shown = signal<Shown>("all");

const asked = computed(() => new Set(parse(query.value).labels.map(([name, value]) => `${name}=${value}`)));

export function isAsked(name: string, value: string): boolean {
  return asked.value.has(wordOf(name, value));
}

/** Ask for a label too, or no longer. */
export function toggle(name: string, value: string): void {
  const word = wordOf(name, value);
  const words = query.value.split(/\s+/).filter(Boolean);
  const others = words.filter((each) => each.toLowerCase() !== word);
  query.value = (others.length < words.length ? others : [...words, word]).join(" ");
}

/** Show those that have a label, and nothing else asked. */
export function only(name: string, value: string): void {
  query.value = wordOf(name, value);
  shown.value = "all";
}

export function reset(): void {
  query.value = "";
  shown.value = "all";
}

/** A word of the search has no spaces in it; a value is found by its beginning. */
function wordOf(name: string, value: string): string {
  return `${name}=${value.split(/\s/)[0]}`.toLowerCase();
}
