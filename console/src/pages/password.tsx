/** Enrolling with the password of a user: for those who may make no enrolment key. The exact commands, with this
 * server's address and a login made for machines. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Server } from "../api/session";
import { addUser, changeUser, listUsers } from "../api/users";
import { useLoad } from "../lib/load";
import { canAdminister, server } from "../live/session";
import { Button, Field, Snippet } from "../parts/basics";

export function PasswordSteps(): JSX.Element {
  const [login, setLogin] = useState({ username: "machines", password: "" });
  const kinds = server.value?.vpn ?? [];
  const [vpn, setVpn] = useState("");
  return (
    <div class="steps">
      <p>On the machine, where the agent is installed, as root:</p>
      {kinds.length > 0 && (
        <label class="check">
          <input type="checkbox" checked={vpn !== ""} onChange={() => setVpn(vpn ? "" : (kinds[0] ?? ""))} /> connect it
          to the VPN at once
        </label>
      )}
      <Snippet name="The command that enrols a machine" text={command(server.value, login, vpn)} />
      {canAdminister.value ? (
        <Enroller onLogin={setLogin} login={login} />
      ) : (
        <p class="sub">
          It asks for the password of a user with the role enroller, which an admin can make on the page Users.
        </p>
      )}
      <LocalNote />
    </div>
  );
}

/** Where the server lets in agents of its own machine only. */
export function LocalNote(): JSX.Element | null {
  if (!server.value || !isLocal(server.value)) return null;
  return (
    <p class="note">
      This server lets in agents of its own machine only. For others, start it with{" "}
      <code>--listen 0.0.0.0:{port(server.value)} --tls-self-signed</code>.
    </p>
  );
}

interface EnrollerProps {
  login: { username: string; password: string };
  onLogin: (login: { username: string; password: string }) => void;
}

function Enroller({ login, onLogin }: EnrollerProps): JSX.Element {
  const users = useLoad(listUsers, []);
  const enrollers = (users.data?.items ?? []).filter((user) => user.role === "enroller").map((user) => user.name);
  const known = enrollers.includes(login.username);
  const make = async (): Promise<void> => {
    const password = newPassword();
    if (known) await changeUser(login.username, { password });
    else await addUser(login.username, "enroller", password);
    onLogin({ username: login.username, password });
    users.reload();
  };
  if (login.password) {
    return (
      <p class="note good" role="status">
        The command holds the password of <strong>{login.username}</strong>, a user that can do nothing but enrol
        machines. It is shown once; the command works for as many machines as you like.
      </p>
    );
  }
  return (
    <div class="row wrap">
      <Field label="Machines log in as">
        <input
          value={login.username}
          list="enrollers"
          pattern="[A-Za-z0-9._\-]{1,64}"
          onInput={(event) => onLogin({ username: event.currentTarget.value.trim(), password: "" })}
        />
      </Field>
      <datalist id="enrollers">
        {enrollers.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <Button kind="main" onClick={make} disabled={!login.username}>
        {known ? "Give it a new password" : "Make this user"}
      </Button>
      {known && <small class="sub">Or put the password you have into the file yourself.</small>}
    </div>
  );
}

function newPassword(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}

export function command(known: Server | undefined, login: { username: string; password: string }, vpn: string): string {
  const scheme = known?.tls ? "wss" : "ws";
  const lines = [
    `quix agent --server ${scheme}://${host(known)}:${known ? port(known) : "8470"}/wsi`,
    ...(known?.tls_fingerprint ? [`--tls-fingerprint ${known.tls_fingerprint}`] : []),
    // Without TLS an agent tells its secrets to no other machine, unless it is told that it may.
    ...(known && !known.tls && !isLocal(known) ? ["--allow-plaintext"] : []),
    `--username ${login.username} --password-file quix.password`,
    ...(vpn ? [`--vpn ${vpn}`] : []),
    "--data-dir /var/lib/quix-agent",
  ];
  const first = login.password
    ? `(umask 077; echo '${login.password}' > quix.password)`
    : "(umask 077; cat > quix.password)   # the password, then Ctrl-D";
  return `${first}\n${lines.join(" \\\n  ")}`;
}

function isLocal(known: Server): boolean {
  return /^(127\.|localhost$|\[?::1)/.test(known.listen.slice(0, known.listen.lastIndexOf(":")));
}

function host(known: Server | undefined): string {
  const listened = known?.listen.slice(0, known.listen.lastIndexOf(":")) ?? "";
  const isEverywhere = ["", "0.0.0.0", "[::]", "::"].includes(listened);
  return isEverywhere ? location.hostname : listened;
}

function port(known: Server): string {
  return known.listen.slice(known.listen.lastIndexOf(":") + 1);
}
