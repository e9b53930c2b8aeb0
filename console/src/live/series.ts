/** What one backend measures while somebody looks at it. */
import { signal } from "@preact/signals";
import { measure } from "../api/backends";
import type { ApiError } from "../api/http";
import type { TeleData } from "../api/types";
import { asApiError } from "../lib/load";

export interface Sample {
  at: number;
  data: TeleData;
}

const EVERY = 2000;
const KEPT = 5 * 60;
/** Seconds of live measurements that are kept and shown. */
export const WINDOW = KEPT;

/** Measures a backend from `begin` to `end`. */
export class Series {
  readonly samples = signal<Sample[]>([]);
  readonly error = signal<ApiError | undefined>(undefined);
  #stop = new AbortController();

  constructor(readonly backend: string) {}

  begin(): void {
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal);
  }

  end(): void {
    this.#stop.abort();
  }

  get last(): TeleData | undefined {
    return this.samples.value.at(-1)?.data;
  }

  async #run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      if (!document.hidden) await this.#look(stop);
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  }

  async #look(stop: AbortSignal): Promise<void> {
    try {
      const data = await measure(this.backend, undefined, stop);
      const at = Date.now() / 1000;
      this.samples.value = [...this.samples.peek().filter((sample) => sample.at > at - KEPT), { at, data }];
      this.error.value = undefined;
    } catch (error) {
      if (!stop.aborted) this.error.value = asApiError(error);
    }
  }
}
