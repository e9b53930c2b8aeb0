/** A plot over time, with its legend. uPlot is loaded when the first one is shown. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { isDark } from "../live/theme";
import { dataOf, type Line, type PlotProps } from "./lines";

const MOST_NAMED = 9;

export function Plot(props: PlotProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;
  /** Where the cursor is; the legend tells the values there, else the last ones. */
  const [index, setIndex] = useState<number | null>(null);
  const shape = `${props.lines.map((line) => line.name).join("\n")}|${isDark.value}|${props.label}`;
  // Drawn anew where lines or colours change.
  useEffect(() => {
    let isGone = false;
    const element = box.current as HTMLDivElement;
    const observer = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height: latest.current.height ?? 170 });
    });
    void import("./uplot").then(({ draw }) => {
      if (isGone) return;
      plot.current = draw(element, latest, setIndex);
      observer.observe(element);
    });
    return () => {
      isGone = true;
      observer.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape]);
  useEffect(() => {
    plot.current?.setData(dataOf(props));
  }, [props.times, props.lines, props.from, props.to]);
  const named = props.lines.filter((line) => !line.isUnnamed);
  const told = named.map((line) => ({ ...line, text: textOf(line, index, props.format) }));
  const said = told
    .slice(0, 4)
    .map((line) => `${line.name} ${line.text}`)
    .join(", ");
  return (
    <div class="plot">
      <div
        ref={box}
        role="img"
        aria-label={`${props.label}: ${said}`}
        style={{ minHeight: `${props.height ?? 170}px` }}
      />
      {named.length <= MOST_NAMED && <Legend lines={told} />}
    </div>
  );
}

function textOf(line: Line, index: number | null, format: (value: number) => string): string {
  const value = index === null ? line.values.findLast((each) => each !== null) : line.values[index];
  return value == null ? "" : format(value);
}

function Legend({ lines }: { lines: (Line & { text: string })[] }): JSX.Element {
  return (
    <ul class="legend" aria-hidden="true">
      {lines.map((line) => (
        <li key={line.name}>
          <svg viewBox="0 0 10 3" aria-hidden="true">
            <rect width="10" height="3" rx="1.5" fill={`var(${line.color})`} />
          </svg>
          {line.name} <b>{line.text}</b>
        </li>
      ))}
    </ul>
  );
}
