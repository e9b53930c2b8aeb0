/** Every backend, kept current: by events where the server has them, else by asking again. */
import { signal } from "@preact/signals";
import { getBackend, listBackends } from "../api/backends";
import { ApiError } from "../api/http";
import type { Backend } from "../api/types";
import { asApiError } from "../lib/load";
import * as events from "./events";

export const backends = signal<Backend[]>([]);
/** Whether all were loaded at least once. */
export const isLoaded = signal(false);
export const error = signal<ApiError | undefined>(undefined);

/** More changes than this at once are cheaper as one list. */
const MANY = 50;

let byId = new Map<string, Backend>();
let isLoading = false;
let timer = 0;
let showing = 0;
let unlisten = (): void => undefined;
const changed = new Set<string>();

export function begin(): void {
  unlisten();
  unlisten = events.listen((event) => {
    if (event.kind === events.RESET) return void reload();
    if (!event.backend_id || !event.kind.startsWith("backend")) return;
    changed.add(event.backend_id);
    if (changed.size === 1) setTimeout(catchUp, 150);
  });
  void reload();
}

export function end(): void {
  unlisten();
  clearTimeout(timer);
  clearTimeout(showing);
  showing = 0;
  byId = new Map();
  backends.value = [];
  isLoaded.value = false;
}

export async function reload(): Promise<void> {
  if (isLoading) return;
  isLoading = true;
  clearTimeout(timer);
  try {
    await loadAll();
    isLoaded.value = true;
    error.value = undefined;
  } catch (found) {
    error.value = asApiError(found);
  } finally {
    isLoading = false;
    timer = window.setTimeout(again, pause());
  }
}

function again(): void {
  if (error.value?.status === 401) return;
  if (document.hidden) timer = window.setTimeout(again, 1000);
  else void reload();
}

function pause(): number {
  if (events.state.value === "open") return 60_000;
  return Math.min(30_000, Math.max(2000, byId.size * 10));
}

async function loadAll(): Promise<void> {
  const found = new Map<string, Backend>();
  let after: string | undefined;
  do {
    const page = await listBackends(after);
    for (const backend of page.items) found.set(backend.id, withCurve(backend));
    after = page.next ?? undefined;
    // The first time, what there is is shown while the rest still comes.
    if (!isLoaded.value) show(found);
  } while (after);
  show(found);
}

/** The list tells no curves, which would make it several times as long; those that are known stay. */
function withCurve(backend: Backend): Backend {
  const recent = byId.get(backend.id)?.load?.recent;
  return backend.load && recent ? { ...backend, load: { ...backend.load, recent } } : backend;
}

async function catchUp(): Promise<void> {
  const ids = [...changed];
  changed.clear();
  if (ids.length > MANY) return reload();
  await Promise.all(ids.map(one));
  show(byId);
}

async function one(id: string): Promise<void> {
  try {
    byId.set(id, await getBackend(id));
  } catch (found) {
    if (found instanceof ApiError && found.status === 404) byId.delete(id);
  }
}

function show(found: Map<string, Backend>): void {
  byId = found;
  backends.value = [...found.values()];
}

/** Put in what another request told of a backend. Many such are shown together: each costs a new order of the table. */
export function put(backend: Backend): void {
  byId.set(backend.id, backend);
  showing ||= window.setTimeout(() => {
    showing = 0;
    show(byId);
  }, 200);
}

export function find(id: string): Backend | undefined {
  return byId.get(id);
}

export function nameOf(id: string): string {
  return backends.value && (byId.get(id)?.name ?? id);
}
