/** How a backend is: its load, now and over time. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Backend } from "../../api/types";
import type { Series } from "../../live/series";
import { Button, Empty } from "../../parts/basics";
import { Before } from "./before";
import { Live } from "./live";

const SPANS: [string, number][] = [
  ["Live", 0],
  ["1 h", 3600],
  ["24 h", 86400],
  ["7 d", 7 * 86400],
  ["30 d", 30 * 86400],
];

export function Overview({ backend, series }: { backend: Backend; series: Series }): JSX.Element {
  const isKept = backend.load !== undefined;
  const [span, setSpan] = useState(0);
  const chosen = isKept && !backend.connected && !span ? 3600 : span;
  return (
    <>
      {isKept && (
        <fieldset class="choice">
          <legend class="unseen">Time that is shown</legend>
          {SPANS.filter(([, seconds]) => seconds || backend.connected).map(([name, seconds]) => (
            <Button key={name} pressed={chosen === seconds} onClick={() => setSpan(seconds)}>
              {name}
            </Button>
          ))}
        </fieldset>
      )}
      {chosen ? (
        <Before key={chosen} backend={backend} span={chosen} />
      ) : backend.connected || series.samples.value.length ? (
        <Live backend={backend} series={series} />
      ) : (
        <Empty title="It is offline">
          <p>Its load appears here as soon as its agent is back. Its programs may well go on meanwhile.</p>
        </Empty>
      )}
    </>
  );
}
