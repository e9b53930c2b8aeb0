/** What happens, as it happens. */
import type { JSX } from "preact";
import { moment } from "../lib/format";
import { now } from "../live/clock";
import * as events from "../live/events";
import * as fleet from "../live/fleet";
import { Empty } from "../parts/basics";

export function EventsPage(): JSX.Element {
  return (
    <div class="page">
      <header class="head">
        <h1>Events</h1>
        {events.state.value === "open" && <span class="sub">since this page was opened</span>}
      </header>
      <List />
    </div>
  );
}

function List(): JSX.Element {
  if (events.state.value === "unoffered") {
    return (
      <Empty title="This server does not offer that">
        <p>It knows no events. Every page here asks it again every few seconds instead.</p>
      </Empty>
    );
  }
  if (!events.recent.value.length) return <Empty title="Nothing has happened yet" />;
  return (
    <ol class="events" aria-live="off">
      {events.recent.value.map((event) => (
        <li key={event.id}>
          <time>{moment(event.at, now.value)}</time>
          <span class="kind">{event.kind.replaceAll("_", " ")}</span>
          {event.backend_id && <a href={`/backends/${event.backend_id}`}>{fleet.nameOf(event.backend_id)}</a>}
          <RunLink event={event} />
          <span class="sub mono cut">{rest(event.data)}</span>
        </li>
      ))}
    </ol>
  );
}

/** A run is one of a backend's, so there is a page of it only with the backend. */
function RunLink({ event }: { event: events.FleetEvent }): JSX.Element | null {
  const run = event.data.run;
  if (typeof run !== "string" || !run || !event.backend_id) return null;
  return (
    <a class="nowrap" href={`/backends/${event.backend_id}/runs/${run}`} title={run}>
      run …{run.slice(-6)}
    </a>
  );
}

function rest(data: Record<string, unknown>): string {
  return Object.entries(data)
    .filter(([name, value]) => name !== "run" && value !== null && value !== "")
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}
