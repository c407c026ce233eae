/**
 * The page's connection to `/graphql`: HTTP for queries and mutations, a websocket for subscriptions.
 *
 * Everything goes to our own origin, with the session's cookie.
 */

import type { Fetcher } from "@graphiql/toolkit";
import { getOperationAST, parse, type ExecutionResult } from "graphql";
import { createClient, type Client } from "graphql-ws";

/** Made once a person is signed in, thrown away when they sign out. */
export interface Api {
  fetcher: Fetcher;
  socket: Client;
  /** One query, for the page's own use. Throws when the server can't be reached or refuses. */
  ask<Data>(query: string, variables?: object): Promise<Data>;
  close(): void;
}

// What the server closes a socket with when its credentials are no good, or no good any more.
const SIGNED_OUT_CODES = new Set([4401, 4403]);

/** `onSignedOut` is called whenever the server says that our own credentials are not good. */
export function connect(onSignedOut: () => void): Api {
  const socket = openSocket({}, onSignedOut);

  async function post(body: object, headers: Record<string, string>): Promise<ExecutionResult> {
    const response = await fetch("/graphql", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Accept: "application/graphql-response+json",
        ...headers,
      },
      body: JSON.stringify(body),
    });
    if (response.status === 401 && !namesAuthorization(headers)) onSignedOut();
    if (!response.headers.get("Content-Type")?.includes("json")) {
      throw new Error(`The server answered ${response.status} ${response.statusText}`);
    }
    return (await response.json()) as ExecutionResult;
  }

  return {
    socket,
    fetcher: (request, options) => {
      const headers = (options?.headers ?? {}) as Record<string, string>;
      const document = options?.documentAST ?? parse(request.query);
      const operation = getOperationAST(document, request.operationName);
      const body = {
        query: request.query,
        variables: request.variables as Record<string, unknown>,
        ...(request.operationName ? { operationName: request.operationName } : {}),
      };
      if (operation?.operation !== "subscription") return post(body, headers);
      // Headers typed into the editor are another's credentials: they get a socket of their own.
      return Object.keys(headers).length === 0
        ? listen(socket, body)
        : listen(
            openSocket(headers, () => {}),
            body,
            true,
          );
    },
    ask: async <Data>(query: string, variables?: object) => {
      const result = await post({ query, variables }, {});
      const problem = result.errors?.[0];
      if (problem) throw new Error(problem.message);
      return result.data as Data;
    },
    close: () => void socket.dispose(),
  };
}

function openSocket(connectionParams: Record<string, string>, onSignedOut: () => void): Client {
  const address = new URL("/graphql", window.location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return createClient({
    url: address.href,
    connectionParams,
    // A subscription starts anew with its snapshot or READY, so coming back loses nothing.
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: (retries) =>
      new Promise((resolve) => setTimeout(resolve, Math.min(500 * 2 ** retries, 10_000))),
    shouldRetry: (problem) => !isSignedOut(problem),
    on: { closed: (event) => isSignedOut(event) && onSignedOut() },
  });
}

/** Results as they come; a socket that closed for good becomes an error a person can read. */
async function* listen(
  socket: Client,
  body: { query: string; variables: Record<string, unknown>; operationName?: string },
  ownSocket = false,
): AsyncGenerator<ExecutionResult> {
  try {
    // GraphiQL's type asks for error objects and only ever prints them.
    for await (const result of socket.iterate(body)) yield result as ExecutionResult;
  } catch (problem) {
    if (problem instanceof CloseEvent) {
      throw new Error(`The socket was closed: ${problem.code} ${problem.reason}`.trim());
    }
    throw problem;
  } finally {
    if (ownSocket) void socket.dispose();
  }
}

function isSignedOut(event: unknown): boolean {
  return event instanceof CloseEvent && SIGNED_OUT_CODES.has(event.code);
}

function namesAuthorization(headers: Record<string, string>): boolean {
  return Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
}
