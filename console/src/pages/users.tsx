/** Who may log in, what they may do, and which machines they know of. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Role, User } from "../api/types";
import { changeUser, listUsers, removeUser } from "../api/users";
import { moment } from "../lib/format";
import { useLoad } from "../lib/load";
import { now } from "../live/clock";
import { user as me } from "../live/session";
import { Button, Chip, Loading, Trouble } from "../parts/basics";
import { confirm } from "../parts/dialog";
import { Table } from "../parts/table";
import { notify } from "../parts/toast";
import { AddDialog, LabelsDialog, PasswordDialog, ROLES } from "./users/dialogs";

interface Asked {
  what: "add" | "password" | "labels";
  user?: User;
}

export function UsersPage(): JSX.Element {
  const [asked, setAsked] = useState<Asked>();
  const { data, error, reload } = useLoad(listUsers, [], { on: (event) => event.kind.startsWith("user") });
  const close = (): void => {
    setAsked(undefined);
    reload();
  };
  return (
    <div class="page">
      <header class="head">
        <h1>Users</h1>
        <Button kind="main" onClick={() => setAsked({ what: "add" })}>
          Add a user
        </Button>
      </header>
      {error && <Trouble error={error} what="users" />}
      {!data && !error && <Loading />}
      {data && (
        <Table label="Users" heads={["Name", "Role", "Machines", "Since", { unseen: "Actions" }]}>
          {data.items.map((user) => (
            <Row key={user.name} user={user} onChange={reload} onAsk={(what) => setAsked({ what, user })} />
          ))}
        </Table>
      )}
      {asked?.what === "add" && <AddDialog onClose={close} />}
      {asked?.what === "password" && asked.user && <PasswordDialog name={asked.user.name} onClose={close} />}
      {asked?.what === "labels" && asked.user && <LabelsDialog user={asked.user} onClose={close} />}
    </div>
  );
}

interface RowProps {
  user: User;
  onChange: () => void;
  onAsk: (what: "password" | "labels") => void;
}

function Row({ user, onChange, onAsk }: RowProps): JSX.Element {
  const remove = async (): Promise<void> => {
    const text = "Its logins and tokens end at once. Machines that it enrolled stay.";
    if (!(await confirm(`Remove ${user.name}?`, text, "Remove"))) return;
    await removeUser(user.name);
    onChange();
  };
  const change = async (role: Role): Promise<void> => {
    try {
      await changeUser(user.name, { role });
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), "bad");
    }
    onChange();
  };
  return (
    <tr>
      <td>
        <strong>{user.name}</strong> {user.name === me.value?.username && <span class="sub">you</span>}
      </td>
      <td>
        <select
          aria-label={`Role of ${user.name}`}
          value={user.role}
          onChange={(event) => change(event.currentTarget.value as Role)}
        >
          {ROLES.map(([role]) => (
            <option key={role}>{role}</option>
          ))}
        </select>
      </td>
      <td>
        <span class="row wrap tight">
          <Limits user={user} />
        </span>
      </td>
      <td class="nowrap">{moment(user.created_at, now.value)}</td>
      <td>
        <div class="row">
          <Button onClick={() => onAsk("labels")}>Labels…</Button>
          <Button onClick={() => onAsk("password")}>Password…</Button>
          <Button kind="danger" onClick={remove}>
            Remove…
          </Button>
        </div>
      </td>
    </tr>
  );
}

function Limits({ user }: { user: User }): JSX.Element {
  const labels = Object.entries(user.labels ?? {});
  if (!labels.length) return <span class="sub">all</span>;
  return (
    <>
      {labels.map(([name, value]) => (
        <Chip key={name} name={name} value={value} />
      ))}
    </>
  );
}
