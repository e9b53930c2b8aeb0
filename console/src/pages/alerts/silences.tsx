/** Silences that hold: alerts that nobody is told of for a time. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { listSilences, removeSilence } from "../../api/alerts";
import type { Silence } from "../../api/types";
import { moment } from "../../lib/format";
import { useLoad } from "../../lib/load";
import { labelsSaid } from "../../lib/metrics";
import * as live from "../../live/alerts";
import { now } from "../../live/clock";
import * as fleet from "../../live/fleet";
import { canOperate } from "../../live/session";
import { Button, Empty, Loading, Trouble } from "../../parts/basics";
import { SilenceDialog } from "./silence";

export function Silences(): JSX.Element {
  const { data, error, reload } = useLoad(listSilences, [], { every: 10_000 });
  const [isWriting, setWriting] = useState(false);
  const changed = (): void => {
    setWriting(false);
    reload();
    live.silenced();
  };
  const end = async (silence: Silence): Promise<void> => {
    await removeSilence(silence.id);
    changed();
  };
  return (
    <>
      {canOperate.value && (
        <p>
          <Button kind="main" onClick={() => setWriting(true)}>
            Silence alerts…
          </Button>
        </p>
      )}
      {error && <Trouble error={error} what="silences" />}
      {!data && !error && <Loading />}
      {data && !data.items.length && (
        <Empty title="Nothing is silenced">
          <p>While one works on a machine, its alerts can be silenced: they stay listed, and nobody is told.</p>
        </Empty>
      )}
      {data && data.items.length > 0 && <Table silences={data.items} onEnd={end} />}
      {isWriting && <SilenceDialog onDone={changed} onClose={() => setWriting(false)} />}
    </>
  );
}

function Table({ silences, onEnd }: { silences: Silence[]; onEnd: (silence: Silence) => unknown }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Silences">
      <table>
        <thead>
          <tr>
            <th scope="col">Rule</th>
            <th scope="col">Machines</th>
            <th scope="col">Until</th>
            <th scope="col">By</th>
            <th scope="col">Why</th>
            {canOperate.value && (
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {silences.map((silence) => (
            <tr key={silence.id}>
              <td>{silence.rule_id === null ? "every rule" : ruleName(silence.rule_id)}</td>
              <td>
                <Machines silence={silence} />
              </td>
              <td class="nowrap">{moment(silence.until, now.value)}</td>
              <td>{silence.created_by}</td>
              <td class="grow">{silence.comment}</td>
              {canOperate.value && (
                <td>
                  <div class="row">
                    <Button onClick={() => onEnd(silence)}>End it</Button>
                  </div>
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function ruleName(id: string): string {
  return live.rules.value.get(id)?.name ?? "a rule that was removed";
}

function Machines({ silence }: { silence: Silence }): JSX.Element {
  const labels = labelsSaid(silence.labels);
  if (silence.backend_id) {
    return <a href={`/backends/${silence.backend_id}`}>{fleet.nameOf(silence.backend_id)}</a>;
  }
  return <>{labels || "all"}</>;
}
