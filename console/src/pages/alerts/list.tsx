/** Alerts: those that fire first, then those that are over. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { listAlerts } from "../../api/alerts";
import type { Alert } from "../../api/types";
import { duration, moment } from "../../lib/format";
import { useLoad } from "../../lib/load";
import * as live from "../../live/alerts";
import { now } from "../../live/clock";
import { canAdminister } from "../../live/session";
import { Button, Empty, Loading, Trouble } from "../../parts/basics";
import { useNarrow } from "../../parts/narrow";
import { AlertInShort, FiringTable, RuleCell, SeverityTag, valueTold } from "./row";

export function AlertList(): JSX.Element {
  const [older, setOlder] = useState<Alert[]>([]);
  const [next, setNext] = useState<string | null>();
  const { data, error } = useLoad((signal) => listAlerts({ state: "resolved" }, signal), [], {
    every: 10_000,
    on: (event) => event.kind.startsWith("alert"),
  });
  const trouble = error ?? live.error.value;
  const known = new Set(older.map((alert) => alert.id));
  const over = [...(data?.items ?? []).filter((alert) => !known.has(alert.id)), ...older];
  const cursor = next === undefined ? data?.next : next;
  const more = async (): Promise<void> => {
    const page = await listAlerts({ state: "resolved", after: cursor ?? "" });
    setOlder((before) => [...(before.length ? before : (data?.items ?? [])), ...page.items]);
    setNext(page.next);
  };
  const firing = live.firing.value;
  if (trouble && !data) return <Trouble error={trouble} what="alerts" />;
  if (!data) return <Loading />;
  return (
    <>
      {trouble && <Trouble error={trouble} what="alerts" />}
      {firing.length ? <FiringTable alerts={firing} isMachineShown /> : <Quiet />}
      {live.isMore.value && <p class="sub">The oldest of those that fire are not shown.</p>}
      {over.length > 0 && (
        <section class="stack">
          <h2>Over</h2>
          <OverTable alerts={over} />
        </section>
      )}
      {cursor && (
        <p>
          <Button onClick={more}>Older</Button>
        </p>
      )}
    </>
  );
}

function Quiet(): JSX.Element {
  const count = live.rules.value.size;
  return (
    <Empty title="Nothing fires">
      {count ? (
        <p>
          <a href="/alerts/rules">{count === 1 ? "1 rule" : `${count} rules`}</a> {count === 1 ? "watches" : "watch"}{" "}
          the fleet.
        </p>
      ) : (
        <p>
          No rule watches the fleet yet.{" "}
          {canAdminister.value ? <a href="/alerts/rules">Make one</a> : "An admin can make one."}
        </p>
      )}
    </Empty>
  );
}

function OverTable({ alerts }: { alerts: Alert[] }): JSX.Element {
  if (useNarrow()) return <OverList alerts={alerts} />;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Alerts that are over">
      <table>
        <thead>
          <tr>
            <th scope="col">Severity</th>
            <th scope="col">Rule</th>
            <th scope="col">Machine</th>
            <th scope="col" class="number">
              Value
            </th>
            <th scope="col">Began</th>
            <th scope="col">Ended</th>
          </tr>
        </thead>
        <tbody>
          {alerts.map((alert) => (
            <tr key={alert.id}>
              <td>
                <SeverityTag severity={alert.severity} />
              </td>
              <td class="grow">
                <RuleCell alert={alert} />
              </td>
              <td>
                <a href={`/backends/${alert.backend_id}`}>{alert.backend_name}</a>
              </td>
              <td class="number nowrap">{valueTold(alert)}</td>
              <td class="nowrap">{moment(alert.started_at, now.value)}</td>
              <td class="nowrap">{alert.ended_at === null ? "" : moment(alert.ended_at, now.value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function OverList({ alerts }: { alerts: Alert[] }): JSX.Element {
  return (
    <ul class="panel listed" aria-label="Alerts that are over">
      {alerts.map((alert) => (
        <li key={alert.id}>
          <AlertInShort alert={alert} isMachineShown when={spanOf(alert)} />
        </li>
      ))}
    </ul>
  );
}

function spanOf(alert: Alert): string {
  const began = moment(alert.started_at, now.value);
  return alert.ended_at === null ? began : `${began}, for ${duration(alert.ended_at - alert.started_at)}`;
}
