/** Alerts: what fires, what did, and the rules, channels and silences behind it. */
import type { JSX } from "preact";
import { canAdminister } from "../../live/session";
import { Channels } from "./channels";
import { AlertList } from "./list";
import { Rules } from "./rules";
import { Silences } from "./silences";

const TABS: [tab: string, name: string, forAdmins?: boolean][] = [
  ["", "Alerts"],
  ["rules", "Rules"],
  ["channels", "Channels", true],
  ["silences", "Silences"],
];

export function AlertsPage({ tab = "" }: { tab?: string | undefined }): JSX.Element {
  return (
    <div class="page">
      <header class="head">
        <h1>Alerts</h1>
      </header>
      <nav class="tabs" aria-label="About alerts">
        {TABS.filter(([, , forAdmins]) => !forAdmins || canAdminister.value).map(([each, name]) => (
          <a key={each} href={`/alerts${each && `/${each}`}`} aria-current={each === tab ? "page" : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <Tab tab={tab} />
    </div>
  );
}

function Tab({ tab }: { tab: string }): JSX.Element {
  switch (tab) {
    case "rules":
      return <Rules />;
    case "channels":
      return <Channels />;
    case "silences":
      return <Silences />;
    default:
      return <AlertList />;
  }
}
