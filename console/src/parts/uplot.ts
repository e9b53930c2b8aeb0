/** uPlot with the console's colours; in a file of its own, so that the first page does without it. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { time24 } from "../lib/format";
import { dataOf, type Line, type Source } from "./lines";

const DAY = 86400;

export function draw(element: HTMLElement, source: Source, onCursor: (index: number | null) => void): uPlot {
  const { lines, height = 170 } = source.current;
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const options: uPlot.Options = {
    width: element.clientWidth || 320,
    height,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    hooks: { setCursor: [(plot) => onCursor((plot.cursor.left ?? -1) < 0 ? null : (plot.cursor.idx ?? null))] },
    scales: {
      x: { time: true, range: () => [source.current.from, source.current.to] },
      y: { range: (_plot, _low, high) => [0, source.current.top ?? (high > 0 ? high * 1.1 : 1)] },
    },
    axes: [
      { ...axis(color), size: 30, space: 80, values: (_plot, ticks) => ticks.map((at) => clock(at, source)) },
      { ...axis(color), size: 58, values: (_plot, ticks) => ticks.map(source.current.format) },
    ],
    series: [{}, ...lines.map((line) => series(line, color))],
  };
  return new uPlot(options, dataOf(source.current), element);
}

function axis(color: (name: string) => string): uPlot.Axis {
  return {
    stroke: color("--muted"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    space: 36,
    gap: 6,
  };
}

function series(line: Line, color: (name: string) => string): uPlot.Series {
  const stroke = color(line.color);
  return {
    label: line.name,
    stroke: line.isUnnamed ? `${stroke}55` : stroke,
    width: line.isFaint || line.isUnnamed ? 1 : 1.75,
    alpha: line.isFaint ? 0.65 : 1,
    ...(line.isFilled ? { fill: `${stroke}26` } : {}),
    points: { show: false },
    spanGaps: true,
  };
}

/** The time where the plot is short, the day where it is long. */
function clock(at: number, source: Source): string {
  const span = source.current.to - source.current.from;
  if (span > 2 * DAY) return new Date(at * 1000).toLocaleDateString(undefined, { month: "short", day: "numeric" });
  return span > 900 ? time24(at).slice(0, 5) : time24(at);
}
