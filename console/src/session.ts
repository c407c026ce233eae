/**
 * Signing in: a link's one-use code, or a token, becomes a cookie that no script can read. This page
 * keeps neither.
 */

/** What a person can show to be let in. */
export type Credential = { kind: "code"; code: string } | { kind: "token"; token: string };

/** The server does not let us in; the message is its own, for a person. */
export class SignInRefused extends Error {}

/** Takes the code of a sign-in link out of the address, so that no bookmark or screenshot holds it. */
export function takeCodeFromAddress(): string | null {
  const code = codeIn(window.location.hash);
  if (code !== null) {
    window.history.replaceState(null, "", window.location.pathname + window.location.search);
  }
  return code;
}

/** What somebody pasted: a whole sign-in link, or a token. */
export function readPasted(text: string): Credential | null {
  const pasted = text.trim();
  const hash = pasted.indexOf("#");
  const code = hash < 0 ? null : codeIn(pasted.slice(hash));
  if (code !== null) return { kind: "code", code };
  const token = pasted.replace(/^Bearer\s+/i, "");
  // A header takes visible ASCII only, and no token of ours has anything else.
  return /^[\x21-\x7e]+$/.test(token) ? { kind: "token", token } : null;
}

/** Trades what a person showed for the session's cookie. Throws `SignInRefused`. */
export async function beginSession(credential: Credential): Promise<void> {
  const { kind, ...shown } = credential;
  const response = await fetch("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(shown),
  });
  if (response.ok) return;
  // The server's own words are for programs, which send a token as a header.
  const unknown = kind === "token" && response.status === 401;
  throw new SignInRefused(
    unknown
      ? "The server doesn't know this token: it may have been revoked, rotated or have expired."
      : await refusal(response),
  );
}

/** Ends the session here and on the server. */
export async function endSession(): Promise<void> {
  await fetch("/session", { method: "DELETE" });
}

/** Whether the cookie is good. Throws `SignInRefused` on any answer but 200 and 401. */
export async function isSignedIn(): Promise<boolean> {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/graphql-response+json",
    },
    body: JSON.stringify({ query: "query SignedIn { __typename }", operationName: "SignedIn" }),
  });
  if (response.ok) return true;
  if (response.status === 401) return false;
  throw new SignInRefused(await refusal(response));
}

function codeIn(hash: string): string | null {
  return new URLSearchParams(hash.replace(/^#/, "")).get("code") || null;
}

async function refusal(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { errors?: { message?: string }[]; message?: string };
    const message = body.errors?.[0]?.message ?? body.message;
    if (message) return message;
  } catch {
    // An answer without JSON is told by its status.
  }
  return `The server answered ${response.status} ${response.statusText}`.trim();
}
