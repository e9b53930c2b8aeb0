/** Labels as people write them: `site=north`. Pure functions. */
import type { Labels } from "../api/types";

/** Why a text is no label, or "". */
export function labelProblem(text: string): string {
  const equals = text.indexOf("=");
  if (equals < 1) return `${text} is no label: write it as name=value, such as site=north.`;
  if (equals > 63) return "The name of a label has 63 characters at most.";
  return text.length - equals - 1 > 253 ? "The value of a label has 253 characters at most." : "";
}

export function labelText([name, value]: [string, string]): string {
  return `${name}=${value}`;
}

export function labelTexts(labels: Labels): string[] {
  return Object.entries(labels).map(labelText);
}

/** The last one holds where one name is there twice. */
export function labelsFrom(texts: string[]): Labels {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf("=");
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

/** What has to be asked for so that `before` becomes `after`: null takes one away. */
export function labelChange(before: Labels, after: Labels): Record<string, string | null> {
  const gone = Object.keys(before).filter((name) => !(name in after));
  const set = Object.entries(after).filter(([name, value]) => before[name] !== value);
  return Object.fromEntries([...gone.map((name): [string, null] => [name, null]), ...set]);
}
