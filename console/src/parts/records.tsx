/** A table of rows whose fields the server chooses. */
import type { ComponentChildren, JSX } from "preact";
import type { Row } from "../api/records";
import { moment } from "../lib/format";
import { now } from "../live/clock";
import * as fleet from "../live/fleet";

interface RecordsProps {
  label: string;
  rows: Row[];
  columns: [field: string, name: string][];
  /** What stands at the end of a row. */
  end?: (row: Row) => ComponentChildren;
}

export function Records({ label, rows, columns, end }: RecordsProps): JSX.Element {
  const used = columns.filter(([field]) => rows.some((row) => row[field] !== undefined));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {used.map(([field, name]) => (
              <th key={field} scope="col">
                {name}
              </th>
            ))}
            {end && (
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={String(row.id ?? index)}>
              {used.map(([field]) => (
                <td key={field} class={field.endsWith("_at") || field === "at" || field === "agent" ? "nowrap" : ""}>
                  <Value field={field} value={row[field]} />
                </td>
              ))}
              {end && <td>{end(row)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Value({ field, value }: { field: string; value: unknown }): JSX.Element | null {
  if (value === null || value === undefined) return null;
  if ((field === "at" || field.endsWith("_at") || field.endsWith("_seen")) && typeof value === "number") {
    return <>{moment(value, now.value)}</>;
  }
  if (field === "backend_id" && typeof value === "string" && value) {
    return <a href={`/backends/${value}`}>{fleet.nameOf(value)}</a>;
  }
  return <>{typeof value === "string" ? value : JSON.stringify(value)}</>;
}
