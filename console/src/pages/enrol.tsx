/** Adding a machine: the line to paste, or for those who may make none, the command with a password. */
import type { JSX } from "preact";
import { listEnrolments } from "../api/enrolments";
import { useLoad } from "../lib/load";
import { canAdminister } from "../live/session";
import { Loading, Trouble } from "../parts/basics";
import { Dialog } from "../parts/dialog";
import { KeySteps } from "./key";
import { PasswordSteps } from "./password";

export function EnrolDialog({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Add a machine" onClose={onClose}>
      <EnrolSteps />
    </Dialog>
  );
}

export function EnrolSteps(): JSX.Element {
  return canAdminister.value ? <AdminSteps /> : <PasswordSteps />;
}

function AdminSteps(): JSX.Element {
  const { data, error, reload } = useLoad(listEnrolments, [], {
    on: (event) => event.kind === "backend_enrolled",
  });
  // An older server has no keys, and an admin of some machines may make none.
  if (error?.isUnoffered || error?.status === 403) return <PasswordSteps />;
  if (error && !data) return <Trouble error={error} what="enrolment keys" />;
  if (!data) return <Loading />;
  return <KeySteps keys={data.items} onChange={reload} />;
}
