/** How a backend was, from what the server keeps. */
import type { JSX } from "preact";
import { type History, history, type Point } from "../../api/backends";
import type { Backend } from "../../api/types";
import { bytes, percent } from "../../lib/format";
import { useLoad } from "../../lib/load";
import { Loading, Trouble } from "../../parts/basics";
import type { Line } from "../../parts/lines";
import { Plot } from "../../parts/plot";

const POINTS = 400;

interface Card {
  title: string;
  isWide?: boolean;
  metrics: [metric: string, name: string, color: string][];
  format: (value: number) => string;
  top?: number;
}

const rate = (value: number): string => `${bytes(value)}/s`;
const plain = (value: number): string => String(Math.round(value * 100) / 100);

const CARDS: Card[] = [
  {
    title: "CPU",
    isWide: true,
    metrics: [
      ["cpu", "all cores", "--accent"],
      ["cpu_busiest", "busiest core", "--plot-1"],
    ],
    format: percent,
    top: 1,
  },
  {
    title: "Memory",
    metrics: [
      ["memory_used", "used", "--accent"],
      ["memory_total", "there is", "--plot-0"],
    ],
    format: bytes,
  },
  {
    title: "Disks",
    metrics: [
      ["disk_used", "used", "--accent"],
      ["disk_total", "there is", "--plot-0"],
    ],
    format: bytes,
  },
  {
    title: "Network",
    metrics: [
      ["net_received", "received", "--plot-0"],
      ["net_sent", "sent", "--plot-1"],
    ],
    format: rate,
  },
  { title: "Processes that want to run", metrics: [["load", "load", "--accent"]], format: plain },
  { title: "Runs", metrics: [["runs", "programs of Quix", "--accent"]], format: plain },
];

export function Before({ backend, span }: { backend: Backend; span: number }): JSX.Element {
  const load = (signal: AbortSignal): Promise<History> => {
    const to = Date.now() / 1000;
    return history(backend.id, to - span, to, POINTS, signal);
  };
  const { data, error } = useLoad(load, [backend.id, span], { every: Math.max(10_000, span * 10) });
  if (error && !data) return <Trouble error={error} what="history" />;
  if (!data) return <Loading />;
  return (
    <div class="cards">
      {CARDS.filter((card) => card.metrics.some(([metric]) => data.series[metric]?.length)).map((card) => (
        <section key={card.title} class={`card ${card.isWide ? "wide" : ""}`}>
          <h2>{card.title}</h2>
          <Curve card={card} data={data} />
        </section>
      ))}
    </div>
  );
}

function Curve({ card, data }: { card: Card; data: History }): JSX.Element {
  const known = card.metrics.filter(([metric]) => data.series[metric]?.length);
  const times = [...new Set(known.flatMap(([metric]) => (data.series[metric] ?? []).map(([at]) => at)))].sort(
    (one, other) => one - other,
  );
  const lines = known.flatMap(([metric, name, color], index) => {
    const points = new Map((data.series[metric] ?? []).map((point) => [point[0], point]));
    const pick = (field: 1 | 2 | 3): (number | null)[] => times.map((at) => points.get(at)?.[field] ?? null);
    const mean: Line = { name, color, values: pick(2), isFilled: index === 0 };
    // Where a point stands for many samples, how high they went is told too.
    const peak: Line = { name: `${name}, highest`, color, values: pick(3), isUnnamed: true };
    return data.step > 0 && isVaried(points) ? [mean, peak] : [mean];
  });
  return (
    <Plot
      label={card.title}
      times={times}
      lines={lines}
      format={card.format}
      top={card.top}
      from={data.from}
      to={data.to}
      height={card.isWide ? 200 : 170}
    />
  );
}

function isVaried(points: Map<number, Point>): boolean {
  for (const [, low, , high] of points.values()) if (high > low) return true;
  return false;
}
