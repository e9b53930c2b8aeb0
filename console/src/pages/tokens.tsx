/** What programs and browsers act with in one's name, and the password that is behind it all. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import * as api from "../api/credentials";
import type { PersonalToken } from "../api/types";
import { agentName } from "../lib/agent";
import { labelTexts } from "../lib/labels";
import { type Loaded, useLoad } from "../lib/load";
import * as fleet from "../live/fleet";
import { user } from "../live/session";
import { Button, Empty, Loading, Trouble } from "../parts/basics";
import { confirm } from "../parts/dialog";
import { Records } from "../parts/records";
import { NewTokenDialog } from "./tokens/new";
import { PasswordDialog } from "./tokens/password";

export function TokensPage(): JSX.Element {
  const [isMaking, setMaking] = useState(false);
  const [isChanging, setChanging] = useState(false);
  const tokens = useLoad(api.listTokens, []);
  const sessions = useLoad(api.listSessions, []);
  return (
    <div class="page">
      <header class="head">
        <h1>Tokens</h1>
        <span class="sub">of {user.value?.username}</span>
        <Button kind="main" onClick={() => setMaking(true)}>
          Make a token
        </Button>
      </header>
      <Tokens loaded={tokens} />
      <Logins loaded={sessions} onPassword={() => setChanging(true)} />
      {isMaking && <NewTokenDialog onMade={tokens.reload} onClose={() => setMaking(false)} />}
      {isChanging && <PasswordDialog onChanged={sessions.reload} onClose={() => setChanging(false)} />}
    </div>
  );
}

type Listed<T extends (...args: never[]) => unknown> = Loaded<Awaited<ReturnType<T>>>;

function Tokens({ loaded: { data, error, reload } }: { loaded: Listed<typeof api.listTokens> }): JSX.Element {
  const end = async (token: PersonalToken): Promise<void> => {
    const text = `Whatever uses ${token.name} is refused from then on.`;
    if (!(await confirm(`End the token ${token.name}?`, text, "End it"))) return;
    await api.endToken(token.id);
    reload();
  };
  const byId = new Map(data?.items.map((token) => [token.id, token]));
  return (
    <section class="stack">
      <h2>Personal tokens</h2>
      {error && <Trouble error={error} what="tokens" />}
      {!data && !error && <Loading />}
      {data && !data.items.length && (
        <Empty title="No token yet">
          <p>A script logs in with a token of its own, which may do less than you may, and can be ended alone.</p>
        </Empty>
      )}
      {data && data.items.length > 0 && (
        <Records
          label="Personal tokens"
          rows={data.items.map((token) => ({ ...token, sees: reach(token), used_at: token.used_at ?? "never" }))}
          columns={[
            ["name", "Name"],
            ["role", "Role"],
            ["sees", "For"],
            ["created_at", "Made"],
            ["used_at", "Last used"],
            ["expires_at", "Ends"],
          ]}
          end={(row) => {
            const token = byId.get(String(row.id));
            return (
              <div class="row">
                <Button onClick={() => token && end(token)}>End…</Button>
              </div>
            );
          }}
        />
      )}
    </section>
  );
}

function reach(token: PersonalToken): string {
  const labels = labelTexts(token.labels);
  const names = (token.backends ?? []).map(fleet.nameOf);
  return [...labels, ...names].join(", ") || "all you see";
}

interface LoginsProps {
  loaded: Listed<typeof api.listSessions>;
  onPassword: () => void;
}

function Logins({ loaded: { data, error, reload }, onPassword }: LoginsProps): JSX.Element {
  const end = async (id: string, from: string): Promise<void> => {
    const text = `Whoever is logged in from ${from} with it is logged out at once.`;
    if (!(await confirm("End this login?", text, "End it"))) return;
    await api.endSession(id);
    reload();
  };
  const newestFirst = (data?.items ?? []).toSorted(
    (one, other) => Number(other.is_this) - Number(one.is_this) || other.created_at - one.created_at,
  );
  return (
    <section class="stack">
      <div class="row">
        <h2>Logins</h2>
        <span class="right">
          <Button onClick={onPassword}>Change my password…</Button>
        </span>
      </div>
      {error && <Trouble error={error} what="logins" />}
      {!data && !error && <Loading />}
      {data && (
        <Records
          label="Logins"
          rows={newestFirst.map((login) => ({
            ...login,
            agent: agentName(login.user_agent),
            used_at: login.used_at ?? "never",
          }))}
          columns={[
            ["address", "From"],
            ["agent", "With"],
            ["created_at", "Logged in"],
            ["used_at", "Last used"],
            ["expires_at", "Ends"],
          ]}
          end={(row) => (
            <div class="row">
              {row.is_this ? (
                <span class="chip good">this one</span>
              ) : (
                <Button onClick={() => end(String(row.id), String(row.address))}>End…</Button>
              )}
            </div>
          )}
        />
      )}
    </section>
  );
}
