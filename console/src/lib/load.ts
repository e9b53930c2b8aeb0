/** Loading what a page shows. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/http";
import * as events from "../live/events";

export interface Loaded<T> {
  data: T | undefined;
  error: ApiError | undefined;
  reload: () => void;
}

interface Often {
  /** Milliseconds after which it is loaded again. */
  every?: number;
  /** Whether what is shown is another one after an event; where events come, nothing is asked for in between. */
  on?: (event: events.FleetEvent) => boolean;
}

/** Events come in flocks; one load is for all of them. */
const GATHER = 300;

/**
 * Load something when the page opens and whenever `keys` change, and again as `often` says.
 * What was loaded stays while it is loaded anew, and where that fails.
 */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, keys: unknown[], often: Often = {}): Loaded<T> {
  const [state, setState] = useState<{ data: T | undefined; error: ApiError | undefined }>(EMPTY);
  const [turn, setTurn] = useState(0);
  const latest = useRef({ load, often });
  latest.current = { load, often };
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const every = often.on && events.state.value === "open" ? 0 : (often.every ?? 0);
  // The keys say when the loader means something else.
  useEffect(() => setState(EMPTY), keys);
  useEffect(() => {
    const end = new AbortController();
    let timer = 0;
    const once = async (): Promise<void> => {
      try {
        if (!document.hidden || !every) {
          const data = await latest.current.load(end.signal);
          if (end.signal.aborted) return;
          setState({ data, error: undefined });
        }
      } catch (error) {
        if (end.signal.aborted) return;
        setState((before) => ({ data: before.data, error: asApiError(error) }));
        if (error instanceof ApiError && error.isUnoffered) return;
      }
      if (every) timer = window.setTimeout(once, every);
    };
    void once();
    return () => {
      clearTimeout(timer);
      end.abort();
    };
  }, [...keys, every, turn]);
  useEffect(() => {
    let timer = 0;
    const unlisten = events.listen((event) => {
      if (event.kind !== events.RESET && !latest.current.often.on?.(event)) return;
      clearTimeout(timer);
      timer = window.setTimeout(reload, GATHER);
    });
    return () => {
      clearTimeout(timer);
      unlisten();
    };
  }, [reload]);
  return { ...state, reload };
}

const EMPTY = { data: undefined, error: undefined };

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, "fault", error instanceof Error ? error.message : String(error));
}
