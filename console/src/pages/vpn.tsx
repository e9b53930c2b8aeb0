/** Who is in the VPN. */
import type { JSX } from "preact";
import * as api from "../api/vpn";
import { ago, bytes, count } from "../lib/format";
import { useLoad } from "../lib/load";
import { now } from "../live/clock";
import * as fleet from "../live/fleet";
import { canOperate, server } from "../live/session";
import { Button, Dot, Empty } from "../parts/basics";
import { Listing } from "../parts/listing";
import { type Head, Table } from "../parts/table";
import { revokeLease, stateOf } from "./backend/vpn";

export function VpnPage(): JSX.Element {
  const { data, error, reload } = useLoad(all, [], { every: 5000 });
  return (
    <Listing
      title="VPN"
      sub={data && <span class="sub">{count(data.length, "peer")}</span>}
      what="VPN"
      rows={data}
      error={error}
      search={{ label: "Search peers", placeholder: "Search: machine, address" }}
      mentions={(lease, word) =>
        `${fleet.nameOf(lease.backend_id)} ${lease.address4} ${lease.address6}`.toLowerCase().includes(word)
      }
      none={<Nobody />}
      table={(leases) => (
        <Table label="VPN peers" heads={canOperate.value ? [...HEADS, "Lease"] : HEADS}>
          {leases.map((lease) => (
            <Peer key={`${lease.backend_id} ${lease.conf_type}`} lease={lease} onChange={reload} />
          ))}
        </Table>
      )}
    />
  );
}

const HEADS: Head[] = [
  "Machine",
  "State",
  "Kind",
  "IPv4",
  "IPv6",
  "Handshake",
  { number: "From it" },
  { number: "To it" },
];

async function all(): Promise<api.Lease[]> {
  const leases: api.Lease[] = [];
  let after: string | undefined;
  do {
    const page = await api.listLeases(after);
    leases.push(...page.items);
    after = page.next ?? undefined;
  } while (after);
  return leases;
}

function Nobody(): JSX.Element {
  return (
    <Empty title="Nobody is in the VPN yet">
      {server.value && !server.value.vpn.length ? (
        <p>
          The server hands out no VPN: start it with <code>QUIX_VPN__WIREGUARD__ENABLED=true</code> and an endpoint.
        </p>
      ) : (
        <p>
          Open a machine of the <a href="/">fleet</a>, and there its page VPN.
        </p>
      )}
    </Empty>
  );
}

function Peer({ lease, onChange }: { lease: api.Lease; onChange: () => void }): JSX.Element {
  const machine = { id: lease.backend_id, name: fleet.nameOf(lease.backend_id) };
  const { traffic } = lease;
  return (
    <tr>
      <td>
        <a href={`/backends/${machine.id}/vpn`}>{machine.name}</a>
      </td>
      <td>
        <Dot {...stateOf(lease, false)} />
      </td>
      <td>{lease.conf_type}</td>
      <td class="mono">{lease.address4}</td>
      <td class="mono">{lease.address6}</td>
      <td class="nowrap">{traffic?.last_handshake ? ago(traffic.last_handshake, now.value) : ""}</td>
      <td class="number nowrap">{traffic ? bytes(traffic.received) : ""}</td>
      <td class="number nowrap">{traffic ? bytes(traffic.sent) : ""}</td>
      {canOperate.value && (
        <td>
          {lease.revoked_at === null ? (
            <Button onClick={() => revokeLease(machine, lease.conf_type, onChange)}>Revoke…</Button>
          ) : (
            <Button onClick={() => api.restore(lease.backend_id, lease.conf_type).then(onChange)}>Restore</Button>
          )}
        </td>
      )}
    </tr>
  );
}
