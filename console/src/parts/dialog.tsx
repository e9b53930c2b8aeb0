/** Dialogs, on the browser's own: it keeps the focus inside, closes on Escape, and gives the focus back. */
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Button } from "./basics";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: DialogProps): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    element.current?.showModal();
  }, []);
  return (
    <dialog ref={element} aria-labelledby={id} onClose={onClose}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="button quiet" aria-label="Close" onClick={() => element.current?.close()}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface Question {
  title: string;
  text: string;
  /** What the button says that does it. */
  act: string;
  answer: (isYes: boolean) => void;
}

const question = signal<Question | undefined>(undefined);

/** Ask before something that cannot be undone; the safe answer has the focus. */
export function confirm(title: string, text: string, act: string): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = { title, text, act, answer: resolve };
  });
}

export function Confirmation(): JSX.Element | null {
  const asked = question.value;
  if (!asked) return null;
  const answer = (isYes: boolean): void => {
    if (question.value !== asked) return;
    question.value = undefined;
    asked.answer(isYes);
  };
  return (
    <Dialog key={asked.title} title={asked.title} onClose={() => answer(false)}>
      <p>{asked.text}</p>
      <footer>
        <Button onClick={() => answer(false)}>Cancel</Button>
        <Button kind="danger" onClick={() => answer(true)}>
          {asked.act}
        </Button>
      </footer>
    </Dialog>
  );
}
