/**
 * Pages of others against a running server, in a Chromium that is signed in to it: what only a browser
 * proves. Another port of the same host is the same site, so the cookie goes along; a name that was
 * pointed at this machine (DNS rebinding) is even the same origin as itself.
 *
 *   TRUNKLINE_URL=… TRUNKLINE_ADMIN_TOKEN=… TRUNKLINE_SIGN_IN_LINK=… TRUNKLINE_CHROMIUM=/usr/bin/chromium \
 *     node checks/perimeter.mjs
 */

import assert from "node:assert/strict";
import { createServer } from "node:http";

import { openBrowser } from "./chromium.mjs";
import { required, run, soon } from "./server.mjs";

const { origin, port } = new URL(required("TRUNKLINE_URL"));
const link = required("TRUNKLINE_SIGN_IN_LINK");
const REBOUND = "attacker.test";

// Serves an empty page with no policy of its own, and takes what is posted to it.
const elsewhere = createServer((_, response) => {
  response.setHeader("Content-Type", "text/html");
  response.end("<!doctype html><title>elsewhere</title>");
});
await new Promise((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
const otherPort = `http://127.0.0.1:${elsewhere.address().port}/`;

const browser = await openBrowser(
  `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`,
  // Newer browsers refuse much of this by themselves. Not all do, so ours must hold without.
  "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
);
const { context } = browser;
/** What our server was asked for by the page that is watched: its headers, and the answer's status. */
const asked = new Map();

try {
  await signIn();
  const before = await stored();
  await fromAnotherPort();
  await fromAReboundName();
  await byAFrameOrAWindow();
  assert.deepEqual(await stored(), before, "something was changed");
  console.log("ok");
} finally {
  await browser.close();
  elsewhere.close();
}

async function signIn() {
  const page = await open(link);
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  const [cookie] = await context.cookies(origin);
  assert.deepEqual(
    [cookie.httpOnly, cookie.sameSite, cookie.path, cookie.domain],
    [true, "Strict", "/", "127.0.0.1"],
  );
  assert.equal(await page.evaluate(() => document.cookie), "");
  // The fragment stays in the browser: no request had the code, in whatever part of it.
  const code = link.split("#code=")[1];
  assert.ok(asked.size > 5);
  for (const one of asked.values()) {
    assert.ok(!one.url.includes(code), one.url);
    assert.ok(!JSON.stringify(one.headers).includes(code), one.url);
  }
  await page.close();
}

async function fromAnotherPort() {
  const page = await open(otherPort);
  asked.clear();
  const learned = await page.evaluate(attack, origin);
  assert.deepEqual(learned, []);
  await refusedAll({ withCookie: true });
  await postForm(page, "/graphql", "text/plain");
  await postForm(page, "/session", "application/x-www-form-urlencoded");
  await postForm(page, "/import/usage", "multipart/form-data");
  await page.close();
}

async function fromAReboundName() {
  // The page was served from the attacker's machine under this name and port; then the name was
  // pointed here, so all that it asks for goes to our server, as to its own origin.
  const rebound = `http://${REBOUND}:${port}`;
  await context.route(`${rebound}/page`, (route) =>
    route.fulfill({ contentType: "text/html", body: "<!doctype html><title>rebound</title>" }),
  );
  const page = await open(`${rebound}/page`);
  await context.unroute(`${rebound}/page`);
  asked.clear();
  const learned = await page.evaluate(attack, rebound);
  // To the page these answers are its own origin's: it reads them, and they say nothing.
  for (const said of learned) assert.match(said, /doesn't answer under that Host/);
  await refusedAll({ status: 421 });
  const shown = await page.goto(`${rebound}/graphiql`);
  assert.equal(shown.status(), 421);
  await page.close();
}

async function byAFrameOrAWindow() {
  const page = await open(otherPort);
  const frame = await page.evaluate(
    (target) =>
      new Promise((resolve) => {
        const frame = document.createElement("iframe");
        frame.src = `${target}/graphiql`;
        frame.onload = () => resolve(frame.contentDocument === null ? "closed" : "open");
        document.body.append(frame);
      }),
    origin,
  );
  assert.equal(frame, "closed");
  const inside = page.frames().at(-1);
  assert.ok(inside.url().startsWith("chrome-error:"), `it stands in a frame: ${inside.url()}`);
  // Opened by another's page, what is ours has no opener, and the other holds no window of it.
  const opening = context.waitForEvent("page");
  await page.evaluate((target) => (window.opened = window.open(`${target}/readyz`)), origin);
  const opened = await opening;
  await opened.waitForLoadState();
  assert.equal(await opened.evaluate(() => window.opener), null);
  await page.waitForFunction(() => window.opened.closed);
  await opened.close();
  await page.close();
}

/** Runs in the other's page. Returns whatever it could read of the server's answers. */
async function attack(target) {
  const learned = [];
  const change = `mutation { createBudget(input: { name: "evil", scope: { all: true }, amountUsd: "1",
    period: DAY, timezone: "UTC" }) { budget { id } } }`;
  const read = "{ serverInfo { version } }";
  const json = { "Content-Type": "application/json" };
  const text = { "Content-Type": "text/plain" };
  const attempts = [
    ["/graphql", { method: "POST", headers: json, body: JSON.stringify({ query: change }) }],
    ["/graphql", { method: "POST", headers: text, body: JSON.stringify({ query: change }) }],
    ["/graphql", { method: "POST", headers: text, body: JSON.stringify({ query: change }), mode: "no-cors" }],
    [`/graphql?query=${encodeURIComponent(read)}`, {}],
    [`/graphql?query=${encodeURIComponent(change)}`, { mode: "no-cors" }],
    ["/export/usage", {}],
    ["/schema.graphql", {}],
    ["/session", { method: "DELETE" }],
    ["/session", { method: "POST", headers: text, body: '{"code":"x"}', mode: "no-cors" }],
    ["/v1/models", {}],
  ];
  for (const [path, options] of attempts) {
    try {
      const answer = await fetch(target + path, { credentials: "include", ...options });
      if (answer.type !== "opaque") learned.push(await answer.text());
    } catch {
      // What a page should get.
    }
  }
  const address = `${target.replace("http", "ws")}/graphql`;
  await new Promise((resolve) => {
    const socket = new WebSocket(address, "graphql-transport-ws");
    socket.onopen = () => learned.push("a socket opened");
    socket.onclose = resolve;
  });
  await new Promise((resolve) => {
    const query = encodeURIComponent("subscription { budgetChanged { kind } }");
    const events = new EventSource(`${target}/graphql?query=${query}`, { withCredentials: true });
    events.onopen = () => learned.push("an event stream opened");
    events.onerror = () => {
      events.close();
      resolve();
    };
  });
  for (const name of ["img", "script", "link"]) {
    const url = `${target}/export/usage`;
    await new Promise((resolve) => {
      const element = document.createElement(name);
      element.onload = () => resolve(learned.push(`${name} loaded`));
      element.onerror = resolve;
      if (name === "link") Object.assign(element, { rel: "stylesheet", href: url });
      else element.src = url;
      document.head.append(element);
    });
  }
  return learned;
}

async function postForm(page, path, enctype) {
  asked.clear();
  const done = page.waitForEvent("framenavigated");
  await page.evaluate(
    ([action, enctype]) => {
      const form = document.createElement("form");
      Object.assign(form, { method: "post", action, enctype });
      const field = document.createElement("input");
      field.name = '{"query":"mutation { revokeOtherBrowserSessions(input: {}) { revoked } }","x":"';
      field.value = '"}';
      form.append(field);
      document.body.append(form);
      form.submit();
    },
    [origin + path, enctype],
  );
  await soon(done, `the form's answer at ${path}`);
  await refusedAll({ withCookie: true });
  await page.goto(otherPort);
}

/** Every answer was a refusal; with the cookie where it went along, or the check proves nothing. */
async function refusedAll({ withCookie = false, status = 403 }) {
  await soon(settled(), "every answer");
  const ours = [...asked.values()].filter((one) => one.headers.host?.endsWith(`:${port}`));
  assert.ok(ours.length > 0, "the server was asked for nothing");
  for (const one of ours) {
    assert.equal(one.status, status, `${one.method} ${one.url} was answered ${one.status}`);
  }
  if (!withCookie) return;
  const signedIn = ours.filter((one) => one.headers.cookie?.includes("trunkline_session="));
  assert.ok(signedIn.length > 0, "no cookie was sent: nothing is proven");
}

async function settled() {
  while ([...asked.values()].some((one) => one.headers.host && one.status === undefined))
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A page whose requests are watched as they go over the wire; a page's own events leave some out. */
async function open(url) {
  const page = await context.newPage();
  const wire = await context.newCDPSession(page);
  const of = (id) => {
    if (!asked.has(id)) asked.set(id, { url: "", method: "", headers: {} });
    return asked.get(id);
  };
  const lower = (headers) =>
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  wire.on("Network.requestWillBeSent", ({ requestId, request }) =>
    Object.assign(of(requestId), { url: request.url, method: request.method }),
  );
  wire.on("Network.requestWillBeSentExtraInfo", ({ requestId, headers }) =>
    Object.assign(of(requestId).headers, lower(headers)),
  );
  wire.on("Network.responseReceivedExtraInfo", ({ requestId, statusCode }) =>
    Object.assign(of(requestId), { status: statusCode }),
  );
  wire.on("Network.webSocketWillSendHandshakeRequest", ({ requestId, request }) =>
    Object.assign(of(requestId), { url: "a websocket", headers: lower(request.headers) }),
  );
  // Of a handshake that fails nothing else is told: "… Unexpected response code: 403".
  wire.on("Network.webSocketFrameError", ({ requestId, errorMessage }) =>
    Object.assign(of(requestId), { status: Number(/\d{3}$/.exec(errorMessage)?.[0]) }),
  );
  await wire.send("Network.enable");
  asked.clear();
  await page.goto(url);
  return page;
}

async function stored() {
  const budgets = await run("Budgets", {});
  const sessions = await run("BrowserSessions", {});
  return [budgets.budgets.totalCount, sessions.browserSessions.nodes.map((one) => one.id)];
}
