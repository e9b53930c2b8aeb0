/** The frame around every page: who is logged in, where one can go, and which page the address names. */
import { useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import * as alerts from "./live/alerts";
import * as events from "./live/events";
import * as fleet from "./live/fleet";
import { trouble, user } from "./live/session";
import { AlertsPage } from "./pages/alerts/page";
import { AuditPage } from "./pages/audit";
import { BackendPage } from "./pages/backend/page";
import { EventsPage } from "./pages/events";
import { FleetPage } from "./pages/fleet";
import { LoginPage } from "./pages/login";
import { TokensPage } from "./pages/tokens";
import { UsersPage } from "./pages/users";
import { VpnPage } from "./pages/vpn";
import { Empty } from "./parts/basics";
import { Confirmation } from "./parts/dialog";
import { Keys } from "./parts/keys";
import { Nav } from "./parts/nav";
import { Toasts } from "./parts/toast";
import { parts, path } from "./router";

export function App(): JSX.Element {
  if (user.value === undefined) return <Waiting />;
  if (user.value === null) return <LoginPage />;
  return <Inside key={user.value.username} />;
}

function Waiting(): JSX.Element {
  return (
    <main class="alone">
      <p role="status">{trouble.value || "Loading…"}</p>
    </main>
  );
}

function Inside(): JSX.Element {
  useEffect(() => {
    events.begin();
    fleet.begin();
    alerts.begin();
    return () => {
      alerts.end();
      fleet.end();
      events.end();
    };
  }, []);
  useSignalEffect(() => {
    document.title = titleOf(parts(path.value));
  });
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Nav />
      <main id="main" tabIndex={-1}>
        <Page />
      </main>
      <Keys />
      <Confirmation />
      <Toasts />
    </>
  );
}

function Page(): JSX.Element {
  const [first, id, ...rest] = parts(path.value);
  switch (first) {
    case undefined:
      return <FleetPage />;
    case "backends":
      return id ? <BackendPage key={id} id={id} rest={rest} /> : <FleetPage />;
    case "alerts":
      return <AlertsPage tab={id} />;
    case "vpn":
      return <VpnPage />;
    case "users":
      return <UsersPage />;
    case "tokens":
      return <TokensPage />;
    case "audit":
      return <AuditPage />;
    case "events":
      return <EventsPage />;
    default:
      return (
        <Empty title="There is nothing here">
          <p>
            <a href="/">Go to the fleet</a>
          </p>
        </Empty>
      );
  }
}

const TITLES: Record<string, string> = {
  alerts: "Alerts",
  vpn: "VPN",
  users: "Users",
  tokens: "Tokens",
  audit: "Audit log",
  events: "Events",
};

function titleOf([first, id]: string[]): string {
  const name = first === "backends" && id ? fleet.nameOf(id) : (TITLES[first ?? ""] ?? "Fleet");
  return `${name} · Quix`;
}
