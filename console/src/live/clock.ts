/** The time by which ages are shown; it moves every few seconds, and all ages on the page with it. */
import { signal } from "@preact/signals";

export const now = signal(Date.now() / 1000);

setInterval(() => {
  if (!document.hidden) now.value = Date.now() / 1000;
}, 5000);
