/** Alerts that fire, as a table: on the page of alerts, and on the page of the machine that they are about. */
import type { JSX } from "preact";
import { addSilence } from "../../api/alerts";
import type { Alert, Severity } from "../../api/types";
import { ago, moment } from "../../lib/format";
import { conditionOf, measured } from "../../lib/metrics";
import { rules, silenced } from "../../live/alerts";
import { now } from "../../live/clock";
import { canOperate } from "../../live/session";
import { useNarrow } from "../../parts/narrow";
import { notify } from "../../parts/toast";
import { SPANS } from "./silence";

export function FiringTable({ alerts, isMachineShown }: { alerts: Alert[]; isMachineShown: boolean }): JSX.Element {
  const isNarrow = useNarrow();
  if (isNarrow) return <NarrowTable alerts={alerts} isMachineShown={isMachineShown} />;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Alerts that fire">
      <table>
        <thead>
          <tr>
            <th scope="col">Severity</th>
            <th scope="col">Rule</th>
            {isMachineShown && <th scope="col">Machine</th>}
            <th scope="col" class="number">
              Value
            </th>
            <th scope="col">Since</th>
            {canOperate.value && <th scope="col">Silence</th>}
          </tr>
        </thead>
        <tbody>
          {alerts.map((alert) => (
            <tr key={alert.id} class={alert.silenced ? "away" : ""}>
              <td>
                <SeverityTag severity={alert.severity} />
              </td>
              <td class="grow">
                <RuleCell alert={alert} />
              </td>
              {isMachineShown && (
                <td>
                  <a href={`/backends/${alert.backend_id}`}>{alert.backend_name}</a>
                </td>
              )}
              <td class="number nowrap">{valueTold(alert)}</td>
              <td class="nowrap" title={moment(alert.started_at, now.value)}>
                {ago(alert.started_at, now.value)}
              </td>
              {canOperate.value && (
                <td class="nowrap">
                  <SilenceChoice alert={alert} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The same in two columns, for a phone. */
function NarrowTable({ alerts, isMachineShown }: { alerts: Alert[]; isMachineShown: boolean }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Alerts that fire">
      <table>
        <thead>
          <tr>
            <th scope="col">Alert</th>
            {canOperate.value && <th scope="col">Silence</th>}
          </tr>
        </thead>
        <tbody>
          {alerts.map((alert) => (
            <tr key={alert.id} class={alert.silenced ? "away" : ""}>
              <td>
                <AlertInShort alert={alert} isMachineShown={isMachineShown} when={ago(alert.started_at, now.value)} />
              </td>
              {canOperate.value && (
                <td>
                  <SilenceChoice alert={alert} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface InShortProps {
  alert: Alert;
  isMachineShown: boolean;
  when: string;
}

/** All of an alert in one cell. */
export function AlertInShort({ alert, isMachineShown, when }: InShortProps): JSX.Element {
  return (
    <>
      <span class="row wrap tight">
        <SeverityTag severity={alert.severity} />
        {isMachineShown && <a href={`/backends/${alert.backend_id}`}>{alert.backend_name}</a>}
        <strong>{valueTold(alert)}</strong>
      </span>
      <RuleCell alert={alert} />
      <span class="sub under">{when}</span>
    </>
  );
}

export function SeverityTag({ severity }: { severity: Severity }): JSX.Element {
  return <span class={`tag ${severity}`}>{severity}</span>;
}

/** What rule it was, and in words what that watches. */
export function RuleCell({ alert }: { alert: Alert }): JSX.Element {
  const rule = rules.value.get(alert.rule_id);
  return (
    <>
      <strong>{alert.rule_name}</strong>
      {rule && <span class="sub under">{conditionOf(rule)}</span>}
    </>
  );
}

export function valueTold(alert: Alert): string {
  return measured(alert.value, rules.value.get(alert.rule_id)?.metric);
}

function SilenceChoice({ alert }: { alert: Alert }): JSX.Element {
  if (alert.silenced) return <a href="/alerts/silences">silenced</a>;
  const silence = async (seconds: number): Promise<void> => {
    const until = Date.now() / 1000 + seconds;
    await addSilence({ rule_id: alert.rule_id, backend_id: alert.backend_id, labels: {}, until, comment: "" });
    silenced(alert.id);
    notify(`${alert.rule_name} on ${alert.backend_name} is silenced.`);
  };
  return (
    <select
      aria-label={`Silence ${alert.rule_name} on ${alert.backend_name}`}
      value=""
      onChange={(event) => {
        const seconds = Number(event.currentTarget.value);
        event.currentTarget.value = "";
        if (seconds) void silence(seconds).catch((error: Error) => notify(error.message, "bad"));
      }}
    >
      <option value="">Silence…</option>
      {SPANS.map(([name, seconds]) => (
        <option key={name} value={seconds}>
          for {name}
        </option>
      ))}
    </select>
  );
}
