/** Where alerts are told: webhooks and e-mail. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { listChannels, removeChannel, testChannel } from "../../api/alerts";
import type { Channel } from "../../api/types";
import { moment } from "../../lib/format";
import { useLoad } from "../../lib/load";
import { now } from "../../live/clock";
import { Button, Dot, Empty, Loading, Trouble } from "../../parts/basics";
import { confirm } from "../../parts/dialog";
import { ChannelDialog } from "./channel";

export function Channels(): JSX.Element {
  const [edited, setEdited] = useState<{ channel?: Channel }>();
  const { data, error, reload } = useLoad(listChannels, [], { every: 15_000 });
  return (
    <>
      {error && <Trouble error={error} what="channels" />}
      {!data && !error && <Loading />}
      {data && !data.items.length && (
        <Empty title="No channel yet">
          <p>A channel tells alerts elsewhere: a webhook gets a POST of JSON, addresses get e-mail.</p>
          <Button kind="main" onClick={() => setEdited({})}>
            Add a channel
          </Button>
        </Empty>
      )}
      {data && data.items.length > 0 && (
        <>
          <p>
            <Button kind="main" onClick={() => setEdited({})}>
              Add a channel
            </Button>
          </p>
          <Table channels={data.items} onEdit={(channel) => setEdited({ channel })} onChange={reload} />
        </>
      )}
      {edited && (
        <ChannelDialog
          {...edited}
          onClose={() => setEdited(undefined)}
          onDone={() => {
            setEdited(undefined);
            reload();
          }}
        />
      )}
    </>
  );
}

interface TableProps {
  channels: Channel[];
  onEdit: (channel: Channel) => void;
  onChange: () => void;
}

function Table({ channels, onEdit, onChange }: TableProps): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Channels">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Where to</th>
            <th scope="col">Last message</th>
            <th scope="col">Test</th>
            <th scope="col">
              <span class="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {channels.map((channel) => (
            <Row key={channel.id} channel={channel} onEdit={onEdit} onChange={onChange} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ channel, onEdit, onChange }: Omit<TableProps, "channels"> & { channel: Channel }): JSX.Element {
  const [result, setResult] = useState<Result>();
  return (
    <tr>
      <td>
        <strong>{channel.name}</strong>
        <span class="sub under">{channel.kind === "email" ? "e-mail" : "webhook"}</span>
      </td>
      <td class="mono title">
        {channel.kind === "email" ? channel.to.join(", ") : channel.url}
        {channel.has_secret && <span class="sub under">signed</span>}
      </td>
      <td class="grow">
        {channel.last_error ? (
          <Dot tone="bad" label="failed" />
        ) : channel.last_sent_at === null ? (
          <span class="sub">none yet</span>
        ) : (
          moment(channel.last_sent_at, now.value)
        )}
        {channel.last_error && result?.tone !== "bad" && <span class="sub under wrapped">{channel.last_error}</span>}
      </td>
      <td>
        <Test channel={channel} result={result} onResult={setResult} onDone={onChange} />
      </td>
      <td>
        <div class="row">
          <Button onClick={() => onEdit(channel)} label={`Edit ${channel.name}`}>
            Edit…
          </Button>
          <Button kind="danger" onClick={() => remove(channel, onChange)} label={`Remove ${channel.name}`}>
            Remove…
          </Button>
        </div>
      </td>
    </tr>
  );
}

interface Result {
  tone: "good" | "bad";
  text: string;
}

interface TestProps {
  channel: Channel;
  result: Result | undefined;
  onResult: (result: Result | undefined) => void;
  onDone: () => void;
}

/** A button that sends a message now, and what came of it. */
function Test({ channel, result, onResult, onDone }: TestProps): JSX.Element {
  const test = async (): Promise<void> => {
    onResult(undefined);
    try {
      await testChannel(channel.id);
      onResult({ tone: "good", text: "It was taken." });
    } catch (error) {
      onResult({ tone: "bad", text: error instanceof Error ? error.message : String(error) });
    }
    onDone();
  };
  return (
    <div class="tested">
      <Button onClick={test} label={`Test ${channel.name}`}>
        Test
      </Button>
      <span role="status" class={result?.tone === "bad" ? "fault" : ""}>
        {result?.text}
      </span>
    </div>
  );
}

async function remove(channel: Channel, onChange: () => void): Promise<void> {
  const text = "Rules that tell alerts by it forget it. What waits to be sent is not sent.";
  if (!(await confirm(`Remove ${channel.name}?`, text, "Remove"))) return;
  await removeChannel(channel.id);
  onChange();
}
