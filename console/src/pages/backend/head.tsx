/** What a backend is called, how it is, and what is done to it as a whole. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { removeBackend, revokeBackend } from "../../api/backends";
import type { Backend } from "../../api/types";
import { ago } from "../../lib/format";
import { labelsOf, stateOf } from "../../lib/search";
import { now } from "../../live/clock";
import * as filter from "../../live/filter";
import * as fleet from "../../live/fleet";
import { canAdminister, canOperate } from "../../live/session";
import { Button, Chip, Dot } from "../../parts/basics";
import { confirm } from "../../parts/dialog";
import { go } from "../../router";
import { LabelsDialog, RenameDialog } from "./naming";

export function Head({ backend }: { backend: Backend }): JSX.Element {
  const show = (name: string, value: string): void => {
    filter.only(name, value);
    go("/");
  };
  return (
    <div class="head">
      <h1>{backend.name}</h1>
      <State backend={backend} />
      <span class="row wrap tight">
        {Object.entries(labelsOf(backend)).map(([name, value]) => (
          <Chip key={name} name={name} value={value} onClick={() => show(name, value)} />
        ))}
      </span>
      {canOperate.value && <Actions backend={backend} />}
    </div>
  );
}

function State({ backend }: { backend: Backend }): JSX.Element {
  const seen = `seen ${ago(backend.last_seen, now.value)}`;
  switch (stateOf(backend)) {
    case "revoked":
      return <Dot tone="bad" label={`revoked, ${seen}`} />;
    case "online":
      return <Dot tone="good" label="online" />;
    default:
      return <Dot tone="off" label={`offline, ${seen}`} />;
  }
}

function Actions({ backend }: { backend: Backend }): JSX.Element {
  const [asked, setAsked] = useState<"name" | "labels">();
  const close = (): void => setAsked(undefined);
  return (
    <span class="acts row wrap right tight">
      <Button kind="quiet" onClick={() => setAsked("name")}>
        Rename…
      </Button>
      <Button kind="quiet" onClick={() => setAsked("labels")}>
        Labels…
      </Button>
      {canAdminister.value && stateOf(backend) !== "revoked" && (
        <Button kind="quiet" onClick={() => revoke(backend)}>
          Revoke…
        </Button>
      )}
      {canAdminister.value && (
        <Button kind="quiet" onClick={() => remove(backend)}>
          Remove…
        </Button>
      )}
      {asked === "name" && <RenameDialog backend={backend} onClose={close} />}
      {asked === "labels" && <LabelsDialog backend={backend} onClose={close} />}
    </span>
  );
}

async function revoke(backend: Backend): Promise<void> {
  const text =
    `${backend.name} loses its access and its VPN lease for good. It stays in the list, with its runs, and its ` +
    "programs go on. The machine can enrol again, as another one.";
  if (!(await confirm(`Revoke ${backend.name}?`, text, `Revoke ${backend.name}`))) return;
  fleet.put(await revokeBackend(backend.id));
}

async function remove(backend: Backend): Promise<void> {
  const text = `${backend.name} loses its access, and its runs and VPN addresses are forgotten. Its programs go on.`;
  if (!(await confirm(`Remove ${backend.name}?`, text, `Remove ${backend.name}`))) return;
  await removeBackend(backend.id);
  await fleet.reload();
  go("/");
}
