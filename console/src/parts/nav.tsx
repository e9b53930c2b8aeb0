import type { JSX } from "preact";
import * as alerts from "../live/alerts";
import * as events from "../live/events";
import { canAdminister, logout, server, user } from "../live/session";
import { choose, isDark, theme } from "../live/theme";
import { parts, path } from "../router";
import { Button } from "./basics";

interface Place {
  href: string;
  name: string;
  key: string;
  forAdmins?: boolean;
}

export const PLACES: Place[] = [
  { href: "/", name: "Fleet", key: "f" },
  { href: "/alerts", name: "Alerts", key: "l" },
  { href: "/vpn", name: "VPN", key: "v" },
  { href: "/events", name: "Events", key: "e" },
  { href: "/users", name: "Users", key: "u", forAdmins: true },
  { href: "/tokens", name: "Tokens", key: "t" },
  { href: "/audit", name: "Audit log", key: "a", forAdmins: true },
];

export function Nav(): JSX.Element {
  const [first] = parts(path.value);
  const current = first === undefined || first === "backends" ? "/" : `/${first}`;
  return (
    <header class="nav">
      <a class="brand" href="/" aria-label="Quix, the fleet">
        <Mark />
        <span>Quix</span>
      </a>
      <nav aria-label="Main">
        {PLACES.filter((place) => !place.forAdmins || canAdminister.value).map((place) => (
          <a key={place.href} href={place.href} aria-current={place.href === current ? "page" : undefined}>
            {place.name}
            {place.href === "/alerts" && <Badge />}
          </a>
        ))}
      </nav>
      <div class="nav-foot">
        <Live />
        <span class="who">
          <strong>{user.value?.username}</strong> <small>{user.value?.role}</small>
        </span>
        <div class="row">
          <Button kind="quiet" label={isDark.value ? "Light colours" : "Dark colours"} onClick={turn}>
            {isDark.value ? "☀" : "☾"}
          </Button>
          <Button kind="quiet" onClick={logout}>
            Log out
          </Button>
        </div>
        {server.value && <small class="version">Quix {server.value.version}</small>}
      </div>
    </header>
  );
}

/** How many alerts fire that nobody has silenced. */
function Badge(): JSX.Element | null {
  const count = alerts.loud.value.length;
  if (!count) return null;
  const isCritical = alerts.loud.value.some((alert) => alert.severity === "critical");
  return (
    <span class={`badge ${isCritical ? "" : "warning"}`} title={`${count} fire`}>
      {count > 99 ? "99+" : count}
      <span class="unseen"> firing</span>
    </span>
  );
}

function turn(): void {
  const next = isDark.value ? "light" : "dark";
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  choose(next === system && theme.value !== "system" ? "system" : next);
}

function Live(): JSX.Element {
  const words = { open: "Live", closed: "Connecting…", unoffered: "Asks every few seconds" }[events.state.value];
  const tone = events.state.value === "open" ? "good" : events.state.value === "closed" ? "busy" : "off";
  return (
    <span class="status live">
      <span class={`dot ${tone}`} aria-hidden="true" />
      {words}
    </span>
  );
}

export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <circle cx="15" cy="15" r="7" />
      <path d="m18 18 6 6" />
    </svg>
  );
}
