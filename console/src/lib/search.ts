/** Which backends a search finds. Pure functions. */
import type { Backend, Labels } from "../api/types";

export interface Query {
  words: string[];
  labels: [string, string][];
}

/** `web site=north`: words that all have to occur, and labels that all have to be there. */
export function parse(text: string): Query {
  const query: Query = { words: [], labels: [] };
  for (const word of text.toLowerCase().split(/\s+/).filter(Boolean)) {
    const equals = word.indexOf("=");
    if (equals > 0) query.labels.push([word.slice(0, equals), word.slice(equals + 1)]);
    else query.words.push(word);
  }
  return query;
}

export function matches(query: Query, backend: Backend): boolean {
  const labels = Object.entries(labelsOf(backend));
  for (const [name, value] of query.labels) {
    if (!labels.some(([key, held]) => key.toLowerCase() === name && held.toLowerCase().startsWith(value))) return false;
  }
  if (!query.words.length) return true;
  const facts = backend.facts;
  const text = [backend.name, backend.id, backend.address, facts?.hostname, facts?.os, facts?.arch, ...labels.flat()]
    .join("\n")
    .toLowerCase();
  return query.words.every((word) => text.includes(word));
}

export function labelsOf(backend: Backend): Labels {
  return backend.labels ?? backend.facts?.labels ?? {};
}

export type State = "online" | "offline" | "revoked";

export function stateOf(backend: Backend): State {
  if (backend.revoked_at != null) return "revoked";
  return backend.connected ? "online" : "offline";
}
