/** Server-sent events over fetch, which tells a refusal from a lost connection; EventSource tells neither. */
import { ApiError, send } from "./http";

export interface StreamEvent {
  kind: string;
  id: string;
  data: string;
}

interface Follower {
  /** Each event, in order; after a lost connection the stream goes on behind the last id. */
  onEvent(event: StreamEvent): void;
  /** Whether the stream is open now. */
  onOpen?(isOpen: boolean): void;
  /** The server refuses the stream; nothing follows. */
  onRefused(error: ApiError): void;
  /** The server has ended it in good order. Return true to have it opened again. */
  onEnd?(): boolean;
}

const LONGEST_PAUSE = 15_000;

/**
 * Follow the stream at `path` until the returned function is called.
 *
 * Browsers allow six connections a server over HTTP/1.1, all tabs together, so a tab that nobody sees gives its own
 * back and goes on where it was when it is looked at again.
 */
export function follow(path: string, follower: Follower): () => void {
  const end = new AbortController();
  void run(path, follower, end.signal);
  return () => end.abort();
}

async function run(path: string, follower: Follower, end: AbortSignal): Promise<void> {
  let last = "";
  let pause = 500;
  while (!end.aborted) {
    await seen(end);
    const visit = visitOf(end);
    try {
      const headers: Record<string, string> = last ? { "Last-Event-ID": last } : {};
      const answer = await send("GET", path, undefined, { signal: visit.signal, headers });
      follower.onOpen?.(true);
      pause = 500;
      for await (const event of events(answer)) {
        last = event.id || last;
        if (end.aborted) return;
        if (event.data) follower.onEvent(event);
      }
      if (!follower.onEnd?.()) return;
    } catch (error) {
      if (end.aborted) return;
      if (error instanceof ApiError && isFinal(error)) return follower.onRefused(error);
    } finally {
      visit.close();
      follower.onOpen?.(false);
    }
    await waited(pause, end);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/** Whether it is no use to ask again. After a restart of the server, machines take a moment to be back. */
function isFinal({ status, reason }: ApiError): boolean {
  const isAway = (status === 409 && reason === "backend_offline") || (status === 422 && reason === "unavailable");
  return status >= 400 && status < 500 && status !== 429 && !isAway;
}

async function* events(answer: Response): AsyncGenerator<StreamEvent> {
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? "";
    yield* blocks.map(parse);
  }
}

/** Read one block of lines (HTML standard, 9.2.6); one without data is no event, but its id counts. */
export function parse(block: string): StreamEvent {
  const event: StreamEvent = { kind: "message", id: "", data: "" };
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event.kind = value;
    else if (field === "id") event.id = value;
    else if (field === "data") data.push(value);
  }
  event.data = data.join("\n");
  return event;
}

function seen(end: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = (): void => {
      if (document.hidden && !end.aborted) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    end.addEventListener("abort", look, { once: true });
  });
}

/** A signal that aborts at the end, or once the tab has been out of sight for a while. */
function visitOf(end: AbortSignal): { signal: AbortSignal; close(): void } {
  const visit = new AbortController();
  let timer = 0;
  const look = (): void => {
    clearTimeout(timer);
    if (document.hidden) timer = window.setTimeout(() => visit.abort(), 10_000);
  };
  const abort = (): void => visit.abort();
  document.addEventListener("visibilitychange", look);
  end.addEventListener("abort", abort);
  return {
    signal: visit.signal,
    close() {
      clearTimeout(timer);
      visit.abort();
      document.removeEventListener("visibilitychange", look);
      end.removeEventListener("abort", abort);
    },
  };
}

function waited(milliseconds: number, end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      end.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    end.addEventListener("abort", done);
  });
}
