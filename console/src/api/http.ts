/** Requests to the server this page came from. The cookie says who asks; the header says that it is this page. */

const PREFIX = "/api/v1";

/** Why a request failed: `reason` for the code, `message` for the person. Status 0: no answer came. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    detail: string,
  ) {
    super(detail);
  }

  /** Whether the server does not know such a route at all, as an older one. */
  get isUnoffered(): boolean {
    return (this.status === 404 && this.reason === "not_found") || this.status === 405;
  }
}

type Query = Record<string, string | number | boolean | undefined>;

export interface Options {
  query?: Query;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

let onLoggedOut = (): void => undefined;

/** Have `action` called whenever the server no longer knows who asks. */
export function whenLoggedOut(action: () => void): void {
  onLoggedOut = action;
}

export function get<T>(path: string, options?: Options): Promise<T> {
  return call<T>("GET", path, undefined, options);
}

export function post<T>(path: string, body?: unknown, options?: Options): Promise<T> {
  return call<T>("POST", path, body, options);
}

export async function call<T>(method: string, path: string, body?: unknown, options: Options = {}): Promise<T> {
  const answer = await send(method, path, body, options);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

/** Send a request and return its answer, whose body is still to be read. */
export async function send(method: string, path: string, body?: unknown, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { "X-Quix-Console": "1", ...options.headers };
  const init: RequestInit = { method, headers, credentials: "same-origin", signal: options.signal ?? null };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(PREFIX + path + search(options.query), init);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The server does not answer.");
  }
  if (!answer.ok) throw await failure(answer, path);
  return answer;
}

async function failure(answer: Response, path: string): Promise<ApiError> {
  let reason = "unknown";
  let detail = `The server answered with status ${answer.status}.`;
  try {
    ({ reason, detail } = (await answer.json()) as { reason: string; detail: string });
  } catch {
    // What stands between us and the server answers in a form of its own; the status has to do.
  }
  // A wrong password, of the login or where it is changed, says nothing about who is logged in.
  const isWrongPassword = path.startsWith("/login") || reason === "password_invalid";
  if (answer.status === 401 && !isWrongPassword) onLoggedOut();
  return new ApiError(answer.status, reason, detail);
}

function search(query: Query | undefined): string {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  return pairs.length ? `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}` : "";
}

/** A part of a path. */
export function part(text: string | number): string {
  return encodeURIComponent(text);
}
