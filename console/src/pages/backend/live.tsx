/** How a backend is now, measured every two seconds while somebody looks. */
import type { JSX } from "preact";
import type { Backend, TeleData } from "../../api/types";
import { bytes, percent } from "../../lib/format";
import { cpuShare } from "../../live/load";
import { type Sample, type Series, WINDOW } from "../../live/series";
import { Loading, Trouble } from "../../parts/basics";
import type { Line } from "../../parts/lines";
import { Plot } from "../../parts/plot";

/** Seconds that are shown at least; the window grows with what was measured. */
const SHORTEST = 60;

export function Live({ backend, series }: { backend: Backend; series: Series }): JSX.Element {
  const samples = series.samples.value;
  const last = samples.at(-1);
  if (!last) return series.error.value ? <Trouble error={series.error.value} what="telemetry" /> : <Loading />;
  const begin = samples[0]?.at ?? last.at;
  const frame = {
    times: samples.map((sample) => sample.at),
    from: Math.max(last.at - WINDOW, Math.min(begin, last.at - SHORTEST)),
    to: last.at,
  };
  const cpu = cpuShare(last.data);
  const used = last.data.ttl_mem_usage?.[0];
  const whole = (last.data.ttl_mem_usage ?? []).reduce((sum, each) => sum + each, 0);
  return (
    <div class="cards">
      <section class="card wide">
        <h2>
          CPU <strong>{cpu === undefined ? "" : percent(cpu)}</strong>
        </h2>
        <Plot label="CPU" lines={cores(samples)} format={percent} top={1} {...frame} height={200} />
      </section>
      <section class="card">
        <h2>
          Memory{" "}
          <strong>
            {used === undefined ? "" : megabytes(used)} <small class="sub">of {megabytes(whole)}</small>
          </strong>
        </h2>
        <Plot label="Memory" lines={memory(samples)} format={megabytes} top={whole || 1} {...frame} />
      </section>
      <section class="card">
        <h2>Disks</h2>
        <Disks disks={last.data.disk_util ?? {}} />
      </section>
      <section class="card">
        <h2>Tunnel</h2>
        <Tunnel status={last.data.vpn_status} backend={backend} />
      </section>
    </div>
  );
}

function cores(samples: Sample[]): Line[] {
  const many = samples.at(-1)?.data.ttl_cpu_usage?.length ?? 1;
  const of = (core: number): (number | null)[] => samples.map((sample) => sample.data.ttl_cpu_usage?.[core] ?? null);
  if (many === 1) return [{ name: "CPU", color: "--accent", values: of(0), isFilled: true }];
  const mean = samples.map((sample) => cpuShare(sample.data) ?? null);
  const each = Array.from({ length: many }, (_, core) => core).map((core) => ({
    name: `core ${core}`,
    color: `--plot-${core % 8}`,
    values: of(core),
    isFaint: true,
  }));
  return [{ name: "all cores", color: "--accent", values: mean, isFilled: true }, ...each];
}

function memory(samples: Sample[]): Line[] {
  const of = (index: number): (number | null)[] => samples.map((sample) => sample.data.ttl_mem_usage?.[index] ?? null);
  const used = of(0);
  const cache = of(1).map((value, index) => (value === null ? null : value + (used[index] ?? 0)));
  return [
    { name: "used", color: "--accent", values: used, isFilled: true },
    { name: "with cache", color: "--plot-1", values: cache, isFaint: true },
  ];
}

function megabytes(value: number): string {
  return bytes(value * 1e6);
}

function Disks({ disks }: { disks: Record<string, number[]> }): JSX.Element {
  const rows = Object.entries(disks);
  if (!rows.length) return <p class="sub">None is told.</p>;
  return (
    <ul class="disks">
      {rows.map(([device, [used = 0, free = 0]]) => {
        const share = used + free ? used / (used + free) : 0;
        return (
          <li key={device}>
            <span class="mono cut">{device}</span>
            <span class="number">
              {bytes(used)} of {bytes(used + free)}
            </span>
            <span class={`bar ${share > 0.9 ? "bad" : ""}`} aria-hidden="true">
              <span style={{ width: `${share * 100}%` }} />
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function Tunnel({ status, backend }: { status: TeleData["vpn_status"]; backend: Backend }): JSX.Element {
  if (!status) {
    return (
      <p class="sub">
        No tunnel is up. <a href={`/backends/${backend.id}/vpn`}>Connect it to the VPN</a>
      </p>
    );
  }
  const facts: [string, string][] = [
    ["Interface", status.ifname],
    ["Kind", status.conn_type],
    ["Server", status.conn_host],
    ["Addresses", `${status.conn_ip4} ${status.conn_ip6}`],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class="mono">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
