import { useCallback, useEffect, useState } from "react";

import { connect, type Api } from "./api";
import { Explorer } from "./Explorer";
import {
  beginSession,
  endSession,
  isSignedIn,
  takeCodeFromAddress,
  type Credential,
} from "./session";
import { SignIn } from "./SignIn";
import { forgetTyped } from "./storage";

type State =
  { is: "starting" } | { is: "signed-out"; message: string | null } | { is: "signed-in"; api: Api };

// Read when the page is loaded and not when it is drawn: a code works once, and drawing may happen twice.
const codeOfLink = takeCodeFromAddress();

/** Sign-in first; GraphiQL once the server knows who is here. */
export function Console() {
  const [state, setState] = useState<State>({ is: "starting" });

  const enter = useCallback(() => {
    const leave = () => setState({ is: "signed-out", message: "Your session has ended." });
    setState({ is: "signed-in", api: connect(leave) });
  }, []);

  const signIn = useCallback(
    async (credential: Credential | null) => {
      try {
        if (credential !== null) await beginSession(credential);
        if (await isSignedIn()) return enter();
        setState({
          is: "signed-out",
          // Whoever comes without a session has done nothing wrong.
          message: credential === null ? null : "The browser didn't keep the session's cookie.",
        });
      } catch (problem) {
        setState({ is: "signed-out", message: inWords(problem) });
      }
    },
    [enter],
  );

  useEffect(() => {
    void firstSignIn(signIn);
  }, [signIn]);

  const api = state.is === "signed-in" ? state.api : null;
  useEffect(() => () => api?.close(), [api]);

  if (state.is === "starting") return <p className="console-waiting">Signing in…</p>;
  if (state.is === "signed-out") return <SignIn message={state.message} onSignIn={signIn} />;
  return (
    <Explorer
      api={state.api}
      onSignOut={async () => {
        await endSession().catch(() => undefined);
        forgetTyped();
        setState({ is: "signed-out", message: "You are signed out." });
      }}
    />
  );
}

let begun: Promise<void> | null = null;

function firstSignIn(signIn: (credential: Credential | null) => Promise<void>): Promise<void> {
  begun ??= signIn(codeOfLink === null ? null : { kind: "code", code: codeOfLink });
  return begun;
}

function inWords(problem: unknown): string {
  if (problem instanceof TypeError) return "The server can't be reached. Is it running?";
  return problem instanceof Error ? problem.message : String(problem);
}
