/** What runs on a backend now. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { listProcesses, signalProcess } from "../../api/backends";
import type { Backend, Process } from "../../api/types";
import { bytes } from "../../lib/format";
import { useLoad } from "../../lib/load";
import { canOperate } from "../../live/session";
import { Button, Empty, Loading, Trouble } from "../../parts/basics";
import { SignalButtons } from "./signals";

export function Processes({ backend }: { backend: Backend }): JSX.Element {
  const [isAll, setAll] = useState(false);
  const [word, setWord] = useState("");
  const { data, error, reload } = useLoad((signal) => listProcesses(backend.id, isAll, signal), [backend.id, isAll], {
    every: 3000,
  });
  const rows = (data?.items ?? []).filter((row) =>
    `${row.pid} ${row.title}`.toLowerCase().includes(word.toLowerCase()),
  );
  return (
    <>
      <div class="tools">
        <input
          type="search"
          placeholder="Search processes"
          aria-label="Search processes"
          value={word}
          onInput={(event) => setWord(event.currentTarget.value)}
        />
        <fieldset class="choice">
          <legend class="unseen">Which processes</legend>
          <Button pressed={!isAll} onClick={() => setAll(false)}>
            Started by Quix
          </Button>
          <Button pressed={isAll} onClick={() => setAll(true)}>
            All
          </Button>
        </fieldset>
      </div>
      {error && <Trouble error={error} what="processes" />}
      {!data && !error && <Loading />}
      {data && !rows.length && (
        <Empty title={word ? "Nothing fits" : "Quix runs nothing here now"}>
          {!word && (
            <p>
              <a href={`/backends/${backend.id}/runs`}>Run a command</a>
            </p>
          )}
        </Empty>
      )}
      {rows.length > 0 && <Table backend={backend} rows={rows} isAll={isAll} onChange={reload} />}
    </>
  );
}

interface TableProps {
  backend: Backend;
  rows: Process[];
  isAll: boolean;
  onChange: () => void;
}

function Table({ backend, rows, isAll, onChange }: TableProps): JSX.Element {
  const [column, setColumn] = useState<"pid" | "cpu_util" | "mem_util">("cpu_util");
  const ordered = [...rows].sort((one, other) => other[column] - one[column] || one.pid - other.pid);
  const head = (name: typeof column, text: string): JSX.Element => (
    <th scope="col" class="number" aria-sort={column === name ? "descending" : "none"}>
      <button type="button" onClick={() => setColumn(name)}>
        {text}
        {column === name ? " ↓" : ""}
      </button>
    </th>
  );
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Processes">
      <table>
        <thead>
          <tr>
            {head("pid", "PID")}
            <th scope="col">Program</th>
            {head("cpu_util", "CPU")}
            {head("mem_util", "Memory")}
            <th scope="col">Ports</th>
            <th scope="col">Command</th>
            {canOperate.value && !isAll && <th scope="col">Signal</th>}
          </tr>
        </thead>
        <tbody>
          {ordered.map((row) => (
            <tr key={row.pid}>
              <td class="number mono">{row.pid}</td>
              <td class="mono title">{row.title}</td>
              <td class="number nowrap">{row.cpu_util.toFixed(1)} %</td>
              <td class="number nowrap">{bytes(row.mem_util * 1e6)}</td>
              <td class="mono">{row.port_util.join(" ")}</td>
              <td class="mono grow" title={row.reqc}>
                <span class="cut">{row.reqc}</span>
              </td>
              {canOperate.value && !isAll && (
                <td>
                  <SignalButtons
                    what={`${row.title} (${row.pid})`}
                    send={async (mode) => {
                      await signalProcess(backend.id, row.pid, mode);
                      onChange();
                    }}
                  />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
