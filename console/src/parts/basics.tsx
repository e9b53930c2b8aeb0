/** The small parts that every page is made of. */
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import type { ApiError } from "../api/http";
import { notify } from "./toast";

export function Dot({ tone, label }: { tone: "good" | "bad" | "busy" | "off"; label: string }): JSX.Element {
  return (
    <span class="status">
      <span class={`dot ${tone}`} aria-hidden="true" />
      <span>{label}</span>
    </span>
  );
}

interface ButtonProps {
  children: ComponentChildren;
  onClick?: (() => unknown) | undefined;
  kind?: "plain" | "main" | "danger" | "quiet";
  type?: "button" | "submit";
  disabled?: boolean;
  label?: string;
  pressed?: boolean;
}

/** A button that is busy while what it does takes time, and says why where it fails. */
export function Button({ children, onClick, kind = "plain", type = "button", disabled, label, pressed }: ButtonProps) {
  const [isBusy, setBusy] = useState(false);
  const press = async (): Promise<void> => {
    setBusy(true);
    try {
      await onClick?.();
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <button
      type={type}
      class={`button ${kind}`}
      disabled={(disabled ?? false) || isBusy}
      aria-label={label}
      aria-pressed={pressed}
      title={label}
      onClick={onClick && press}
    >
      {children}
    </button>
  );
}

/** Copies `text`; the clipboard of browsers needs TLS or localhost, so there is another way. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }): JSX.Element {
  const [isDone, setDone] = useState(false);
  const copy = async (): Promise<void> => {
    await copyText(text);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return (
    <Button onClick={copy} kind="quiet">
      <span aria-live="polite">{isDone ? "Copied" : label}</span>
    </Button>
  );
}

async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** A command to be copied into a terminal. */
export function Snippet({ text, name }: { text: string; name: string }): JSX.Element {
  return (
    <div class="snippet">
      <pre tabIndex={0} role="region" aria-label={name}>
        {text}
      </pre>
      <CopyButton text={text} />
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Why a page cannot show what it is for. */
export function Trouble({ error, what }: { error: ApiError; what: string }): JSX.Element {
  if (error.isUnoffered) {
    return (
      <Empty title="This server does not offer that">
        <p>It knows no {what}. A newer Quix server does; nothing is wrong with this one otherwise.</p>
      </Empty>
    );
  }
  return (
    <p class="note bad" role="alert">
      {error.message}
    </p>
  );
}

export function Loading(): JSX.Element {
  return (
    <p class="loading" role="status">
      Loading…
    </p>
  );
}

interface FieldProps {
  label: string;
  children: ComponentChildren;
  hint?: string;
}

export function Field({ label, children, hint }: FieldProps): JSX.Element {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is among the children
    <label class="field">
      <span>{label}</span>
      {children}
      {hint && <small>{hint}</small>}
    </label>
  );
}

interface ChipProps {
  name: string;
  value: string;
  onClick?: () => void;
  /** Whether what a click asks for is asked for. */
  isOn?: boolean;
}

export function Chip({ name, value, onClick, isOn }: ChipProps): JSX.Element {
  const text = value ? `${name}=${value}` : name;
  const title = isOn ? `Show also others than ${text}` : `Show only ${text}`;
  return onClick ? (
    <button type="button" class="chip" onClick={onClick} title={title} aria-pressed={isOn}>
      {text}
    </button>
  ) : (
    <span class="chip">{text}</span>
  );
}
