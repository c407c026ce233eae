import { useCallback, useEffect, useState } from "react";

import { useApi } from "../ApiContext";
import { EXAMPLES_BY_NAME } from "../examples/examples";

export const SESSIONS_TITLE = "Sessions";

interface Session {
  id: string;
  signedInWith: "SIGN_IN_LINK" | "ADMIN_TOKEN" | "ACCESS_TOKEN";
  accessToken: { name: string } | null;
  browser: string | null;
  address: string | null;
  current: boolean;
  createdAt: string;
  lastUsedAt: string | null;
}

interface Page {
  browserSessions: { totalCount: number; nodes: Session[] };
}

const METHODS = { SIGN_IN_LINK: "a sign-in link", ADMIN_TOKEN: "the admin token" };

/** The browsers that are signed in, as far as one may see them, and a way to end their sessions. */
export function SessionsPanel() {
  const { ask } = useApi();
  const [page, setPage] = useState<Page["browserSessions"] | null>(null);
  const [said, setSaid] = useState<string | null>(null);

  const read = useCallback(async () => {
    try {
      setPage((await ask<Page>(operation("BrowserSessions"))).browserSessions);
    } catch (problem) {
      setSaid(problem instanceof Error ? problem.message : String(problem));
    }
  }, [ask]);
  useEffect(() => void read(), [read]);

  async function end(name: string, input: object, done: string) {
    try {
      await ask(operation(name), { input });
      setSaid(done);
    } catch (problem) {
      setSaid(problem instanceof Error ? problem.message : String(problem));
    }
    await read();
  }

  const others = page?.nodes.filter((one) => !one.current) ?? [];
  return (
    <section aria-label="Sessions" className="sessions">
      <h2 className="panel-title">Sessions</h2>
      <p className="panel-note" role="status">
        {said ?? "Browsers that are signed in. A session that is ended loses its sockets too."}
      </p>
      <ul>
        {page?.nodes.map((one) => (
          <li key={one.id}>
            <div>
              <strong>{one.browser ?? "Unknown browser"}</strong>
              {one.current && <span className="session-current"> this browser</span>}
              <div className="panel-note">
                {one.accessToken ? `token ${one.accessToken.name}` : methodOf(one)}
                {one.address && `, from ${one.address}`}
                <br />
                since {time(one.createdAt)}
                {one.lastUsedAt && `, last used ${time(one.lastUsedAt)}`}
              </div>
            </div>
            {!one.current && (
              <button
                type="button"
                aria-label={`End the session of ${one.browser ?? "an unknown browser"} since ${time(one.createdAt)}`}
                onClick={() => void end("RevokeBrowserSession", { id: one.id }, "It is ended.")}
              >
                End
              </button>
            )}
          </li>
        ))}
      </ul>
      {page && page.totalCount > page.nodes.length && (
        <p className="panel-note">These are the newest {page.nodes.length} of {page.totalCount}.</p>
      )}
      {others.length > 1 && (
        <button
          type="button"
          onClick={() => void end("RevokeOtherBrowserSessions", {}, "Your other sessions are ended.")}
        >
          End my other sessions
        </button>
      )}
    </section>
  );
}

function operation(name: string): string {
  const example = EXAMPLES_BY_NAME.get(name);
  if (!example) throw new Error(`graphql/operations/ has no ${name}`);
  return example.document;
}

function methodOf(session: Session): string {
  return session.signedInWith === "ACCESS_TOKEN" ? "an access token" : METHODS[session.signedInWith];
}

function time(instant: string): string {
  return new Date(instant).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export function SessionsIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      <path
        d="M3.5 5h17v11h-17zM8.5 20h7M12 16v4M9.5 10.5l2 2 3.5-4"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
