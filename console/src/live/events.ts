/** What happens in the fleet, as the server tells it. One stream a tab, from the login to the logout. */
import { signal } from "@preact/signals";
import { follow } from "../api/stream";

/** `kind` such as backend_connected; `backend_id` is empty where it is about none; `data` depends on the kind. */
export interface FleetEvent {
  id: number;
  at: number;
  kind: string;
  backend_id: string;
  data: Record<string, unknown>;
}

/** Events were missed; what is shown has to be loaded anew. */
export const RESET = "reset";

export type StreamState = "closed" | "open" | "unoffered";

const KEPT = 500;

export const state = signal<StreamState>("closed");
/** The newest first. */
export const recent = signal<FleetEvent[]>([]);

const listeners = new Set<(event: FleetEvent) => void>();
let stop = (): void => undefined;

export function listen(listener: (event: FleetEvent) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function begin(): void {
  stop();
  stop = follow("/events", {
    onEvent: (event) => {
      const read = JSON.parse(event.data) as FleetEvent;
      recent.value = [read, ...recent.value].slice(0, KEPT);
      for (const listener of listeners) listener(read);
    },
    onOpen: (isOpen) => {
      if (state.value !== "unoffered") state.value = isOpen ? "open" : "closed";
    },
    onRefused: (error) => {
      state.value = error.isUnoffered ? "unoffered" : "closed";
    },
    onEnd: () => true,
  });
}

export function end(): void {
  stop();
  recent.value = [];
  state.value = "closed";
}
