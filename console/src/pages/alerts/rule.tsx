/** Writing a rule. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { addRule, changeRule } from "../../api/alerts";
import type { Channel, Metric, NewRule, Rule, Severity } from "../../api/types";
import { labelsIn, labelsSaid, METRICS } from "../../lib/metrics";
import { Dialog } from "../../parts/dialog";
import { Entry, Form } from "../../parts/form";

interface RuleDialogProps {
  /** The rule that is changed; without one, another is added. */
  rule?: Rule;
  /** What a new rule begins with. */
  draft?: Partial<NewRule>;
  channels: Channel[];
  onDone: () => void;
  onClose: () => void;
}

export function RuleDialog({ rule, draft, channels, onDone, onClose }: RuleDialogProps): JSX.Element {
  const begun: Partial<NewRule> = rule ?? draft ?? {};
  const submit = async (form: FormData): Promise<void> => {
    const wanted = ruleOf(form);
    if (rule) await changeRule(rule.id, wanted);
    else await addRule({ ...wanted, enabled: true });
    onDone();
  };
  return (
    <Dialog title={rule ? `Edit ${rule.name}` : "Add a rule"} onClose={onClose}>
      <Form label="Rule" act={rule ? "Save" : "Add"} submit={submit}>
        <Entry
          label="Name"
          name="name"
          control={(ties) => (
            <input {...ties} defaultValue={begun.name ?? ""} maxLength={64} required autocomplete="off" />
          )}
        />
        <ConditionFields begun={begun} />
        <div class="fields two">
          <Entry
            label="Only machines with these labels"
            name="labels"
            hint="None: all machines"
            control={(ties) => (
              <input
                {...ties}
                class="mono"
                placeholder="site=north role=web"
                defaultValue={labelsSaid(begun.labels)}
                autocapitalize="none"
                spellcheck={false}
              />
            )}
          />
          <Entry
            label="Severity"
            name="severity"
            control={(ties) => (
              <select {...ties}>
                {["warning", "critical"].map((each) => (
                  <option key={each} selected={each === begun.severity}>
                    {each}
                  </option>
                ))}
              </select>
            )}
          />
        </div>
        <Told channels={channels} chosen={begun.channels ?? []} />
      </Form>
    </Dialog>
  );
}

function ConditionFields({ begun }: { begun: Partial<NewRule> }): JSX.Element {
  const [metric, setMetric] = useState<Metric>(begun.metric ?? "cpu");
  const unit = METRICS[metric]?.unit ?? "";
  const hasLevel = metric !== "connection";
  const number = unit === "%" ? { min: 0, max: 100 } : {};
  return (
    <div class="fields two">
      <Entry
        label="What is watched"
        name="metric"
        control={(ties) => (
          <select {...ties} onChange={(event) => setMetric(event.currentTarget.value as Metric)}>
            {Object.entries(METRICS).map(([name, { name: words }]) => (
              <option key={name} value={name} selected={name === metric}>
                {words}
              </option>
            ))}
          </select>
        )}
      />
      <Entry
        label="For how long, seconds"
        name="for"
        hint="It has to be so all the time before it is an alert"
        control={(ties) => (
          <input {...ties} type="number" min={0} max={604800} step="any" defaultValue={begun.for ?? 60} />
        )}
      />
      {hasLevel && (
        <>
          <Entry
            label={`It is an alert${unit && `, in ${unit}`}`}
            name="threshold"
            control={(ties) => (
              <div class="row">
                <select name="op" aria-label="Above or below">
                  {["above", "below"].map((each) => (
                    <option key={each} selected={each === begun.op}>
                      {each}
                    </option>
                  ))}
                </select>
                <input {...ties} type="number" step="any" required {...number} defaultValue={begun.threshold ?? ""} />
              </div>
            )}
          />
          <Entry
            label={`It is over at${unit && `, in ${unit}`}`}
            name="clear"
            hint="Empty: a little past the threshold"
            control={(ties) => (
              <input {...ties} type="number" step="any" {...number} defaultValue={begun.clear ?? ""} />
            )}
          />
        </>
      )}
    </div>
  );
}

function Told({ channels, chosen }: { channels: Channel[]; chosen: string[] }): JSX.Element {
  return (
    <fieldset class="stack choices">
      <legend>Where it is told</legend>
      {!channels.length && (
        <p class="sub">
          On this page and in the events. For a webhook or e-mail too, <a href="/alerts/channels">add a channel</a>.
        </p>
      )}
      <div class="row wrap">
        {channels.map((channel) => (
          <label key={channel.id} class="check">
            <input type="checkbox" name="channels" value={channel.id} defaultChecked={chosen.includes(channel.id)} />
            {channel.name}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function ruleOf(form: FormData): Omit<NewRule, "enabled"> {
  const number = (name: string): number | null => {
    const text = String(form.get(name) ?? "").trim();
    return text ? Number(text) : null;
  };
  return {
    name: String(form.get("name")).trim(),
    metric: String(form.get("metric")) as Metric,
    op: form.get("op") === "below" ? "below" : "above",
    threshold: number("threshold"),
    clear: number("clear"),
    for: number("for") ?? 0,
    labels: labelsIn(String(form.get("labels") ?? "")),
    channels: form.getAll("channels").map(String),
    severity: String(form.get("severity")) as Severity,
  };
}
