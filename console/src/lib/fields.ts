/** Which field of a form a refusal is about. Pure functions. */
import { ApiError } from "../api/http";

/** What is wrong, by the name of the field; "" for what is about none of them. */
export type Faults = Record<string, string>;

const TAKEN = { already_exists: "name" };

/**
 * Read an error: the server begins with the field's name, `name: what is wrong; other: …`.
 * What it says by its reason alone is in `byReason`; what is about no field of `names` is kept whole.
 */
export function faultsOf(error: unknown, names: string[], byReason: Record<string, string> = {}): Faults {
  const text = error instanceof Error ? error.message : String(error);
  const faults: Faults = {};
  for (const sentence of text.split(/; (?=[a-z_0-9]+[,:])/)) {
    const found = /^([a-z_0-9]+)(?:\[[^\]]+\]|, [a-z_0-9]+)*: (.+)$/s.exec(sentence);
    const name = found?.[1] ?? "";
    if (found && names.includes(name)) faults[name] = found[2] ?? "";
    else faults[""] = faults[""] ? `${faults[""]}; ${sentence}` : sentence;
  }
  const known: Record<string, string> = { ...TAKEN, ...byReason };
  const field = error instanceof ApiError ? (known[error.reason] ?? "") : "";
  return field && names.includes(field) && Object.keys(faults).join() === "" ? { [field]: text } : faults;
}
