/** The runs of a backend, and the form that starts one. */
import type { JSX } from "preact";
import { listRuns } from "../../api/runs";
import type { Backend, Run } from "../../api/types";
import { bytes, duration, moment } from "../../lib/format";
import { useLoad } from "../../lib/load";
import { join } from "../../lib/words";
import { now } from "../../live/clock";
import { canOperate } from "../../live/session";
import { Dot, Empty, Loading, Trouble } from "../../parts/basics";
import { RunForm } from "./form";
import { outcomeOf } from "./outcome";

const SHOWN = 200;

export function Runs({ backend }: { backend: Backend }): JSX.Element {
  const { data, error } = useLoad((signal) => listRuns(backend.id, signal), [backend.id, backend.connected], {
    every: 4000,
    on: (event) => event.backend_id === backend.id && event.kind.startsWith("run"),
  });
  return (
    <>
      {canOperate.value && <RunForm backend={backend} />}
      {error && <Trouble error={error} what="runs" />}
      {!data && !error && <Loading />}
      {data && !data.length && (
        <Empty title="Nothing was run here yet">
          <p>What you run stays listed here, with all that it wrote and how it ended.</p>
        </Empty>
      )}
      {data && data.length > 0 && <Table backend={backend} runs={data} />}
    </>
  );
}

function Table({ backend, runs }: { backend: Backend; runs: Run[] }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Runs">
      <table>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Command</th>
            <th scope="col">By</th>
            <th scope="col">Started</th>
            <th scope="col" class="number">
              Took
            </th>
            <th scope="col" class="number">
              Output
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.slice(0, SHOWN).map((run) => (
            <tr key={run.id}>
              <td>
                <Dot {...outcomeOf(run)} />
              </td>
              <td class="grow">
                <a class="mono cut" href={`/backends/${backend.id}/runs/${run.id}`}>
                  {run.options?.title || join(run.cmd)}
                </a>
              </td>
              <td>{run.started_by}</td>
              <td class="nowrap">{moment(run.started_at, now.value)}</td>
              <td class="number nowrap">{tookOf(run)}</td>
              <td class="number nowrap">{outputOf(run)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {runs.length > SHOWN && <p class="sub">The {runs.length - SHOWN} before these are not shown.</p>}
    </div>
  );
}

export function tookOf(run: Run): string {
  if (run.state === "refused" || run.state === "untracked") return "";
  return duration((run.ended_at ?? now.value) - run.started_at);
}

function outputOf(run: Run): string {
  const written = (run.stdout ?? 0) + (run.stderr ?? 0);
  return run.state === "ended" ? bytes(written) : "";
}
