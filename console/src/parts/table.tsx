/** A table in a box that scrolls sideways by itself, also with the keyboard. */
import type { ComponentChildren, JSX } from "preact";

/** What a column is called; `number`: it is at the right, `unseen`: only those hear it who do not see. */
export type Head = string | { number: string } | { unseen: string };

export function Table({ label, heads, children }: { label: string; heads: Head[]; children: ComponentChildren }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <HeadCell key={JSON.stringify(head)} head={head} />
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function HeadCell({ head }: { head: Head }): JSX.Element {
  if (typeof head === "string") return <th scope="col">{head}</th>;
  if ("number" in head) {
    return (
      <th scope="col" class="number">
        {head.number}
      </th>
    );
  }
  return (
    <th scope="col">
      <span class="unseen">{head.unseen}</span>
    </th>
  );
}
