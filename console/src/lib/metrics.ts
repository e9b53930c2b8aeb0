/** What rules watch, in words and with units. Pure functions. */
import { bytes, duration } from "./format";

interface Metric {
  /** What a table and a list of choices say. */
  name: string;
  unit: "" | "%" | "B/s" | "s";
}

/** By the name that REST has for them; of `connection` no threshold is asked. */
export const METRICS: Record<string, Metric> = {
  connection: { name: "Offline", unit: "s" },
  cpu: { name: "CPU, all cores", unit: "%" },
  cpu_busiest: { name: "CPU, busiest core", unit: "%" },
  memory: { name: "Memory", unit: "%" },
  disk: { name: "Disks, all together", unit: "%" },
  disk_fullest: { name: "Fullest disk", unit: "%" },
  net_received: { name: "Network, received", unit: "B/s" },
  net_sent: { name: "Network, sent", unit: "B/s" },
  load: { name: "Load", unit: "" },
  runs: { name: "Runs", unit: "" },
};

export function nameOf(metric: string): string {
  return METRICS[metric]?.name ?? metric.replaceAll("_", " ");
}

/** 93.24, "cpu" -> "93 %"; a metric that is not known any more: the number. */
export function measured(value: number, metric: string | undefined): string {
  switch (METRICS[metric ?? ""]?.unit) {
    case "%":
      return `${Math.round(value)} %`;
    case "B/s":
      return `${bytes(value)}/s`;
    case "s":
      return duration(value);
    default:
      return String(Math.round(value * 100) / 100);
  }
}

interface Condition {
  metric: string;
  op?: string;
  threshold?: number | null;
  for: number;
}

/** "CPU, all cores above 90 % for 5 min". */
export function conditionOf(rule: Condition): string {
  const level = rule.threshold == null ? "" : ` ${rule.op ?? "above"} ${measured(rule.threshold, rule.metric)}`;
  return `${nameOf(rule.metric)}${level}${rule.for ? ` for ${duration(rule.for)}` : ""}`;
}

/** "site=north role=web" -> labels. Throws an Error that begins with the field's name, as the server's do. */
export function labelsIn(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const word of text.split(/[\s,]+/).filter(Boolean)) {
    const equals = word.indexOf("=");
    if (equals < 1) throw new Error(`labels: ${word} is no label; write name=value`);
    labels[word.slice(0, equals)] = word.slice(equals + 1);
  }
  return labels;
}

export function labelsSaid(labels: Record<string, string> | undefined): string {
  return Object.entries(labels ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}
