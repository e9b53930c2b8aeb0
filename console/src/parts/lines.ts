/** What a plot is given: its lines, and the time they cover. */
import type uPlot from "uplot";

export interface Line {
  name: string;
  /** The name of a CSS custom property that holds its colour. */
  color: string;
  values: (number | null)[];
  isFilled?: boolean;
  isFaint?: boolean;
  /** Drawn, but not in the legend: the edges of a band. */
  isUnnamed?: boolean;
}

export interface PlotProps {
  label: string;
  times: number[];
  lines: Line[];
  /** What is written beside a value. */
  format: (value: number) => string;
  /** The upper end of the axis; it follows the values where there is none. */
  top?: number | undefined;
  from: number;
  to: number;
  height?: number;
}

/** The props as they are by now; a plot outlives those it was made with. */
export type Source = { current: PlotProps };

export function dataOf(props: PlotProps): uPlot.AlignedData {
  return [props.times, ...props.lines.map((line) => line.values)] as uPlot.AlignedData;
}
