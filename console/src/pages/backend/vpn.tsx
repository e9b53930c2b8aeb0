/** A backend's place in the VPN. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Backend } from "../../api/types";
import * as api from "../../api/vpn";
import { ago, bytes, moment } from "../../lib/format";
import { useLoad } from "../../lib/load";
import { now } from "../../live/clock";
import type { Series } from "../../live/series";
import { canOperate, server } from "../../live/session";
import { Button, Dot, Empty, Loading, Snippet, Trouble } from "../../parts/basics";
import { confirm } from "../../parts/dialog";
import { notify } from "../../parts/toast";

const NAMES: Record<string, string> = { wireguard: "WireGuard", openvpn: "OpenVPN" };

export function VpnTab({ backend, series }: { backend: Backend; series: Series }): JSX.Element {
  const kinds = server.value?.vpn ?? ["wireguard"];
  if (!kinds.length) {
    return (
      <Empty title="The server hands out no VPN">
        <p>
          Start it with <code>QUIX_VPN__WIREGUARD__ENABLED=true</code> and an endpoint.
        </p>
      </Empty>
    );
  }
  return (
    <>
      {kinds.map((kind) => (
        <Kind key={kind} kind={kind} backend={backend} series={series} />
      ))}
    </>
  );
}

interface KindProps {
  kind: string;
  backend: Backend;
  series: Series;
}

function Kind({ kind, backend, series }: KindProps): JSX.Element {
  const [text, setText] = useState("");
  const load = (signal: AbortSignal): Promise<api.Lease> => api.getLease(backend.id, kind, signal);
  const { data: lease, error, reload } = useLoad(load, [backend.id, kind], { every: 5000 });
  const isWithout = error?.reason === "lease_unknown";
  if (error && !isWithout) return <Trouble error={error} what="VPN" />;
  if (!lease && !error) return <Loading />;
  const configure = async (): Promise<void> => {
    if (lease?.public_key) {
      const warning = "A configuration that was handed out before ends to work.";
      if (!(await confirm("Make a new configuration?", warning, "Make it"))) return;
    }
    setText((await api.configure(backend.id, kind)).conf_data);
    reload();
  };
  const held = isWithout ? undefined : lease;
  const status = series.last?.vpn_status;
  return (
    <section class="card">
      <div class="head">
        <h2>{NAMES[kind] ?? kind}</h2>
        {held && <Dot {...stateOf(held, status?.conn_type === kind)} />}
      </div>
      {held ? <Facts lease={held} /> : <p class="sub">{backend.name} has no place in it yet.</p>}
      {canOperate.value && (
        <Actions kind={kind} backend={backend} lease={held} onChange={reload} onConfigure={configure} />
      )}
      {text && <Configuration text={text} name={`${backend.name}.${kind === "openvpn" ? "ovpn" : "conf"}`} />}
    </section>
  );
}

function Facts({ lease }: { lease: api.Lease }): JSX.Element {
  const { traffic } = lease;
  return (
    <dl class="facts">
      <Fact name="Addresses" value={`${lease.address4}  ${lease.address6}`} />
      <Fact name="Key" value={lease.public_key ?? "no configuration in use"} />
      <Fact name="Since" value={moment(lease.issued_at, now.value)} />
      {traffic && (
        <>
          <Fact name="Handshake" value={traffic.last_handshake ? ago(traffic.last_handshake, now.value) : "none yet"} />
          <Fact name="From" value={traffic.endpoint || "nowhere yet"} />
          <Fact name="Received" value={bytes(traffic.received)} />
          <Fact name="Sent" value={bytes(traffic.sent)} />
        </>
      )}
    </dl>
  );
}

interface ActionsProps {
  kind: string;
  backend: Backend;
  lease: api.Lease | undefined;
  onChange: () => void;
  onConfigure: () => unknown;
}

const DONE = { up: "The tunnel comes up.", down: "The tunnel is down.", rotate: "It has new keys." };

function Actions({ kind, backend, lease, onChange, onConfigure }: ActionsProps): JSX.Element {
  if (lease && lease.revoked_at !== null) {
    return (
      <div class="row">
        <Button kind="main" onClick={() => api.restore(backend.id, kind).then(onChange)}>
          Restore
        </Button>
      </div>
    );
  }
  const tell = async (action: keyof typeof DONE): Promise<void> => {
    await api.change(backend.id, kind, action);
    notify(DONE[action]);
    onChange();
  };
  // Agents that see to their tunnels themselves say so; for others the configuration has to be carried there.
  const isAble = backend.extensions.vpn !== undefined;
  return (
    <div class="row wrap">
      {isAble && (
        <>
          <Button kind="main" onClick={() => tell("up")}>
            Connect
          </Button>
          {lease && <Button onClick={() => tell("down")}>Disconnect</Button>}
          {lease && <Button onClick={() => tell("rotate")}>New keys</Button>}
        </>
      )}
      <Button onClick={onConfigure}>{lease ? "Configuration…" : `Give ${backend.name} an address`}</Button>
      {lease && (
        <Button kind="danger" onClick={() => revokeLease(backend, kind, onChange)}>
          Revoke…
        </Button>
      )}
    </div>
  );
}

export async function revokeLease(
  backend: { id: string; name: string },
  kind: string,
  after: () => void,
): Promise<void> {
  const text = "Its tunnel ends to work. It keeps its addresses for when the lease is restored.";
  if (!(await confirm(`Revoke the VPN lease of ${backend.name}?`, text, "Revoke"))) return;
  await api.revoke(backend.id, kind);
  after();
}

export function stateOf(lease: api.Lease, isUp: boolean): { tone: "good" | "bad" | "off"; label: string } {
  if (lease.revoked_at !== null) return { tone: "bad", label: "revoked" };
  const heard = lease.traffic?.last_handshake;
  // WireGuard shakes hands every two minutes while anything is sent, and gives a session up after three.
  if (heard && now.value - heard < 180) return { tone: "good", label: "connected" };
  if (isUp) return { tone: "good", label: "up" };
  return { tone: "off", label: lease.public_key ? "handed out" : "no key" };
}

function Fact({ name, value }: { name: string; value: string }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="mono">{value}</dd>
    </div>
  );
}

function Configuration({ text, name }: { text: string; name: string }): JSX.Element {
  return (
    <div class="stack">
      <p class="note">This configuration holds the private key and is shown once.</p>
      <Snippet name="VPN configuration" text={text} />
      <p>
        <a class="button" href={`data:text/plain;charset=utf-8,${encodeURIComponent(text)}`} download={name}>
          Download {name}
        </a>
      </p>
    </div>
  );
}
