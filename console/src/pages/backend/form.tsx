/** Starting a command. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { execute } from "../../api/backends";
import type { Backend, Command } from "../../api/types";
import { Attempt } from "../../lib/attempt";
import { split } from "../../lib/words";
import { Field } from "../../parts/basics";
import { go } from "../../router";

export function RunForm({ backend }: { backend: Backend }): JSX.Element {
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [attempt] = useState(() => new Attempt());
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setProblem("");
    try {
      const command = commandOf(form);
      const started = await execute(backend.id, command, attempt.keyOf(JSON.stringify(command)));
      attempt.done();
      go(`/backends/${backend.id}/runs/${started.run_id}`);
    } catch (error) {
      attempt.failed(error);
      setProblem(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <form class="panel run-form" onSubmit={submit} aria-label="Run a command">
      <div class="row">
        <span class="prompt" aria-hidden="true">
          $
        </span>
        <input
          class="mono grow"
          name="line"
          aria-label="Command"
          placeholder="uname -a"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          required
        />
        <button class="button main" type="submit" disabled={isBusy || !backend.connected}>
          Run
        </button>
      </div>
      <div class="row wrap">
        <label class="check">
          <input type="checkbox" name="shell" /> by a shell, for pipes and <code>*</code>
        </label>
        <label class="check">
          <input type="checkbox" name="stdin" /> keep its input open
        </label>
        {!backend.connected && <span class="sub">It is offline; nothing can be started on it now.</span>}
      </div>
      <details>
        <summary>Limits and more</summary>
        <div class="fields">
          <Field label="Title">
            <input name="title" maxLength={200} />
          </Field>
          <Field label="Working folder" hint="below the data folder">
            <input name="cwd" class="mono" placeholder="." />
          </Field>
          <Field label="Time, seconds">
            <input name="time" type="number" min="1" step="any" />
          </Field>
          <Field label="Memory, MB">
            <input name="memory" type="number" min="2" />
          </Field>
          <Field label="Processes">
            <input name="processes" type="number" min="1" />
          </Field>
          <Field label="Start it again">
            <select name="restart">
              <option value="never">never</option>
              <option value="on-failure">where it failed</option>
              <option value="always">always</option>
            </select>
          </Field>
        </div>
      </details>
      {problem && (
        <p class="note bad" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}

type Wanted = Partial<Command> & { cmd: string[] };

function commandOf(form: FormData): Wanted {
  const text = (name: string): string => String(form.get(name) ?? "").trim();
  const number = (name: string): number | undefined => (text(name) ? Number(text(name)) : undefined);
  const line = text("line");
  const wanted: Wanted = { cmd: form.get("shell") ? ["sh", "-c", line] : split(line) };
  const memory = number("memory");
  const limits: Command["limits"] = {};
  const time = number("time");
  const processes = number("processes");
  if (time) limits.time = time;
  if (memory) limits.memory = Math.round(memory * 1e6);
  if (processes) limits.processes = processes;
  if (Object.keys(limits).length) wanted.limits = limits;
  if (form.get("stdin")) wanted.stdin = "pipe";
  if (text("title")) wanted.title = text("title");
  if (text("cwd")) wanted.cwd = text("cwd");
  if (text("restart") !== "never") wanted.restart = text("restart") as "always" | "on-failure";
  return wanted;
}
