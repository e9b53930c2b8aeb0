/** The load of the backends that are in sight: measured every few seconds, for the small curves of the fleet. */
import { signal } from "@preact/signals";
import { getBackend, measure } from "../api/backends";
import type { Backend, TeleData } from "../api/types";
import { find, put } from "./fleet";

/** Shares from 0 to 1, the newest last. */
export interface Load {
  cpu: (number | null)[];
  memory: number | undefined;
}

const KEPT = 40;
const EVERY = 5000;
const AT_ONCE = 3;

export const loads = signal<ReadonlyMap<string, Load>>(new Map());

const held = new Map<string, Load>();
/** Whom a round has looked at; who is not among them is looked at without waiting for the next round. */
const looked = new Set<string>();
let wanted: string[] = [];
let timer = 0;
let isLooking = false;

/** Say which backends are in sight, until `end`. */
export function watch(ids: string[]): void {
  wanted = ids;
  if (!isLooking && (!timer || ids.some((id) => !looked.has(id)))) soon(200);
}

export function end(): void {
  clearTimeout(timer);
  timer = 0;
  wanted = [];
}

function soon(pause: number): void {
  clearTimeout(timer);
  timer = window.setTimeout(round, pause);
}

/** One at a time: what comes into sight meanwhile has the next one. */
async function round(): Promise<void> {
  isLooking = true;
  timer = 0;
  const waiting = document.hidden ? [] : [...wanted];
  const work = async (): Promise<void> => {
    for (let id = waiting.shift(); id; id = waiting.shift()) {
      looked.add(id);
      await look(id);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  isLooking = false;
  loads.value = new Map(held);
  if (wanted.length) soon(!document.hidden && wanted.some((id) => !looked.has(id)) ? 200 : EVERY);
}

async function look(id: string): Promise<void> {
  try {
    // A server that keeps telemetry knows what was before this page was opened, and asks no machine for it.
    if (find(id)?.load === undefined) note(id, await measure(id, "ttl_cpu_usage,ttl_mem_usage"));
    else put(await getBackend(id));
  } catch {
    // It went away, or does not measure: its curve stays where it is, and its dot says whether it is there.
  }
}

function note(id: string, data: TeleData): void {
  const cpu = cpuShare(data);
  const before = held.get(id)?.cpu ?? [];
  held.set(id, { cpu: cpu === undefined ? before : [...before, cpu].slice(-KEPT), memory: memoryShare(data) });
}

export function cpuShare(data: TeleData): number | undefined {
  const cores = data.ttl_cpu_usage;
  return cores?.length ? cores.reduce((sum, core) => sum + core, 0) / cores.length : undefined;
}

export function memoryShare(data: TeleData): number | undefined {
  const [used = 0, cache = 0, free = 0] = data.ttl_mem_usage ?? [];
  const whole = used + cache + free;
  return whole ? used / whole : undefined;
}

/** What is known of a backend's load: the server's own record where it keeps one. */
export function loadOf(backend: Backend, measured: ReadonlyMap<string, Load>): Load | undefined {
  const kept = backend.load;
  if (!kept) return measured.get(backend.id);
  return { cpu: kept.recent?.cpu ?? [kept.cpu], memory: kept.memory ?? undefined };
}
