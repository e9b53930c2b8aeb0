/** Another password for oneself. */
import type { JSX } from "preact";
import { changePassword } from "../../api/credentials";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";
import { notify } from "../../parts/toast";

export function PasswordDialog({ onChanged, onClose }: { onChanged: () => void; onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Change my password" onClose={onClose}>
      <p>Your other logins end with it. Personal tokens stay.</p>
      <Form
        act="Change it"
        byReason={{ password_invalid: "old" }}
        submit={async (form) => {
          await changePassword(String(form.get("old")), String(form.get("password")));
          notify("Your password is changed; your other logins have ended.");
          onChanged();
          onClose();
        }}
      >
        <Input name="old" label="Password of now">
          <input name="old" type="password" required maxLength={1024} autocomplete="current-password" />
        </Input>
        <Input name="password" label="New password" hint="8 characters at least">
          <input name="password" type="password" required minLength={8} maxLength={1024} autocomplete="new-password" />
        </Input>
      </Form>
    </Dialog>
  );
}
