/** Stopping a program, after asking. */
import type { JSX } from "preact";
import { Button } from "../../parts/basics";
import { confirm } from "../../parts/dialog";
import { notify } from "../../parts/toast";

const OTHERS = ["SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGTSTP"];

const TEXT: Record<string, string> = {
  SIGTERM: "It and all that it started are asked to end (SIGTERM).",
  SIGKILL: "It and all that it started end at once, without a chance to save anything (SIGKILL).",
};

interface SignalProps {
  what: string;
  send: (mode: string) => Promise<unknown>;
}

export function SignalButtons({ what, send }: SignalProps): JSX.Element {
  const ask = async (mode: string, act: string): Promise<void> => {
    if (!(await confirm(`${act} ${what}?`, TEXT[mode] ?? `It is sent ${mode}.`, act))) return;
    await send(mode);
    notify(`${mode} was sent.`);
  };
  return (
    <span class="row">
      <Button onClick={() => ask("SIGTERM", "Stop")}>Stop</Button>
      <Button kind="danger" onClick={() => ask("SIGKILL", "Kill")}>
        Kill
      </Button>
      <select
        aria-label={`Another signal for ${what}`}
        value=""
        onChange={(event) => {
          const mode = event.currentTarget.value;
          event.currentTarget.value = "";
          if (mode) void ask(mode, "Signal").catch((error: Error) => notify(error.message, "bad"));
        }}
      >
        <option value="">Signal…</option>
        {OTHERS.map((mode) => (
          <option key={mode}>{mode}</option>
        ))}
      </select>
    </span>
  );
}
