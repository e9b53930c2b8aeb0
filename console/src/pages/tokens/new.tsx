/** Making a personal token. Its secret is shown once, and is nowhere but on the screen. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { addToken } from "../../api/credentials";
import type { MadeToken, Role } from "../../api/types";
import { moment } from "../../lib/format";
import { labelsFrom } from "../../lib/labels";
import { now } from "../../live/clock";
import * as fleet from "../../live/fleet";
import { user } from "../../live/session";
import { Snippet } from "../../parts/basics";
import { ChipsField, LabelsField } from "../../parts/chips";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";

const ROLES: [Role, string][] = [
  ["viewer", "looks only"],
  ["operator", "runs, signals and VPN"],
  ["admin", "everything"],
];

const DAY = 86400;

const TERMS: [number, string][] = [
  [DAY, "a day"],
  [7 * DAY, "a week"],
  [30 * DAY, "30 days"],
  [90 * DAY, "90 days"],
  [365 * DAY, "a year"],
];

export function NewTokenDialog({ onMade, onClose }: { onMade: () => void; onClose: () => void }): JSX.Element {
  const [made, setMade] = useState<MadeToken>();
  return (
    <Dialog title={made ? `The token ${made.name}` : "Make a token"} onClose={onClose}>
      {made ? (
        <Made token={made} onClose={onClose} />
      ) : (
        <NewToken
          onMade={(token) => {
            setMade(token);
            onMade();
          }}
        />
      )}
    </Dialog>
  );
}

function NewToken({ onMade }: { onMade: (token: MadeToken) => void }): JSX.Element {
  const [labels, setLabels] = useState<string[]>([]);
  const [backends, setBackends] = useState<string[]>([]);
  const most = ROLES.findIndex(([role]) => role === user.value?.role);
  return (
    <Form
      act="Make it"
      byReason={{ already_exists: "name", backend_unknown: "backends", backend_ambiguous: "backends" }}
      submit={async (form) =>
        onMade(
          await addToken({
            name: String(form.get("name")),
            role: String(form.get("role")) as Role,
            labels: labelsFrom(labels),
            backends: backends.length ? backends : null,
            validity: Number(form.get("validity")),
          }),
        )
      }
    >
      <Input name="name" label="Name" hint="What it is for: ci, backup">
        <input name="name" required maxLength={64} autocomplete="off" autocapitalize="none" spellcheck={false} />
      </Input>
      <div class="pair">
        <Input name="role" label="May do">
          <select name="role">
            {ROLES.slice(0, most + 1).map(([role, may]) => (
              <option key={role} value={role}>
                {role}: {may}
              </option>
            ))}
          </select>
        </Input>
        <Input name="validity" label="Ends after">
          <select name="validity">
            {TERMS.map(([seconds, words]) => (
              <option key={seconds} value={seconds} selected={seconds === 30 * DAY}>
                {words}
              </option>
            ))}
          </select>
        </Input>
      </div>
      <LabelsField items={labels} onChange={setLabels} hint="Only machines that have all of them. None: all you see." />
      <ChipsField
        name="backends"
        label="Machines"
        items={backends}
        onChange={setBackends}
        placeholder="web-1"
        hint="Only these, by name or id. None: all."
        options={fleet.backends.value.slice(0, 500).map((backend) => backend.name)}
      />
    </Form>
  );
}

function Made({ token, onClose }: { token: MadeToken; onClose: () => void }): JSX.Element {
  return (
    <>
      <p class="note good" role="status">
        Copy it now: it is shown this once, and the server keeps nothing but its hash. It ends{" "}
        {moment(token.expires_at, now.value)}.
      </p>
      <Snippet name="The token" text={token.token} />
      <p class="sub">
        A script uses it as <code>QUIX_TOKEN</code>, or in the header <code>Authorization: Bearer</code>.
      </p>
      <footer>
        <button type="button" class="button" onClick={onClose}>
          Done
        </button>
      </footer>
    </>
  );
}
