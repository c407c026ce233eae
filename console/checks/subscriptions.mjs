/**
 * The official `graphql-ws` and `graphql-sse` clients against a running server.
 *
 *   TRUNKLINE_URL=http://127.0.0.1:8787 TRUNKLINE_ADMIN_TOKEN=… node checks/subscriptions.mjs CHECK
 *
 * Prints `ok` and exits 0, or fails with what was expected.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { createClient as createEventStreamClient, NetworkError } from "graphql-sse";
import { createClient as createSocketClient } from "graphql-ws";
import { runnerImport } from "vite";
import { WebSocket } from "ws";

import { authorization, next, operation, record, run, soon, url } from "./server.mjs";

const checks = {
  "ws-provider-changes": () => providerChanges(socketClient()),
  "ws-usage": () => usage(socketClient()),
  "ws-merge": () => merge(socketClient()),
  "ws-query": () => query(socketClient()),
  "ws-bad-token": () => refusedSocket({ Authorization: "Bearer not-the-token" }),
  "ws-no-token": () => refusedSocket({}),
  "sse-provider-changes": () => providerChanges(eventStreamClient()),
  "sse-usage": () => usage(eventStreamClient()),
  "sse-query": () => query(eventStreamClient()),
  "sse-bad-token": refusedEventStream,
};

/** READY first, then each change after it was committed, and nothing for a provider not asked for. */
async function providerChanges(client) {
  const changes = client.iterate({
    query: operation("ProviderConfigurationChanges"),
    variables: { slugs: ["google"] },
  });
  const ready = await next(changes, "READY");
  assert.deepEqual(ready.providerChanged, { kind: "READY", id: null, provider: null });

  // Another name each time: a change that changes nothing is none.
  const name = `Google AI ${Date.now()}`;
  await rename("ollama", `Not asked for ${Date.now()}`);
  const before = await rename("google", name);

  const { providerChanged } = await next(changes, "UPDATED");
  assert.equal(providerChanged.kind, "UPDATED");
  assert.equal(providerChanged.id, before.id);
  assert.equal(providerChanged.provider.name, name);
  assert.equal(providerChanged.provider.version, before.version + 1);
  await soon(changes.return(), "the end of the subscription");
}

async function rename(slug, name) {
  const { provider } = await run("ProviderConfiguration", { slug });
  await run("UpdateProvider", { input: { id: provider.id, name } });
  return provider;
}

/** A snapshot first; a delta with absolute values once something was recorded. */
async function usage(client) {
  const input = { dimension: "AGENT", window: { period: "TODAY" }, timezone: "UTC" };
  await record({ agent: "before" });
  const updates = client.iterate({ query: operation("LiveUsage"), variables: { input } });

  const { usageUpdated: snapshot } = await next(updates, "the snapshot");
  assert.equal(snapshot.__typename, "UsageSnapshot");
  assert.equal(snapshot.series.totals.requests, 1);
  assert.deepEqual(
    snapshot.series.groups.map((group) => group.label),
    ["before"],
  );

  await record({ agent: "after", inputTokens: 5000 });
  const { usageUpdated: delta } = await next(updates, "the delta");
  // A bucket that begins just now brings a snapshot instead; it says the same.
  const totals = delta.__typename === "UsageDelta" ? delta.totals : delta.series.totals;
  assert.equal(totals.requests, 2);
  assert.equal(totals.inputTokens, 6200);
  if (delta.__typename === "UsageDelta") {
    assert.deepEqual(
      delta.changes.map((group) => group.label),
      ["after"],
    );
    assert.equal(delta.order[0], delta.changes[0].key);
    assert.equal(delta.changes[0].points.length, snapshot.series.groups[0].points.length);
  }
  await soon(updates.return(), "the end of the subscription");
}

/** The console's own merge, through a hundred random events, ends with what `usageSeries` returns. */
async function merge(client) {
  const { applyUpdate } = await consoleModule("src/live/usageState.ts");
  const quarter = 15 * 60 * 1000;
  const now = Math.floor(Date.now() / quarter) * quarter;
  const instant = (milliseconds) => new Date(milliseconds).toISOString().replace(".000Z", "Z");
  // A fixed range never moves on, so what is read at the end is the window that was merged.
  const range = { from: instant(now - 40 * quarter), to: instant(now) };
  const input = { dimension: "MODEL", window: { range }, timezone: "Europe/Berlin", topGroups: 4 };
  const random = randomNumbers(20261123);
  const models = [
    "claude-sonnet-4-5",
    "claude-opus-4-1",
    "our-own",
    "nobody-knows",
    "claude-haiku-4-5",
    "x",
    "y",
  ];

  const updates = client.iterate({ query: operation("LiveUsage"), variables: { input } });
  let held = applyUpdate(null, (await next(updates, "the snapshot")).usageUpdated);
  let recorded = 0;
  while (recorded < 100) {
    const events = Array.from({ length: 1 + Math.floor(random() * 7) }, () => ({
      modelName: models[Math.floor(random() * models.length)],
      occurredAt: instant(now - Math.ceil(random() * 39) * quarter),
      inputTokens: Math.floor(random() * 100_000),
      outputTokens: Math.floor(random() * 10_000),
      succeeded: random() > 0.1,
    }));
    await record(...events);
    recorded += events.length;
    if (random() < 0.4) {
      held = applyUpdate(held, (await next(updates, "an update")).usageUpdated);
    }
  }
  while (held.totals.requests < recorded) {
    held = applyUpdate(held, (await next(updates, "the last update")).usageUpdated);
  }
  const { usageSeries } = await run("UsageOverTime", { input });
  assert.deepEqual(held, usageSeries);
  assert.equal(held.groups.length, 5, "four groups and the rest");
  await soon(updates.return(), "the end of the subscription");
}

/** Queries and mutations go the same way as subscriptions. */
async function query(client) {
  const info = client.iterate({ query: operation("ServerInfo") });
  const { serverInfo } = await next(info, "an answer");
  assert.equal(serverInfo.database, "sqlite");
  assert.ok((await soon(info.next(), "the end")).done);
}

async function refusedSocket(connectionParams) {
  const client = socketClient(connectionParams);
  const closed = new Promise((resolve) => client.on("closed", resolve));
  const changes = client.iterate({ query: operation("ProviderOverviewChanges") });
  await assert.rejects(soon(changes.next(), "a refusal"));
  const { code, reason } = await soon(closed, "the socket's end");
  assert.equal(code, 4403, reason);
}

async function refusedEventStream() {
  const client = eventStreamClient("Bearer not-the-token");
  const changes = client.iterate({ query: operation("ProviderOverviewChanges") });
  await assert.rejects(soon(changes.next(), "a refusal"), (problem) => {
    assert.ok(problem instanceof NetworkError);
    assert.equal(problem.response.status, 401);
    return true;
  });
}

function socketClient(connectionParams = { Authorization: authorization }) {
  return createSocketClient({
    url: url.replace(/^http/, "ws"),
    webSocketImpl: WebSocket,
    connectionParams,
    retryAttempts: 0,
  });
}

function eventStreamClient(header = authorization) {
  return createEventStreamClient({ url, headers: { Authorization: header }, retryAttempts: 0 });
}

/** A TypeScript module of the page, as it is. */
async function consoleModule(path) {
  const { module } = await runnerImport(fileURLToPath(new URL(`../${path}`, import.meta.url)), {
    configFile: false,
  });
  return module;
}

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const check = checks[process.argv[2]];
if (!check) throw new Error(`name a check: ${Object.keys(checks).join(", ")}`);
await check();
console.log("ok");
process.exit(0);
