/** What fires now, kept current by events, for the navigation and for the pages of machines. */
import { computed, signal } from "@preact/signals";
import { listAlerts, listRules } from "../api/alerts";
import type { ApiError } from "../api/http";
import type { Alert, Rule } from "../api/types";
import { asApiError } from "../lib/load";
import * as events from "./events";

/** More than these are counted as "and more". */
export const MOST = 1000;

export const firing = signal<Alert[]>([]);
export const isMore = signal(false);
export const error = signal<ApiError | undefined>(undefined);
/** By id: what an alert measures is told by its rule. */
export const rules = signal<ReadonlyMap<string, Rule>>(new Map());

/** Those that somebody should look at: what is silenced is known already. */
export const loud = computed(() => firing.value.filter((alert) => !alert.silenced));

const EVERY = 60_000;
const WITHOUT_EVENTS = 10_000;
const GATHER = 200;
/** The server marks what is silenced when it looks at the fleet, every two seconds, and no event tells of it. */
const LOOK = 3000;

let unlisten = (): void => undefined;
let timer = 0;
let turn = 0;

export function begin(): void {
  unlisten();
  unlisten = events.listen((event) => {
    if (event.kind !== events.RESET && !event.kind.startsWith("alert")) return;
    clearTimeout(timer);
    timer = window.setTimeout(reload, GATHER);
  });
  void reload();
}

export function end(): void {
  unlisten();
  clearTimeout(timer);
  turn += 1;
  firing.value = [];
  rules.value = new Map();
  error.value = undefined;
}

/** A silence was made or ended; `id` is of an alert that is silenced by it. */
export function silenced(id?: string): void {
  if (id) firing.value = firing.value.map((alert) => (alert.id === id ? { ...alert, silenced: true } : alert));
  turn += 1; // what is being loaded does not know of it
  clearTimeout(timer);
  timer = window.setTimeout(reload, LOOK);
}

export async function reload(): Promise<void> {
  clearTimeout(timer);
  turn += 1;
  const mine = turn;
  try {
    const [alerts, known] = await Promise.all([listAlerts({ state: "firing", limit: MOST }), listRules()]);
    if (mine !== turn) return;
    firing.value = ordered(alerts.items);
    isMore.value = alerts.next !== null;
    rules.value = new Map(known.items.map((rule) => [rule.id, rule]));
    error.value = undefined;
  } catch (found) {
    if (mine !== turn) return;
    error.value = asApiError(found);
    if (error.value.isUnoffered || error.value.status === 401 || error.value.status === 403) return;
  }
  timer = window.setTimeout(reload, events.state.value === "open" ? EVERY : WITHOUT_EVENTS);
}

/** What wants to be looked at first is first; the server tells them the newest first. */
function ordered(alerts: Alert[]): Alert[] {
  const rank = (alert: Alert): number => (alert.silenced ? 2 : 0) + (alert.severity === "critical" ? 0 : 1);
  return [...alerts].sort((one, other) => rank(one) - rank(other));
}
