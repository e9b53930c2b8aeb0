/** A long list of which only the rows in sight exist. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

interface VirtualProps<T> {
  rows: T[];
  keyOf: (row: T) => string;
  /** Pixels of a row; all are equally high. */
  height: number;
  label: string;
  columns: number;
  head: ComponentChildren;
  render: (row: T, index: number) => ComponentChildren;
  /** Told which rows are in sight, whenever that changes. */
  onSight?: (rows: T[]) => void;
}

const SPARE = 8;

/** Its rows are at places of their own within one tall box, so scrolling moves nothing but what appears. */
export function Virtual<T>(props: VirtualProps<T>): JSX.Element {
  const { rows, keyOf, height, label, columns, head, render, onSight } = props;
  const box = useRef<HTMLDivElement>(null);
  const [sight, setSight] = useState({ first: 0, last: 30 });
  const look = (): void => {
    const element = box.current;
    if (!element) return;
    const first = Math.max(0, Math.floor(element.scrollTop / height) - SPARE);
    const last = Math.ceil((element.scrollTop + element.clientHeight) / height) + SPARE;
    setSight((before) => (before.first === first && before.last === last ? before : { first, last }));
  };
  // A list that shrinks changes what is in sight.
  useLayoutEffect(look, [rows.length, height]);
  useEffect(() => {
    const observer = new ResizeObserver(look);
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, [height]);
  const seen = rows.slice(sight.first, sight.last);
  // Told when the window or the list changes.
  useEffect(() => onSight?.(seen), [sight, rows]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys are for the links within
    <div class="virtual" ref={box} onScroll={look} onKeyDown={move}>
      <div role="table" aria-label={label} aria-rowcount={rows.length + 1} aria-colcount={columns}>
        <div role="rowgroup" class="virtual-head">
          {head}
        </div>
        <div role="rowgroup" class="virtual-body" style={{ height: `${rows.length * height}px` }}>
          {seen.map((row, index) => (
            <div
              key={keyOf(row)}
              class="virtual-row"
              role="row"
              aria-rowindex={sight.first + index + 2}
              style={{ height: `${height}px`, transform: `translateY(${(sight.first + index) * height}px)` }}
            >
              {render(row, sight.first + index)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );

  /** Arrow keys go from row to row, by the link in each. */
  function move(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    const current = (event.target as Element).closest<HTMLElement>(".virtual-row");
    if (!step || !current || !box.current) return;
    event.preventDefault();
    const index = Number(current.ariaRowIndex) - 2 + step;
    if (index < 0 || index >= rows.length) return;
    const top = index * height;
    const shown = box.current.clientHeight - height * 2;
    if (top < box.current.scrollTop) box.current.scrollTop = top;
    else if (top > box.current.scrollTop + shown) box.current.scrollTop = top - shown;
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[aria-rowindex="${index + 2}"] a`)?.focus());
  }
}
