/** Forms that say beside each field what is wrong with it. */
import { type ComponentChildren, cloneElement, createContext, type JSX } from "preact";
import { useContext, useId, useRef, useState } from "preact/hooks";
import { type Faults, faultsOf } from "../lib/fields";

const Said = createContext<Faults>({});

interface FormProps {
  /** What the button says. */
  act: string;
  submit: (form: FormData) => Promise<void>;
  children: ComponentChildren;
  label?: string;
  /** The field that a refusal is about which names none, by its reason. */
  byReason?: Record<string, string>;
}

export function Form({ act, submit, children, label, byReason }: FormProps): JSX.Element {
  const [faults, setFaults] = useState<Faults>({});
  const [isBusy, setBusy] = useState(false);
  const element = useRef<HTMLFormElement>(null);
  const send = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = element.current as HTMLFormElement;
    setBusy(true);
    setFaults({});
    try {
      await submit(new FormData(form));
    } catch (error) {
      const fields = [...form.querySelectorAll<HTMLElement>("[data-field]")];
      const found = faultsOf(
        error,
        fields.map((field) => field.dataset.field ?? ""),
        byReason,
      );
      setFaults(found);
      fields
        .find((field) => found[field.dataset.field ?? ""])
        ?.querySelector<HTMLElement>("input, select, textarea")
        ?.focus();
    } finally {
      setBusy(false);
    }
  };
  return (
    <form ref={element} class="stack" onSubmit={send} aria-label={label}>
      <Said.Provider value={faults}>{children}</Said.Provider>
      {faults[""] && (
        <p class="note bad" role="alert">
          {faults[""]}
        </p>
      )}
      <footer>
        <button type="submit" class="button main" disabled={isBusy}>
          {act}
        </button>
      </footer>
    </form>
  );
}

/** What is wrong with a field of the form around, or "". */
export function useFault(name: string): string {
  return useContext(Said)[name] ?? "";
}

interface EntryProps {
  label: string;
  /** The field's name in REST. */
  name: string;
  hint?: string | undefined;
  /** Gets what ties the control to its label, its hint and what is wrong with it. */
  control: (ties: Ties) => JSX.Element;
  isWide?: boolean;
}

export interface Ties {
  id: string;
  name: string;
  "aria-invalid": boolean;
  "aria-describedby": string | undefined;
}

export function Entry({ label, name, hint, control, isWide }: EntryProps): JSX.Element {
  const id = useId();
  const fault = useFault(name);
  const ties = {
    id,
    name,
    "aria-invalid": fault !== "",
    "aria-describedby": fault || hint ? `${id}-told` : undefined,
  };
  return (
    <div class={`field ${isWide ? "wide" : ""}`} data-field={name}>
      <label for={id}>{label}</label>
      {control(ties)}
      {fault ? <Fault id={`${id}-told`} text={fault} /> : hint && <small id={`${id}-told`}>{hint}</small>}
    </div>
  );
}

interface InputProps extends Omit<EntryProps, "control" | "isWide"> {
  children: JSX.Element;
}

/** An entry whose control stands between its tags. */
export function Input({ children, ...entry }: InputProps): JSX.Element {
  return <Entry {...entry} control={(ties) => cloneElement(children, ties)} />;
}

export function Fault({ id, text }: { id: string; text: string }): JSX.Element {
  return (
    <small id={id} class="fault" role="alert">
      {text}
    </small>
  );
}
