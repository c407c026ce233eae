import { useState, type FormEvent } from "react";

import { readPasted, type Credential } from "./session";

interface Props {
  message: string | null;
  onSignIn(credential: Credential): Promise<void>;
}

/** What somebody without a session sees: how to get one. */
export function SignIn({ message, onSignIn }: Props) {
  const [pasted, setPasted] = useState("");
  const [busy, setBusy] = useState(false);
  const credential = readPasted(pasted);

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (!credential) return;
    setBusy(true);
    await onSignIn(credential);
    setBusy(false);
    setPasted("");
  }

  return (
    <main className="sign-in">
      <h1>Trunkline</h1>
      {message && (
        <p className="sign-in-message" role="alert">
          {message}
        </p>
      )}
      <p>Sign in with a link. Beside the running server, this prints one:</p>
      <pre>trunkline sign-in-link</pre>
      <p>
        Open it in this browser within ten minutes; it works once. Or paste the link or a token
        here:
      </p>
      <form onSubmit={submit}>
        <input
          type="password"
          aria-label="Sign-in link or token"
          placeholder="http://…/graphiql#code=… or a token"
          autoComplete="off"
          spellCheck={false}
          value={pasted}
          onChange={(event) => setPasted(event.target.value)}
        />
        <button type="submit" disabled={busy || !credential}>
          Sign in
        </button>
      </form>
      <p className="sign-in-note">
        A token stays in this page's memory until it is closed. The first start wrote the admin
        token to <code>admin-token</code> in the data directory.
      </p>
    </main>
  );
}
