/** What fires for one backend. */
import type { JSX } from "preact";
import { firing } from "../../live/alerts";
import { FiringTable } from "../alerts/row";

export function BackendAlerts({ id }: { id: string }): JSX.Element | null {
  const alerts = firing.value.filter((alert) => alert.backend_id === id);
  if (!alerts.length) return null;
  return (
    <section class="stack" aria-label="Alerts">
      <FiringTable alerts={alerts} isMachineShown={false} />
    </section>
  );
}
