/** Writing a channel. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { addChannel, changeChannel } from "../../api/alerts";
import type { Channel, ChannelChange } from "../../api/types";
import { Button, CopyButton } from "../../parts/basics";
import { Dialog } from "../../parts/dialog";
import { Entry, Form } from "../../parts/form";

interface ChannelDialogProps {
  /** The channel that is changed; without one, another is added. */
  channel?: Channel;
  onDone: () => void;
  onClose: () => void;
}

export function ChannelDialog({ channel, onDone, onClose }: ChannelDialogProps): JSX.Element {
  const [kind, setKind] = useState<Channel["kind"]>(channel?.kind ?? "webhook");
  const submit = async (form: FormData): Promise<void> => {
    const fields = fieldsOf(form, kind);
    if (channel) await changeChannel(channel.id, fields);
    else await addChannel({ url: null, to: [], secret: null, kind, ...fields });
    onDone();
  };
  return (
    <Dialog title={channel ? `Edit ${channel.name}` : "Add a channel"} onClose={onClose}>
      <Form label="Channel" act={channel ? "Save" : "Add"} submit={submit}>
        {!channel && (
          <fieldset class="choice">
            <legend class="unseen">Kind</legend>
            <Button pressed={kind === "webhook"} onClick={() => setKind("webhook")}>
              Webhook
            </Button>
            <Button pressed={kind === "email"} onClick={() => setKind("email")}>
              E-mail
            </Button>
          </fieldset>
        )}
        <Entry
          label="Name"
          name="name"
          control={(ties) => (
            <input {...ties} defaultValue={channel?.name ?? ""} maxLength={64} required autocomplete="off" />
          )}
        />
        {kind === "webhook" ? <WebhookFields channel={channel} /> : <EmailFields channel={channel} />}
      </Form>
    </Dialog>
  );
}

function EmailFields({ channel }: { channel: Channel | undefined }): JSX.Element {
  return (
    <Entry
      label="To"
      name="to"
      hint="Addresses, with commas between them. The server needs an SMTP server in its settings."
      control={(ties) => (
        <input
          {...ties}
          type="email"
          multiple
          required
          defaultValue={channel?.to.join(", ") ?? ""}
          autocomplete="off"
        />
      )}
    />
  );
}

function WebhookFields({ channel }: { channel: Channel | undefined }): JSX.Element {
  const [secret, setSecret] = useState("");
  const has = channel?.has_secret ?? false;
  return (
    <>
      <Entry
        label="URL"
        name="url"
        control={(ties) => (
          <input
            {...ties}
            type="url"
            class="mono"
            placeholder="https://"
            required
            defaultValue={channel?.url ?? ""}
            autocomplete="off"
          />
        )}
      />
      <Entry
        label="Secret"
        name="secret"
        hint={
          secret
            ? "Give it to the receiver now: it is not shown again."
            : has
              ? "It has one. Empty: that stays."
              : "With one, messages are signed as Standard Webhooks says. Empty: they are not."
        }
        control={(ties) => (
          <div class="row">
            <input
              {...ties}
              class="mono grow"
              value={secret}
              autocomplete="off"
              spellcheck={false}
              onInput={(event) => setSecret(event.currentTarget.value)}
            />
            {secret ? <CopyButton text={secret} /> : <Button onClick={() => setSecret(newSecret())}>Make one</Button>}
          </div>
        )}
      />
      {has && (
        <label class="check">
          <input type="checkbox" name="unsigned" /> take the secret away
        </label>
      )}
    </>
  );
}

function newSecret(): string {
  return `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))}`;
}

type Wanted = ChannelChange & { name: string };

function fieldsOf(form: FormData, kind: Channel["kind"]): Wanted {
  const text = (name: string): string => String(form.get(name) ?? "").trim();
  const name = text("name");
  if (kind === "email")
    return {
      name,
      to: text("to")
        .split(/[\s,;]+/)
        .filter(Boolean),
    };
  const secret = text("secret");
  return { name, url: text("url"), ...(form.get("unsigned") ? { secret: null } : secret ? { secret } : {}) };
}
