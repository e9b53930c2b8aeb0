/** Who did what to which machine, from where, and how it ended. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ApiError } from "../api/http";
import { type AuditRow, listAudit } from "../api/records";
import { moment } from "../lib/format";
import { asApiError, useLoad } from "../lib/load";
import { now } from "../live/clock";
import * as fleet from "../live/fleet";
import { Button, Dot, Empty } from "../parts/basics";
import { Listing } from "../parts/listing";
import { Table } from "../parts/table";

export function AuditPage(): JSX.Element {
  const [older, setOlder] = useState<AuditRow[]>([]);
  const [next, setNext] = useState<string | null>();
  const [problem, setProblem] = useState<ApiError>();
  const { data, error } = useLoad(() => listAudit(), [], { every: 5000, on: () => true });
  const known = new Set(older.map((row) => row.id));
  const rows = [...(data?.items ?? []).filter((row) => !known.has(row.id)), ...older];
  const cursor = next === undefined ? data?.next : next;
  const more = async (): Promise<void> => {
    try {
      const page = await listAudit(cursor ?? undefined);
      setOlder((before) => [...(before.length ? before : (data?.items ?? [])), ...page.items]);
      setNext(page.next);
    } catch (found) {
      setProblem(asApiError(found));
    }
  };
  return (
    <Listing
      title="Audit log"
      sub={
        data && (
          <a class="button right" href="/api/v1/audit/export" download="quix-audit.jsonl">
            Export
          </a>
        )
      }
      what="audit log"
      rows={data && rows}
      error={error ?? problem}
      search={{ label: "Search the audit log", placeholder: "Search: who, what, machine, outcome" }}
      mentions={mentions}
      none={<Empty title="Nothing was done yet" />}
      table={(shown) => (
        <Table label="Audit log" heads={["When", "Who", "Did", "Machine", "What", "Outcome", "From"]}>
          {shown.map((row) => (
            <Row key={row.id} row={row} />
          ))}
        </Table>
      )}
      foot={
        cursor && (
          <p>
            <Button onClick={more}>Older</Button>
          </p>
        )
      }
    />
  );
}

function Row({ row }: { row: AuditRow }): JSX.Element {
  return (
    <tr>
      <td class="nowrap">{moment(row.at, now.value)}</td>
      <td>{row.user}</td>
      <td class="nowrap">{row.action.replaceAll("_", " ")}</td>
      <td>{row.backend_id && <a href={`/backends/${row.backend_id}`}>{fleet.nameOf(row.backend_id)}</a>}</td>
      <td class="grow mono">{what(row)}</td>
      <td>
        <Dot {...outcomeOf(row)} />
      </td>
      <td class="mono">{row.address}</td>
    </tr>
  );
}

function outcomeOf(row: AuditRow): { tone: "good" | "bad" | "busy"; label: string } {
  if (row.outcome === "success") return { tone: "good", label: "done" };
  return { tone: row.outcome === "asked" ? "busy" : "bad", label: row.outcome.replaceAll("_", " ") };
}

function what(row: AuditRow): JSX.Element {
  const detail = Object.entries(row.detail)
    .map(([name, value]) => (name === "cmd" ? String(value) : `${name} ${value}`))
    .join(", ");
  const isRun = row.backend_id !== "" && ["execute", "run_input", "run_output"].includes(row.action) && row.target;
  return (
    <>
      {isRun ? <a href={`/backends/${row.backend_id}/runs/${row.target}`}>{detail || row.target}</a> : row.target}
      {!isRun && detail && ` ${detail}`}
    </>
  );
}

function mentions(row: AuditRow, word: string): boolean {
  const text = `${JSON.stringify(row)} ${fleet.nameOf(row.backend_id)}`.toLowerCase();
  return text.includes(word.replaceAll(" ", "_")) || text.includes(word);
}
