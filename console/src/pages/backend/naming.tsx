/** Giving a backend a name and labels; they go before those that its agent tells. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { changeBackend } from "../../api/backends";
import type { Backend } from "../../api/types";
import { labelChange, labelsFrom, labelText, labelTexts } from "../../lib/labels";
import * as fleet from "../../live/fleet";
import { LabelsField } from "../../parts/chips";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";

interface NamingProps {
  backend: Backend;
  onClose: () => void;
}

export function RenameDialog({ backend, onClose }: NamingProps): JSX.Element {
  const own = backend.facts?.name ?? "";
  const hint = own ? `Empty gives it back the name its agent tells: ${own}.` : "Empty takes the given name away.";
  return (
    <Dialog title={`Rename ${backend.name}`} onClose={onClose}>
      <Form
        act="Rename"
        byReason={{ already_exists: "name" }}
        submit={async (form) => {
          fleet.put(await changeBackend(backend.id, { name: String(form.get("name")).trim() || null }));
          onClose();
        }}
      >
        <Input name="name" label="Name" hint={hint}>
          <input
            name="name"
            defaultValue={backend.name}
            maxLength={253}
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
          />
        </Input>
      </Form>
    </Dialog>
  );
}

export function LabelsDialog({ backend, onClose }: NamingProps): JSX.Element {
  const [items, setItems] = useState(labelTexts(backend.given_labels));
  const given = labelsFrom(items);
  const own = Object.entries(backend.facts?.labels ?? {});
  return (
    <Dialog title={`Labels of ${backend.name}`} onClose={onClose}>
      {own.length > 0 && (
        <div class="stack">
          <p>Its agent tells these. One of the same name that is given here goes before it.</p>
          <span class="row wrap tight">
            {own.map(([name, value]) => (
              <span key={name} class={`chip ${name in given ? "gone" : ""}`}>
                {labelText([name, value])}
              </span>
            ))}
          </span>
        </div>
      )}
      <Form
        act="Save"
        byReason={{ permission_denied: "labels" }}
        submit={async () => {
          fleet.put(await changeBackend(backend.id, { labels: labelChange(backend.given_labels, given) }));
          onClose();
        }}
      >
        <LabelsField items={items} onChange={setItems} hint="Given here, for all to see. Enter adds one." />
      </Form>
    </Dialog>
  );
}
