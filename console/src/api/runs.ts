import { get, part, post } from "./http";
import type { Page, Run } from "./types";

const of = (backend: string, run: string): string => `/backends/${part(backend)}/runs/${part(run)}`;

/** Every run of a backend, the newest first. REST gives them oldest first, a page at a time. */
export async function listRuns(backend: string, signal?: AbortSignal): Promise<Run[]> {
  const runs: Run[] = [];
  let after: string | undefined;
  do {
    const page: Page<Run> = await get(`/backends/${part(backend)}/runs`, {
      query: { after, limit: 1000 },
      ...(signal ? { signal } : {}),
    });
    runs.push(...page.items);
    after = page.next ?? undefined;
  } while (after);
  return runs.reverse();
}

export const getRun = (backend: string, run: string, signal?: AbortSignal): Promise<Run> =>
  get(of(backend, run), signal ? { signal } : {});

export const signalRun = (backend: string, run: string, mode: string): Promise<unknown> =>
  post(`${of(backend, run)}/signal`, { mode });

/** Give a run bytes (base64) of its input from `offset` on; the answer says how many it has taken so far. */
export const writeInput = (backend: string, run: string, offset: number, data: string, end: boolean) =>
  post<{ received: number }>(`${of(backend, run)}/input`, { offset, data, end });

export const outputEvents = (backend: string, run: string, stdout: number, stderr: number): string =>
  `${of(backend, run)}/output/events?stdout=${stdout}&stderr=${stderr}`;
