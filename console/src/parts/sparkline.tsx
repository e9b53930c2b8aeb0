import type { JSX } from "preact";

const WIDTH = 96;
const HEIGHT = 22;

/** The points of a curve of shares (0 to 1), the newest at the right edge; `room` values fill the width. */
export function points(values: (number | null)[], room: number): string {
  const step = WIDTH / (room - 1);
  const start = WIDTH - (values.length - 1) * step;
  const y = (value: number): number => HEIGHT - 1 - Math.min(1, Math.max(0, value)) * (HEIGHT - 2);
  return values
    .map((value, index) => (value === null ? "" : `${(start + index * step).toFixed(1)},${y(value).toFixed(1)}`))
    .filter(Boolean)
    .join(" ");
}

export function Sparkline({ values, room = 30 }: { values: (number | null)[]; room?: number }): JSX.Element {
  const line = points(values.slice(-room), room);
  const left = line.split(",")[0];
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" preserveAspectRatio="none">
      <line x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
      {line.includes(" ") && (
        <>
          <polygon points={`${left},${HEIGHT} ${line} ${WIDTH},${HEIGHT}`} />
          <polyline points={line} />
        </>
      )}
    </svg>
  );
}
