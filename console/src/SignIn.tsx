import { useId, useRef, useState, type FormEvent } from "react";

import { readPasted, type Credential } from "./session";

interface Props {
  message: string | null;
  onSignIn(credential: Credential): Promise<void>;
}

const NOTHING_PASTED = "Paste a sign-in link or a token first.";
const NO_CREDENTIAL = "This is neither a sign-in link nor a token: paste the whole of it, on one line.";

/** What somebody without a session sees: how to get one. */
export function SignIn({ message, onSignIn }: Props) {
  const [pasted, setPasted] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const noteId = useId();
  const said = problem ?? message;

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (busy) return;
    const credential = readPasted(pasted);
    setProblem(credential ? null : pasted.trim() ? NO_CREDENTIAL : NOTHING_PASTED);
    if (credential) {
      setBusy(true);
      await onSignIn(credential);
      setBusy(false);
      setPasted("");
    }
    field.current?.focus();
  }

  return (
    <main className="sign-in">
      <h1>Trunkline</h1>
      {/* Always there, so that what it comes to hold is read out. */}
      <div role="alert">{said && <p className="sign-in-message">{said}</p>}</div>
      <p>Sign in with a link. Beside the running server, this prints one:</p>
      <pre>trunkline sign-in-link</pre>
      <p>Open it in this browser within ten minutes; it works once.</p>
      <form onSubmit={submit} noValidate aria-busy={busy}>
        <label htmlFor="credential">Or paste the link, or a token, here</label>
        <div className="sign-in-row">
          <input
            ref={field}
            id="credential"
            type="password"
            placeholder="tl_… or http://…/graphiql#code=…"
            autoComplete="off"
            spellCheck={false}
            aria-describedby={noteId}
            aria-invalid={problem !== null}
            value={pasted}
            onChange={(event) => setPasted(event.target.value)}
          />
          <button type="submit" aria-disabled={busy}>
            {busy ? "Signing in…" : "Sign in"}
          </button>
        </div>
      </form>
      <p className="sign-in-note" id={noteId}>
        Either is sent to this server once, for a cookie that lasts twelve hours and that no script can
        read; this page keeps neither. The first start wrote the admin token to{" "}
        <code>admin-token</code> in the data directory.
      </p>
    </main>
  );
}
