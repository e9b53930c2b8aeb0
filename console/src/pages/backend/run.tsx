/** One run: what it writes, live; what it reads; and how it ends. */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { signalRun, writeInput } from "../../api/runs";
import type { Backend, Run } from "../../api/types";
import { bytes, moment } from "../../lib/format";
import { join } from "../../lib/words";
import { now } from "../../live/clock";
import { Output } from "../../live/output";
import { canOperate } from "../../live/session";
import { Button, CopyButton, Dot, Loading, Trouble } from "../../parts/basics";
import { Terminal } from "../../parts/terminal";
import { outcomeOf } from "./outcome";
import { tookOf } from "./runs";
import { SignalButtons } from "./signals";

export function RunView({ backend, id }: { backend: Backend; id: string }): JSX.Element {
  const screen = useRef<HTMLPreElement>(null);
  const terminal = useRef<Terminal | undefined>(undefined);
  const output = useMemo(
    () => new Output(backend.id, id, (stream, text) => terminal.current?.write(stream, text)),
    [backend.id, id],
  );
  useEffect(() => {
    terminal.current = new Terminal(screen.current as HTMLPreElement);
    void output.begin();
    return () => output.end();
  }, [output]);
  const again = (): void => {
    output.end();
    terminal.current?.clear();
    void output.begin(true);
  };
  const run = output.run.value;
  const isAlive = run !== undefined && ["starting", "running", "waiting"].includes(run.state ?? "");
  return (
    <div class="run">
      <p>
        <a href={`/backends/${backend.id}/runs`}>← All runs of {backend.name}</a>
      </p>
      {run && <Head backend={backend} run={run} isAlive={isAlive} />}
      {output.error.value && <Trouble error={output.error.value} what="runs" />}
      {!run && !output.error.value && <Loading />}
      {output.skipped.value > 0 && (
        <p class="note">
          {bytes(output.skipped.value)} at the beginning are not shown.{" "}
          <Button kind="quiet" onClick={again}>
            Show what is kept
          </Button>
        </p>
      )}
      <div class="screen-frame">
        <pre class="screen" ref={screen} tabIndex={0} role="log" aria-live="off" aria-label="Output" />
      </div>
      {run && isAlive && canOperate.value && hasInput(run) && <Input backend={backend} run={run} />}
    </div>
  );
}

function Head({ backend, run, isAlive }: { backend: Backend; run: Run; isAlive: boolean }): JSX.Element {
  const command = join(run.cmd);
  return (
    <>
      <h2 class="mono command">{command}</h2>
      <div class="row wrap run-facts">
        <span aria-live="polite">
          <Dot {...outcomeOf(run)} />
        </span>
        <span class="sub">
          {run.started_by}, {moment(run.started_at, now.value)}
          {tookOf(run) && `, ${tookOf(run)}`}
          {(run.restarts ?? 0) > 0 && `, started again ${run.restarts} times`}
        </span>
        <span class="sub mono">pid {run.proc_id}</span>
        <CopyButton text={command} label="Copy command" />
        {isAlive && canOperate.value && (
          <span class="right">
            <SignalButtons what={command} send={(mode) => signalRun(backend.id, run.id, mode)} />
          </span>
        )}
      </div>
      {run.detail && <p class="note bad">{run.detail}</p>}
    </>
  );
}

function hasInput(run: Run): boolean {
  return run.options?.stdin === "pipe" || run.options?.terminal !== undefined;
}

/** Lines for the standard input. The run is asked how much it took, so nothing arrives twice or is lost. */
function Input({ backend, run }: { backend: Backend; run: Run }): JSX.Element {
  const [line, setLine] = useState("");
  const [isOver, setOver] = useState(false);
  const send = async (text: string, end: boolean): Promise<void> => {
    const data = new TextEncoder().encode(text);
    let { received } = await writeInput(backend.id, run.id, 0, "", false);
    const goal = received + data.length;
    const start = received;
    do {
      const rest = data.subarray(received - start);
      ({ received } = await writeInput(backend.id, run.id, received, btoa(String.fromCharCode(...rest)), end));
    } while (received < goal);
    if (end) setOver(true);
    setLine("");
  };
  if (isOver) return <p class="sub">Its input has ended.</p>;
  return (
    <form class="row" aria-label="Input" onSubmit={(event) => event.preventDefault()}>
      <input
        class="mono grow"
        aria-label="A line of input"
        value={line}
        autocomplete="off"
        onInput={(event) => setLine(event.currentTarget.value)}
      />
      <Button type="submit" onClick={() => send(`${line}\n`, false)}>
        Send
      </Button>
      <Button kind="quiet" onClick={() => send("", true)}>
        End the input
      </Button>
    </form>
  );
}
