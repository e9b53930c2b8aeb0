/** A field of several short texts: labels, machines. Each is a chip that can be taken away. */
import type { JSX } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { labelProblem } from "../lib/labels";
import { Fault, useFault } from "./form";

interface ChipsProps {
  /** The field's name in REST. */
  name: string;
  label: string;
  items: string[];
  onChange: (items: string[]) => void;
  hint?: string;
  placeholder?: string;
  /** Why a text will not do, or "". */
  problemOf?: (text: string) => string;
  /** What is the same thing said anew, as a label of the same name; the text itself where there is none. */
  keyOf?: (text: string) => string;
  options?: string[];
}

/** Enter or a comma adds what is typed; so does leaving the field, so that nothing is lost that stands there. */
export function ChipsField(props: ChipsProps): JSX.Element {
  const { name, label, items, onChange, hint, placeholder, problemOf = () => "", keyOf = same, options = [] } = props;
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const refusal = useFault(name);
  const id = useId();
  const shown = problem || refusal;
  const add = (): void => {
    const text = typed.trim();
    const found = text && problemOf(text);
    setProblem(found);
    input.current?.setCustomValidity(found);
    if (!text || found) return;
    onChange([...items.filter((item) => keyOf(item) !== keyOf(text)), text]);
    setTyped("");
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key !== "," && (event.key !== "Enter" || !typed.trim())) return;
    event.preventDefault();
    add();
  };
  const remove = (item: string): void => {
    onChange(items.filter((each) => each !== item));
    input.current?.focus();
  };
  return (
    <div class="field" data-field={name}>
      <label for={id}>{label}</label>
      <div class="chips">
        {items.map((item) => (
          <span key={item} class="chip">
            {item}
            <button type="button" aria-label={`Take away ${item}`} onClick={() => remove(item)}>
              ✕
            </button>
          </span>
        ))}
        <input
          id={id}
          ref={input}
          value={typed}
          placeholder={items.length ? "" : placeholder}
          list={options.length ? `${id}-options` : undefined}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          aria-invalid={shown ? "true" : undefined}
          aria-describedby={`${id}-hint ${id}-problem`}
          onInput={(event) => {
            setTyped(event.currentTarget.value);
            setProblem("");
            event.currentTarget.setCustomValidity("");
          }}
          onKeyDown={press}
          onBlur={add}
        />
      </div>
      {options.length > 0 && (
        <datalist id={`${id}-options`}>
          {options.map((option) => (
            <option key={option} value={option} />
          ))}
        </datalist>
      )}
      <small id={`${id}-hint`}>{hint}</small>
      {shown && <Fault id={`${id}-problem`} text={shown} />}
    </div>
  );
}

function same(text: string): string {
  return text;
}

type LabelsProps = Pick<ChipsProps, "items" | "onChange" | "hint">;

export function LabelsField(props: LabelsProps): JSX.Element {
  return (
    <ChipsField
      {...props}
      name="labels"
      label="Labels"
      placeholder="site=north"
      problemOf={labelProblem}
      keyOf={(text) => text.split("=", 1)[0] ?? text}
    />
  );
}
