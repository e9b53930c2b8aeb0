/** What a run writes, followed to its end. */
import { signal } from "@preact/signals";
import type { ApiError } from "../api/http";
import { getRun, outputEvents } from "../api/runs";
import { follow, type StreamEvent } from "../api/stream";
import type { Chunk, Run, RunState } from "../api/types";
import { asApiError } from "../lib/load";

/** Takes text of one stream, in the order it arrived. */
export type Sink = (stream: "stdout" | "stderr", text: string) => void;

/** Of long output only that much of the end of each stream is shown at first. */
export const TAIL = 256 * 1024;

export class Output {
  readonly run = signal<Run | undefined>(undefined);
  readonly error = signal<ApiError | undefined>(undefined);
  readonly isFollowing = signal(false);
  /** Bytes at the beginning that are not shown. */
  readonly skipped = signal(0);
  #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  #next = { stdout: 0, stderr: 0 };
  #stop = (): void => undefined;
  #isOver = false;

  constructor(
    readonly backend: string,
    readonly id: string,
    readonly sink: Sink,
  ) {}

  async begin(fromStart = false): Promise<void> {
    this.#isOver = false;
    try {
      const run = await getRun(this.backend, this.id);
      this.run.value = run;
      if (run.state === "refused" || run.state === "untracked" || this.#isOver) return;
      const start = (written: number | undefined): number => (fromStart ? 0 : Math.max(0, (written ?? 0) - TAIL));
      this.#next = { stdout: start(run.stdout), stderr: start(run.stderr) };
      this.skipped.value = this.#next.stdout + this.#next.stderr;
      this.#follow();
    } catch (error) {
      this.error.value = asApiError(error);
    }
  }

  end(): void {
    this.#isOver = true;
    this.#stop();
  }

  #follow(): void {
    this.#stop = follow(outputEvents(this.backend, this.id, this.#next.stdout, this.#next.stderr), {
      onEvent: (event) => this.#take(event),
      onOpen: (isOpen) => {
        this.isFollowing.value = isOpen;
      },
      onRefused: (error) => {
        this.error.value = error;
      },
      onEnd: () => this.run.value?.state !== "ended" && !this.error.value,
    });
  }

  #take(event: StreamEvent): void {
    const data = JSON.parse(event.data) as unknown;
    if (event.kind === "output") this.#write(data as Chunk);
    else if (event.kind === "state") this.#become(data as RunState);
    else if (event.kind === "error") {
      const { reason, detail } = data as { reason: string; detail: string };
      this.error.value = asApiError(new Error(detail || reason));
    }
  }

  #write({ stream, offset, data }: Chunk): void {
    const missed = offset - this.#next[stream];
    if (missed > 0) this.skipped.value += missed;
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    this.#next[stream] = offset + bytes.length;
    this.sink(stream, this.#decoders[stream].decode(bytes, { stream: true }));
  }

  #become(state: RunState): void {
    const before = this.run.value;
    if (before) this.run.value = { ...before, ...state, id: before.id } as Run;
  }
}
