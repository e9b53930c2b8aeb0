import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api/http";
import { login } from "../live/session";
import { Field } from "../parts/basics";
import { Mark } from "../parts/nav";

export function LoginPage(): JSX.Element {
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setProblem("");
    try {
      await login(String(form.get("username")), String(form.get("password")));
    } catch (error) {
      setProblem(sentence(error));
      setBusy(false);
    }
  };
  return (
    <main class="alone">
      <form class="panel login" onSubmit={submit}>
        <h1>
          <Mark /> Quix
        </h1>
        {problem && (
          <p class="note bad" role="alert">
            {problem}
          </p>
        )}
        <Field label="User">
          <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
        </Field>
        <Field label="Password">
          <input name="password" type="password" autocomplete="current-password" required />
        </Field>
        <button class="button main" type="submit" disabled={isBusy}>
          {isBusy ? "Logging in…" : "Log in"}
        </button>
        <details>
          <summary>No user yet?</summary>
          <p>On the machine of the server:</p>
          <code>quix user add NAME --role admin --data-dir DIR</code>
        </details>
      </form>
    </main>
  );
}

function sentence(error: unknown): string {
  if (error instanceof ApiError && error.reason === "password_invalid") return "User or password is wrong.";
  return error instanceof Error ? error.message : String(error);
}
