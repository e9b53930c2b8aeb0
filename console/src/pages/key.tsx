/** Enrolling with a key: one line to paste, and who has arrived by it. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { addEnrolment, endEnrolment } from "../api/enrolments";
import type { Backend, Enrolment, MadeEnrolment, NewEnrolment } from "../api/types";
import { count, moment } from "../lib/format";
import { labelsIn } from "../lib/metrics";
import { now } from "../live/clock";
import * as fleet from "../live/fleet";
import { server, user } from "../live/session";
import { Button, Dot, Snippet } from "../parts/basics";
import { Entry, Form } from "../parts/form";
import { LocalNote } from "./password";

const SPANS: [name: string, seconds: number][] = [
  ["15 minutes", 900],
  ["1 hour", 3600],
  ["1 day", 86400],
  ["1 week", 7 * 86400],
];

const KINDS: Record<string, string> = { wireguard: "WireGuard", openvpn: "OpenVPN" };

/** The line that was made last. It is told once, so it stays here when the dialog is closed; for whom made it. */
const made = signal<{ by: string; line: MadeEnrolment } | undefined>(undefined);

interface StepsProps {
  keys: Enrolment[];
  onChange: () => void;
}

export function KeySteps({ keys, onChange }: StepsProps): JSX.Element {
  const held = made.value?.by === user.value?.username ? made.value?.line : undefined;
  const line = held && held.expires_at > now.value && keys.some((key) => key.id === held.id) ? held : undefined;
  return (
    <div class="steps">
      {line ? <Made line={line} /> : <KeyForm onChange={onChange} />}
      <LocalNote />
      <Others keys={keys.filter((key) => key.id !== line?.id && key.used < key.uses)} onChange={onChange} />
    </div>
  );
}

function KeyForm({ onChange }: { onChange: () => void }): JSX.Element {
  const kinds = server.value?.vpn ?? [];
  const submit = async (form: FormData): Promise<void> => {
    const line = await addEnrolment(wantedOf(form));
    made.value = { by: user.value?.username ?? "", line };
    onChange();
  };
  return (
    <Form label="The line" act="Make the line" submit={submit}>
      <p>One line, pasted into a shell of the machine, installs the agent and adds the machine to the fleet.</p>
      <div class="fields two">
        <Entry
          label="It works for"
          name="expires"
          control={(ties) => (
            <select {...ties}>
              {SPANS.map(([name, seconds]) => (
                <option key={name} value={seconds} selected={seconds === 3600}>
                  {name}
                </option>
              ))}
            </select>
          )}
        />
        <Entry
          label="Machines"
          name="uses"
          control={(ties) => <input {...ties} type="number" min={1} max={100000} required defaultValue="1" />}
        />
        <Entry
          label="Labels that they get"
          name="labels"
          control={(ties) => (
            <input {...ties} class="mono" placeholder="site=north role=web" autocapitalize="none" spellcheck={false} />
          )}
        />
        <Entry
          label="VPN"
          name="vpn"
          hint={kinds.length ? undefined : "This server hands out none."}
          control={(ties) => (
            <select {...ties} disabled={!kinds.length}>
              <option value="">not now</option>
              {kinds.map((kind) => (
                <option key={kind} value={kind}>
                  {KINDS[kind] ?? kind}
                </option>
              ))}
            </select>
          )}
        />
      </div>
      <Entry
        label="Where they reach this server"
        name="server"
        hint="Empty: as its settings say. Behind a proxy: wss://HOST/wsi"
        control={(ties) => <input {...ties} class="mono" placeholder="wss://HOST[:PORT]/wsi" spellcheck={false} />}
      />
    </Form>
  );
}

function wantedOf(form: FormData): NewEnrolment {
  const text = (name: string): string => String(form.get(name) ?? "").trim();
  return {
    expires: Number(text("expires")),
    uses: Number(text("uses")),
    labels: labelsIn(text("labels")),
    vpn: (text("vpn") || null) as NewEnrolment["vpn"],
    server: text("server") || null,
  };
}

function Made({ line }: { line: MadeEnrolment }): JSX.Element {
  const arrived = fleet.backends.value.filter((backend) => backend.enrolled_by === line.name);
  return (
    <>
      <p>Paste this into a shell of the machine:</p>
      <div class="whole">
        <Snippet name="The line that adds a machine" text={line.command} />
      </div>
      <p class="sub">
        It works for {count(line.uses, "machine")}, until {moment(line.expires_at, now.value)}. It holds a secret, and
        is shown until this page is left.
      </p>
      <div role="status" class="stack">
        <Arrivals line={line} arrived={arrived} />
      </div>
      <p>
        <Button
          onClick={() => {
            made.value = undefined;
          }}
        >
          Make another line
        </Button>
      </p>
    </>
  );
}

function Arrivals({ line, arrived }: { line: MadeEnrolment; arrived: Backend[] }): JSX.Element {
  return (
    <>
      {arrived.length > 0 && (
        <ul class="note good listed arrived">
          {arrived.map((backend) => (
            <li key={backend.id}>
              <a href={`/backends/${backend.id}`}>{backend.name}</a> has arrived.
            </li>
          ))}
        </ul>
      )}
      {arrived.length < line.uses && (
        <Dot
          tone="busy"
          label={
            arrived.length ? `${arrived.length} of ${line.uses}: waiting for the others…` : "Waiting for the machine…"
          }
        />
      )}
    </>
  );
}

/** Keys that were made before and work still; their lines are not told again. */
function Others({ keys, onChange }: StepsProps): JSX.Element | null {
  if (!keys.length) return null;
  return (
    <details>
      <summary>
        {count(keys.length, "line")} made before still {keys.length === 1 ? "works" : "work"}
      </summary>
      <ul class="listed others">
        {keys.map((key) => (
          <li key={key.id} class="row wrap">
            <span class="mono">{key.name}</span>
            <span class="sub">
              by {key.created_by}, {key.used} of {key.uses} used, until {moment(key.expires_at, now.value)}
            </span>
            <span class="right">
              <Button label={`End ${key.name}`} onClick={() => endEnrolment(key.id).then(onChange)}>
                End it
              </Button>
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
