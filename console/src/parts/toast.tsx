/** Short notes in the corner, for what happened out of sight. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";

interface Note {
  id: number;
  text: string;
  tone: "good" | "bad";
}

const notes = signal<Note[]>([]);
let last = 0;

export function notify(text: string, tone: Note["tone"] = "good"): void {
  last += 1;
  const id = last;
  notes.value = [...notes.value, { id, text, tone }];
  setTimeout(() => drop(id), tone === "bad" ? 10_000 : 4000);
}

function drop(id: number): void {
  notes.value = notes.value.filter((note) => note.id !== id);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {notes.value.map((note) => (
        <button type="button" key={note.id} class={`toast ${note.tone}`} onClick={() => drop(note.id)}>
          {note.text}
        </button>
      ))}
    </div>
  );
}
