/** What an admin does to users: add one, give another password, limit to labels. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Role, User } from "../../api/types";
import { addUser, changeUser } from "../../api/users";
import { labelsFrom, labelTexts } from "../../lib/labels";
import { LabelsField } from "../../parts/chips";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";

export const ROLES: [Role, string][] = [
  ["admin", "everything"],
  ["operator", "runs, signals and VPN"],
  ["viewer", "looks only"],
  ["enroller", "enrols machines, and nothing else"],
];

const LIMIT = "Only machines that have all of them. None: all machines.";

export function AddDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const [labels, setLabels] = useState<string[]>([]);
  return (
    <Dialog title="Add a user" onClose={onClose}>
      <Form
        act="Add"
        byReason={{ already_exists: "name" }}
        submit={async (form) => {
          const role = String(form.get("role")) as Role;
          await addUser(String(form.get("name")), role, String(form.get("password")), labelsFrom(labels));
          onClose();
        }}
      >
        <Input name="name" label="Name">
          <input name="name" required maxLength={64} autocomplete="off" autocapitalize="none" spellcheck={false} />
        </Input>
        <Input name="role" label="Role">
          <select name="role">
            {ROLES.map(([role, may]) => (
              <option key={role} value={role} selected={role === "operator"}>
                {role}: {may}
              </option>
            ))}
          </select>
        </Input>
        <LabelsField items={labels} onChange={setLabels} hint={LIMIT} />
        <NewPassword />
      </Form>
    </Dialog>
  );
}

export function PasswordDialog({ name, onClose }: { name: string; onClose: () => void }): JSX.Element {
  return (
    <Dialog title={`A new password for ${name}`} onClose={onClose}>
      <p>The logins and the personal tokens of {name} end with it.</p>
      <Form
        act="Set it"
        submit={async (form) => {
          await changeUser(name, { password: String(form.get("password")) });
          onClose();
        }}
      >
        <NewPassword />
      </Form>
    </Dialog>
  );
}

export function LabelsDialog({ user, onClose }: { user: User; onClose: () => void }): JSX.Element {
  const [labels, setLabels] = useState(labelTexts(user.labels ?? {}));
  return (
    <Dialog title={`Machines of ${user.name}`} onClose={onClose}>
      <p>What {user.name} is limited by holds at once, in lists, actions, events and the audit.</p>
      <Form
        act="Save"
        byReason={{ last_admin: "labels" }}
        submit={async () => {
          await changeUser(user.name, { labels: labelsFrom(labels) });
          onClose();
        }}
      >
        <LabelsField items={labels} onChange={setLabels} hint={LIMIT} />
      </Form>
    </Dialog>
  );
}

function NewPassword(): JSX.Element {
  return (
    <Input name="password" label="Password" hint="8 characters at least">
      <input name="password" type="password" required minLength={8} maxLength={1024} autocomplete="new-password" />
    </Input>
  );
}
