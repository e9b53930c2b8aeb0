/** Silencing alerts for a time: before one works on machines, and before anything fires. */
import type { JSX } from "preact";
import { addSilence } from "../../api/alerts";
import type { NewSilence } from "../../api/types";
import { labelsIn } from "../../lib/metrics";
import { rules } from "../../live/alerts";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";

export const SPANS: [name: string, seconds: number][] = [
  ["1 hour", 3600],
  ["8 hours", 8 * 3600],
  ["1 day", 86400],
  ["1 week", 7 * 86400],
];

export function SilenceDialog({ onDone, onClose }: { onDone: () => void; onClose: () => void }): JSX.Element {
  const submit = async (form: FormData): Promise<void> => {
    await addSilence(silenceOf(form));
    onDone();
  };
  return (
    <Dialog title="Silence alerts" onClose={onClose}>
      <Form
        label="Silence"
        act="Silence"
        submit={submit}
        byReason={{ backend_unknown: "backend_id", backend_ambiguous: "backend_id", rule_unknown: "rule_id" }}
      >
        <div class="fields two">
          <Input name="until" label="For">
            <select>
              {SPANS.map(([name, seconds]) => (
                <option key={name} value={seconds}>
                  {name}
                </option>
              ))}
            </select>
          </Input>
          <Input name="rule_id" label="Rule">
            <select>
              <option value="">every rule</option>
              {[...rules.value.values()].map((rule) => (
                <option key={rule.id} value={rule.id}>
                  {rule.name}
                </option>
              ))}
            </select>
          </Input>
          <Input name="backend_id" label="Machine" hint="Its name or id. None: all that you see">
            <input placeholder="web-1" autocomplete="off" autocapitalize="none" spellcheck={false} />
          </Input>
          <Input name="labels" label="Only machines with these labels" hint="None: all">
            <input class="mono" placeholder="site=north role=web" autocapitalize="none" spellcheck={false} />
          </Input>
        </div>
        <Input name="comment" label="Why" hint="For the others">
          <input maxLength={500} autocomplete="off" />
        </Input>
      </Form>
    </Dialog>
  );
}

function silenceOf(form: FormData): NewSilence {
  const text = (name: string): string => String(form.get(name) ?? "").trim();
  return {
    until: Date.now() / 1000 + Number(text("until")),
    rule_id: text("rule_id") || null,
    backend_id: text("backend_id") || null,
    labels: labelsIn(text("labels")),
    comment: text("comment"),
  };
}
