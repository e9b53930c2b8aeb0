/** One backend: what it is, how it is, what runs on it. */
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { getBackend } from "../../api/backends";
import type { Backend } from "../../api/types";
import { ago, moment } from "../../lib/format";
import { useLoad } from "../../lib/load";
import { now } from "../../live/clock";
import * as fleet from "../../live/fleet";
import { Series } from "../../live/series";
import { CopyButton, Empty, Loading, Trouble } from "../../parts/basics";
import { useNarrow } from "../../parts/narrow";
import { BackendAlerts } from "./alerts";
import { Head } from "./head";
import { Overview } from "./overview";
import { Processes } from "./processes";
import { RunView } from "./run";
import { Runs } from "./runs";
import { VpnTab } from "./vpn";

const TABS: [string, string][] = [
  ["", "Overview"],
  ["processes", "Processes"],
  ["runs", "Runs"],
  ["vpn", "VPN"],
];

export function BackendPage({ id, rest }: { id: string; rest: string[] }): JSX.Element {
  // The fleet knows it most of the time, and keeps it current.
  const loaded = useLoad((signal) => getBackend(id, signal), [id]);
  const known = fleet.backends.value.find((backend) => backend.id === id);
  const backend = known ?? loaded.data;
  const series = useMemo(() => new Series(id), [id]);
  const isConnected = backend?.connected ?? false;
  useEffect(() => {
    if (!isConnected) return undefined;
    series.begin();
    return () => series.end();
  }, [series, isConnected]);
  if (!backend) {
    if (!loaded.error) return <Loading />;
    if (loaded.error.reason !== "backend_unknown") return <Trouble error={loaded.error} what="backends" />;
    return (
      <Empty title="There is no such machine">
        <p>
          It was removed, or never was. <a href="/">Go to the fleet</a>
        </p>
      </Empty>
    );
  }
  return (
    <div class="page">
      <header class="machine">
        <Head backend={backend} />
        <Facts backend={backend} />
      </header>
      <BackendAlerts id={backend.id} />
      <Tabs backend={backend} current={rest[0] ?? ""} />
      <Tab backend={backend} series={series} rest={rest} />
    </div>
  );
}

function Facts({ backend }: { backend: Backend }): JSX.Element {
  const since = backend.connected_since;
  const isNarrow = useNarrow();
  return (
    <details class="folded" open={!isNarrow}>
      <summary>About this machine</summary>
      <dl class="facts">
        <Fact name="System" value={backend.facts ? `${backend.facts.os}, ${backend.facts.kernel}` : "not told"} />
        {backend.revoked_at !== null && <Fact name="Revoked" value={moment(backend.revoked_at, now.value)} />}
        {backend.given_name && <Fact name="Its own name" value={backend.facts?.name ?? "not told"} />}
        <Fact name="Host" value={backend.facts?.hostname ?? ""} />
        <Fact name="Address" value={backend.address} />
        {since !== null && <Fact name="Connected" value={ago(since, now.value)} />}
        <Fact name="Enrolled" value={`${moment(backend.created_at, now.value)} by ${backend.enrolled_by}`} />
        <Fact name="Agent" value={backend.facts?.agent_version ?? "other"} />
        <div>
          <dt>Id</dt>
          <dd class="mono row">
            {backend.id} <CopyButton text={backend.id} />
          </dd>
        </div>
      </dl>
    </details>
  );
}

function Fact({ name, value }: { name: string; value: string }): JSX.Element | null {
  return value ? (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  ) : null;
}

function Tabs({ backend, current }: { backend: Backend; current: string }): JSX.Element {
  return (
    <nav class="tabs" aria-label={`About ${backend.name}`}>
      {TABS.map(([tab, name]) => (
        <a
          key={tab}
          href={`/backends/${backend.id}${tab && `/${tab}`}`}
          aria-current={tab === current ? "page" : undefined}
        >
          {name}
        </a>
      ))}
    </nav>
  );
}

interface TabProps {
  backend: Backend;
  series: Series;
  rest: string[];
}

function Tab({ backend, series, rest: [tab, run] }: TabProps): JSX.Element {
  switch (tab) {
    case "processes":
      return <Processes backend={backend} />;
    case "runs":
      return run ? <RunView key={run} backend={backend} id={run} /> : <Runs backend={backend} />;
    case "vpn":
      return <VpnTab backend={backend} series={series} />;
    default:
      return <Overview backend={backend} series={series} />;
  }
}
