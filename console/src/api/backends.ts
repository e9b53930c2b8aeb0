import { call, get, part, post } from "./http";
import type { Backend, Command, Labels, Page, Process, TeleData } from "./types";

export const listBackends = (after?: string): Promise<Page<Backend>> =>
  get("/backends", { query: { after, limit: 1000 } });

export const getBackend = (id: string, signal?: AbortSignal): Promise<Backend> =>
  get(`/backends/${part(id)}`, signal ? { signal } : {});

/** `name` null gives it back its agent's; a label that is null is taken away. */
export const changeBackend = (
  id: string,
  change: { name?: string | null; labels?: Record<keyof Labels, string | null> },
): Promise<Backend> => call("PATCH", `/backends/${part(id)}`, change);

export const revokeBackend = (id: string): Promise<Backend> => post(`/backends/${part(id)}/revoke`);
export const removeBackend = (id: string): Promise<void> => call("DELETE", `/backends/${part(id)}`);

export const measure = (id: string, kinds?: string, signal?: AbortSignal): Promise<TeleData> =>
  get(`/backends/${part(id)}/telemetry`, { query: { stat_types: kinds }, ...(signal ? { signal } : {}) });

export const listProcesses = (id: string, all: boolean, signal?: AbortSignal): Promise<Page<Process>> =>
  get(`/backends/${part(id)}/processes`, { query: { verb: all ? 2 : 1 }, ...(signal ? { signal } : {}) });

/** Start a program. `key` names the request, so that sending it again starts nothing twice. */
export const execute = (id: string, command: Partial<Command> & { cmd: string[] }, key: string) =>
  post<{ proc_id: number; run_id: string }>(`/backends/${part(id)}/processes`, command, {
    headers: { "Idempotency-Key": key },
  });

export const signalProcess = (id: string, pid: number, mode: string): Promise<unknown> =>
  post(`/backends/${part(id)}/processes/${pid}/signal`, { mode });

/** A point: when, and the lowest, the mean and the highest of what it covers. */
export type Point = [time: number, low: number, mean: number, high: number];

export interface History {
  from: number;
  to: number;
  resolution: string;
  step: number;
  series: Record<string, Point[]>;
}

export const history = (id: string, from: number, to: number, points: number, signal?: AbortSignal): Promise<History> =>
  get(`/backends/${part(id)}/telemetry/history`, { query: { from, to, points }, ...(signal ? { signal } : {}) });
