/** The rules: what is watched, where that is told, and switching them on and off. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { changeRule, listChannels, listRules, removeRule } from "../../api/alerts";
import type { Channel, NewRule, Rule } from "../../api/types";
import { useLoad } from "../../lib/load";
import { conditionOf, labelsSaid } from "../../lib/metrics";
import * as live from "../../live/alerts";
import { canAdminister } from "../../live/session";
import { Button, Chip, Empty, Loading, Trouble } from "../../parts/basics";
import { confirm } from "../../parts/dialog";
import { useNarrow } from "../../parts/narrow";
import { notify } from "../../parts/toast";
import { SeverityTag } from "./row";
import { RuleDialog } from "./rule";

/** What most people want watched. */
const COMMON: Partial<NewRule>[] = [
  { name: "Machine is offline", metric: "connection", for: 120, severity: "critical" },
  { name: "CPU is busy", metric: "cpu", threshold: 90, for: 300 },
  { name: "Memory is short", metric: "memory", threshold: 90, for: 300 },
  { name: "Disk is nearly full", metric: "disk_fullest", threshold: 90, for: 60 },
];

export function Rules(): JSX.Element {
  const [edited, setEdited] = useState<{ rule?: Rule; draft?: Partial<NewRule> }>();
  const { data, error, reload } = useLoad(listRules, [], { every: 30_000 });
  const isAdmin = canAdminister.value;
  const channels = useLoad(async () => (isAdmin ? (await listChannels()).items : []), [isAdmin]);
  const changed = (): void => {
    setEdited(undefined);
    reload();
    void live.reload();
  };
  return (
    <>
      {error && <Trouble error={error} what="rules" />}
      {!data && !error && <Loading />}
      {data && !data.items.length && <Nothing onDraft={(draft) => setEdited({ draft })} />}
      {data && data.items.length > 0 && (
        <>
          {isAdmin && (
            <p>
              <Button kind="main" onClick={() => setEdited({})}>
                Add a rule
              </Button>
            </p>
          )}
          <Table
            rules={data.items}
            channels={channels.data ?? []}
            onEdit={(rule) => setEdited({ rule })}
            onChange={changed}
          />
        </>
      )}
      {edited && (
        <RuleDialog {...edited} channels={channels.data ?? []} onDone={changed} onClose={() => setEdited(undefined)} />
      )}
    </>
  );
}

function Nothing({ onDraft }: { onDraft: (draft: Partial<NewRule>) => void }): JSX.Element {
  if (!canAdminister.value) return <Empty title="No rule yet" />;
  return (
    <Empty title="No rule yet">
      <p>A rule says what is watched, and from where on it is an alert. Begin with one of these, or with your own:</p>
      <div class="row wrap middle">
        {COMMON.map((draft) => (
          <Button key={draft.name} onClick={() => onDraft(draft)}>
            {draft.name}
          </Button>
        ))}
        <Button kind="main" onClick={() => onDraft({})}>
          Add a rule
        </Button>
      </div>
    </Empty>
  );
}

interface TableProps {
  rules: Rule[];
  channels: Channel[];
  onEdit: (rule: Rule) => void;
  onChange: () => void;
}

function Table({ rules, channels, onEdit, onChange }: TableProps): JSX.Element {
  const isNarrow = useNarrow();
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Rules">
      <table>
        <thead>
          <tr>
            <th scope="col">On</th>
            {!isNarrow && <th scope="col">Severity</th>}
            <th scope="col">Rule</th>
            {!isNarrow && <th scope="col">Machines</th>}
            {!isNarrow && <th scope="col">Told by</th>}
            {canAdminister.value && (
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rules.map((rule) => (
            <tr key={rule.id} class={rule.enabled ? "" : "away"}>
              <td>
                <Switch rule={rule} onChange={onChange} />
              </td>
              {!isNarrow && (
                <td>
                  <SeverityTag severity={rule.severity} />
                </td>
              )}
              <td class={isNarrow ? "" : "grow"}>
                {isNarrow && (
                  <span class="under">
                    <SeverityTag severity={rule.severity} />
                  </span>
                )}
                <strong>{rule.name}</strong>
                <span class="sub under">{conditionOf(rule)}</span>
                {isNarrow && <span class="sub under mono">{labelsSaid(rule.labels)}</span>}
              </td>
              {!isNarrow && (
                <>
                  <td>
                    <Labels rule={rule} />
                  </td>
                  <td>{toldBy(rule, channels)}</td>
                </>
              )}
              {canAdminister.value && (
                <td>
                  <div class="row wrap">
                    <Button onClick={() => onEdit(rule)} label={`Edit ${rule.name}`}>
                      Edit…
                    </Button>
                    <Button kind="danger" onClick={() => remove(rule, onChange)} label={`Remove ${rule.name}`}>
                      Remove…
                    </Button>
                  </div>
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Switch({ rule, onChange }: { rule: Rule; onChange: () => void }): JSX.Element {
  const turn = async (): Promise<void> => {
    try {
      await changeRule(rule.id, { enabled: !rule.enabled });
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), "bad");
    }
    onChange();
  };
  return (
    <input
      type="checkbox"
      aria-label={`${rule.name} is on`}
      checked={rule.enabled}
      disabled={!canAdminister.value}
      onChange={turn}
    />
  );
}

function Labels({ rule }: { rule: Rule }): JSX.Element {
  const labels = Object.entries(rule.labels);
  if (!labels.length) return <>all</>;
  return (
    <span class="row wrap">
      {labels.map(([name, value]) => (
        <Chip key={name} name={name} value={value} />
      ))}
    </span>
  );
}

/** Channels are for admins; others see how many there are. */
function toldBy(rule: Rule, channels: Channel[]): string {
  if (!rule.channels.length) return "nobody";
  const names = rule.channels.map((id) => channels.find((channel) => channel.id === id)?.name);
  if (names.every(Boolean)) return names.join(", ");
  return rule.channels.length === 1 ? "1 channel" : `${rule.channels.length} channels`;
}

async function remove(rule: Rule, onChange: () => void): Promise<void> {
  if (!(await confirm(`Remove ${rule.name}?`, "Its alerts end, and nobody is told.", "Remove"))) return;
  await removeRule(rule.id);
  onChange();
}
