/** What is sent again after a failure without being done twice. */
import { ApiError } from "../api/http";

/** The key of a request: kept for as long as whether the request was done is not known, and another after that. */
export class Attempt {
  #text = "";
  #key = "";
  #isInDoubt = false;

  /** The key to send `text` with. */
  keyOf(text: string): string {
    if (this.#text !== text || !this.#key) {
      this.#text = text;
      this.#key = newKey();
      this.#isInDoubt = false;
    }
    return this.#key;
  }

  /** It was done: the same text is another request. */
  done(): void {
    this.#key = "";
  }

  /** It failed. By its key the server would repeat what it said, also once that is mended; what is in doubt stays so
   * until the backend has answered (422), since a server says of a backend that is away no more than that it is. */
  failed(error: unknown): void {
    if (!(error instanceof ApiError) || error.status === 0 || error.status >= 500) this.#isInDoubt = true;
    else if (error.status === 422 || !this.#isInDoubt) this.#key = "";
  }
}

function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
