/** Every machine in one table. */
import { computed, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Backend } from "../api/types";
import { ago, count, percent } from "../lib/format";
import { labelsOf, matches, parse, stateOf } from "../lib/search";
import { type Column, sorted } from "../lib/sorting";
import { now } from "../live/clock";
import { isAsked, query, reset, shown, toggle } from "../live/filter";
import * as fleet from "../live/fleet";
import * as load from "../live/load";
import { canOperate } from "../live/session";
import { Button, Chip, Empty, Loading, Trouble } from "../parts/basics";
import { useNarrow } from "../parts/narrow";
import { Sparkline } from "../parts/sparkline";
import { Virtual } from "../parts/virtual";
import { EnrolDialog, EnrolSteps } from "./enrol";

const order = signal<{ column: Column; isDown: boolean }>({ column: "name", isDown: false });

const TONES = { online: "good", offline: "off", revoked: "bad" } as const;

const online = computed(() => fleet.backends.value.filter((backend) => backend.connected).length);

const rows = computed(() => {
  const wanted = parse(query.value);
  const found = fleet.backends.value.filter(
    (backend) => (shown.value === "all" || stateOf(backend) === shown.value) && matches(wanted, backend),
  );
  // The order by load follows the load; the others do without looking at it.
  const measured =
    order.value.column === "cpu" || order.value.column === "memory" ? load.loads.value : load.loads.peek();
  return sorted(found, order.value.column, order.value.isDown, (backend) => load.loadOf(backend, measured));
});

export function FleetPage(): JSX.Element {
  const [isEnrolling, setEnrolling] = useState(false);
  const isNarrow = useNarrow();
  useEffect(() => load.end, []);
  const all = fleet.backends.value;
  if (!fleet.isLoaded.value && !all.length) {
    return fleet.error.value ? <Trouble error={fleet.error.value} what="backends" /> : <Loading />;
  }
  return (
    <div class="page fill">
      <header class="head">
        <h1>Fleet</h1>
        <span class="sub">
          {online.value.toLocaleString()} of {count(all.length, "machine")} online
        </span>
        {canOperate.value && all.length > 0 && (
          <Button kind="main" label="Add a machine" onClick={() => setEnrolling(true)}>
            {isNarrow ? "Add" : "Add a machine"}
          </Button>
        )}
      </header>
      {fleet.error.value && <Trouble error={fleet.error.value} what="backends" />}
      {all.length ? <Table /> : <Newcomer />}
      {isEnrolling && <EnrolDialog onClose={() => setEnrolling(false)} />}
    </div>
  );
}

function Newcomer(): JSX.Element {
  return (
    <Empty title="No machine yet">
      <p>A machine needs nothing but a way out to this server.</p>
      <EnrolSteps />
      <p class="sub">It appears here by itself as soon as it has enrolled.</p>
    </Empty>
  );
}

function Table(): JSX.Element {
  const narrow = useNarrow();
  return (
    <>
      <div class="tools">
        <input
          type="search"
          placeholder="Search: name, address, system, label=value"
          aria-label="Search the fleet"
          aria-keyshortcuts="/"
          value={query.value}
          onInput={(event) => {
            query.value = event.currentTarget.value;
          }}
        />
        <fieldset class="choice">
          <legend class="unseen">Show</legend>
          {(["all", "online", "offline", "revoked"] as const).map((one) => (
            <Button
              key={one}
              pressed={shown.value === one}
              onClick={() => {
                shown.value = one;
              }}
            >
              {{ all: "All", online: "Online", offline: "Offline", revoked: "Revoked" }[one]}
            </Button>
          ))}
        </fieldset>
      </div>
      {rows.value.length ? (
        <Virtual
          rows={rows.value}
          keyOf={(backend) => backend.id}
          height={narrow ? 64 : 42}
          label="Machines"
          columns={7}
          head={<Head />}
          render={(backend) => <Row backend={backend} />}
          onSight={(seen) => load.watch(seen.filter((backend) => backend.connected).map((backend) => backend.id))}
        />
      ) : (
        <Empty title="Nothing fits">
          <Button onClick={reset}>Show all machines</Button>
        </Empty>
      )}
    </>
  );
}

const COLUMNS: [Column, string][] = [
  ["name", "Machine"],
  ["labels", "Labels"],
  ["system", "System"],
  ["address", "Address"],
  ["cpu", "CPU"],
  ["memory", "Memory"],
  ["seen", "Seen"],
];

function Head(): JSX.Element {
  return (
    <div class="fleet-row head-row" role="row" aria-rowindex={1}>
      {COLUMNS.map(([column, name]) => {
        const isSorted = order.value.column === column;
        const direction = order.value.isDown ? "descending" : "ascending";
        return (
          <div key={column} role="columnheader" class={`c-${column}`} aria-sort={isSorted ? direction : "none"}>
            <button type="button" onClick={() => sortBy(column)}>
              {name}
              <span aria-hidden="true">{isSorted ? (order.value.isDown ? " ↓" : " ↑") : ""}</span>
            </button>
          </div>
        );
      })}
    </div>
  );
}

function sortBy(column: Column): void {
  const before = order.value;
  const downFirst = column === "cpu" || column === "memory" || column === "seen";
  order.value = { column, isDown: before.column === column ? !before.isDown : downFirst };
}

function Row({ backend }: { backend: Backend }): JSX.Element {
  const known = load.loadOf(backend, load.loads.value);
  const cpu = backend.connected ? known?.cpu.at(-1) : undefined;
  const memory = backend.connected ? known?.memory : undefined;
  const state = stateOf(backend);
  return (
    <div class={`fleet-row ${backend.connected ? "" : "away"}`} role="none">
      <div role="cell" class="c-name">
        <a href={`/backends/${backend.id}`}>
          <span class={`dot ${TONES[state]}`} aria-hidden="true" />
          <span class="cut">{backend.name}</span>
          <span class={state === "revoked" ? "chip bad" : "unseen"}>{state}</span>
        </a>
      </div>
      <div role="cell" class="c-labels">
        {Object.entries(labelsOf(backend)).map(([name, value]) => (
          <Chip key={name} name={name} value={value} isOn={isAsked(name, value)} onClick={() => toggle(name, value)} />
        ))}
      </div>
      <div role="cell" class="c-system cut">
        {backend.facts ? `${backend.facts.os} · ${backend.facts.arch}` : ""}
      </div>
      <div role="cell" class="c-address cut mono">
        {backend.address}
      </div>
      <div role="cell" class="c-cpu">
        {known && <Sparkline values={known.cpu} />}
        <span class="number">{cpu == null ? "" : percent(cpu)}</span>
      </div>
      <div role="cell" class="c-memory">
        {memory !== undefined && (
          <>
            <span class="bar" aria-hidden="true">
              <span style={{ width: `${memory * 100}%` }} />
            </span>
            <span class="number">{percent(memory)}</span>
          </>
        )}
      </div>
      <div role="cell" class="c-seen">
        {backend.connected ? "now" : ago(backend.last_seen, now.value)}
      </div>
    </div>
  );
}
