/** How a run stands, in a few words. */
import type { Run } from "../../api/types";

type Told = Pick<Run, "state" | "outcome" | "exit_code" | "exit_signal">;

const SENTENCES: Record<string, string> = {
  timeout: "took too long",
  memory_limit: "wanted too much memory",
  processes_limit: "wanted too many processes",
  cpu_limit: "used too much CPU",
  file_limit: "wrote too large a file",
  output_limit: "wrote too much",
  disk_full: "the disk was full",
  not_started: "could not be started again",
  lost: "nobody saw its end",
};

export function outcomeOf(run: Told): { tone: "good" | "bad" | "busy" | "off"; label: string } {
  switch (run.state) {
    case "starting":
      return { tone: "busy", label: "starting" };
    case "running":
      return { tone: "busy", label: "running" };
    case "waiting":
      return { tone: "busy", label: "starts again" };
    case "refused":
      return { tone: "bad", label: `refused: ${run.outcome ?? ""}` };
    case "ended":
      return ended(run);
    default:
      return { tone: "off", label: "started" };
  }
}

function ended(run: Told): { tone: "good" | "bad"; label: string } {
  if (run.outcome === "exited") {
    return run.exit_code === 0 ? { tone: "good", label: "done" } : { tone: "bad", label: `exit ${run.exit_code}` };
  }
  if (run.outcome === "signalled") return { tone: "bad", label: run.exit_signal ?? "signalled" };
  return { tone: "bad", label: SENTENCES[run.outcome ?? ""] ?? run.outcome ?? "ended" };
}
