/**
 * Official `graphql-ws` clients that lose their connection again and again while usage is recorded.
 *
 *   TRUNKLINE_URL=http://127.0.0.1:8787 TRUNKLINE_ADMIN_TOKEN=… node checks/reconnecting.mjs SEED
 *
 * Each watches a series of its own and merges by the rules of the API: a snapshot replaces what is
 * held; of a delta, groups and points replace those held, and the groups of `order` remain, in its
 * order. Connections end in three ways: the client drops its socket, a proxy cuts a frame in two, or
 * a proxy passes nothing on for a while, so that the server finds a reader who doesn't read. At the
 * end each must hold exactly what `usageSeries` returns at the same `asOf`.
 *
 * Prints what happened and exits 0, or fails with the seed.
 */

import assert from "node:assert/strict";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { createClient } from "graphql-ws";
import { WebSocket } from "ws";

import { authorization, record, run, soon, token, url } from "./server.mjs";

const CLIENTS = 5;
const EVENTS = 10_000;
const LARGEST_BATCH = 250;
const QUARTER_MS = 15 * 60 * 1000;
const CONNECTIONS = 3;

const seed = Number(process.argv[2]);
assert.ok(Number.isInteger(seed), "give a seed");

const TOTALS = `
  requests failures inputTokens cacheReadTokens cacheWriteTokens outputTokens reasoningTokens
  costUsd unpricedRequests estimatedRequests averageLatencyMs latencyP50Ms latencyP95Ms`;
const GROUP = `
  key kind label totals { ${TOTALS} }
  subject { __typename ... on Provider { slug } ... on Model { wireName provider { slug } } }
  points {
    start requests failures inputTokens cacheReadTokens cacheWriteTokens outputTokens
    reasoningTokens costUsd unpricedRequests latencyP50Ms latencyP95Ms
  }`;
const SERIES = `
  dimension granularity timezone from to asOf
  totals { ${TOTALS} } previousTotals { ${TOTALS} } groups { ${GROUP} }`;
const QUERY = `query ($input: UsageSeriesInput!) { usageSeries(input: $input) { ${SERIES} } }`;
const WATCH = `subscription ($input: UsageSeriesInput!) { usageUpdated(input: $input) {
  __typename
  ... on UsageSnapshot { series { ${SERIES} } }
  ... on UsageDelta {
    asOf order totals { ${TOTALS} } previousTotals { ${TOTALS} } changes { ${GROUP} }
  } } }`;

const CHANGING_RANKS = {
  dimension: "AGENT",
  window: { period: "LAST_7_DAYS" },
  topGroups: 6,
  rankBy: "REQUESTS",
  filter: null,
};

/** What a client holds after an update. */
function merge(held, update) {
  if (update.__typename === "UsageSnapshot") return update.series;
  assert.ok(held, "a delta came before any snapshot");
  const groups = new Map(held.groups.map((group) => [group.key, group]));
  for (const change of update.changes) {
    const points = new Map(groups.get(change.key)?.points.map((point) => [point.start, point]));
    for (const point of change.points) points.set(point.start, point);
    const inTime = [...points.values()].sort((a, b) => Date.parse(a.start) - Date.parse(b.start));
    groups.set(change.key, { ...change, points: inTime });
  }
  const { asOf, totals, previousTotals } = update;
  const ranked = update.order.map((key) => groups.get(key));
  return { ...held, asOf, totals, previousTotals, groups: ranked };
}

class Watcher {
  constructor(number, random) {
    this.number = number;
    this.random = random;
    // Of the agents the busiest changes all the while, so one client always sees ranks change.
    this.input = { ...randomInput(random), ...(number === 0 ? CHANGING_RANKS : {}) };
    this.held = null;
    this.updates = { UsageSnapshot: 0, UsageDelta: 0 };
    this.orders = new Set();
    this.connections = 0;
    this.ended = false;
    this.failure = null;
  }

  hasReconnected() {
    return this.connections >= CONNECTIONS && this.updates.UsageSnapshot > 1;
  }

  async begin() {
    this.proxy = await badLine(this.random);
    let socket;
    this.client = createClient({
      url: `ws://127.0.0.1:${this.proxy.address().port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: authorization },
      retryAttempts: Infinity,
      retryWait: () => pause(this.random() * 50),
      // Left to itself it gives up where the line breaks within the handshake.
      shouldRetry: () => true,
      on: {
        connected: (connected) => {
          socket = connected;
          this.connections += 1;
        },
      },
    });
    this.client.subscribe(
      { query: WATCH, variables: { input: this.input } },
      {
        next: (result) => {
          try {
            assert.equal(result.errors, undefined, JSON.stringify(result.errors));
            const update = result.data.usageUpdated;
            this.updates[update.__typename] += 1;
            this.held = merge(this.held, update);
            this.orders.add(this.held.groups.map((group) => group.key).join());
          } catch (problem) {
            this.failure ??= problem;
          }
        },
        error: (problem) => (this.failure ??= problem),
        complete: () => this.ended || (this.failure ??= new Error("the server ended it")),
      },
    );
    this.dropping = this.drop(() => socket?.terminate());
  }

  async drop(terminate) {
    while (!this.ended) {
      await pause(100 + this.random() ** 2 * 2500);
      if (!this.ended && this.random() < 0.7) terminate();
    }
  }

  /** What it holds and what is answered are the same, at the same `asOf`. */
  async check() {
    for (;;) {
      if (this.failure) throw this.failure;
      const answered = await ask(QUERY, { input: this.input });
      // Its window moves with time, and what is underway may still come.
      if (this.held?.asOf === answered.asOf && this.held.to === answered.to) {
        const same = (one) => JSON.stringify(one.previousTotals);
        if (same(this.held) === same(answered)) {
          assert.deepEqual(this.held, answered);
          assert.ok(answered.totals.requests > 0, "there is something to compare");
          return;
        }
      }
      await pause(50);
    }
  }

  async end() {
    this.ended = true;
    await this.dropping;
    await this.client.dispose();
    this.proxy.close();
  }
}

/** A line to the server that breaks within a frame, or stands still for a while. */
function badLine(random) {
  const { hostname, port } = new URL(url);
  const proxy = net.createServer((client) => {
    const server = net.connect(Number(port), hostname);
    const hangUp = () => (client.destroy(), server.destroy());
    for (const end of [client, server]) end.on("error", hangUp).on("close", hangUp);
    client.pipe(server);
    let left = random() < 0.5 ? Math.floor(random() * 150_000) : Infinity;
    server.on("data", (bytes) => {
      if (bytes.length > left) {
        client.write(bytes.subarray(0, left), hangUp);
        server.pause();
        return;
      }
      left -= bytes.length;
      client.write(bytes);
      if (random() < 0.1) {
        server.pause();
        setTimeout(() => server.resume(), random() * 1500);
      }
    });
  });
  return new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(proxy)));
}

function randomInput(random) {
  const day = 24 * 60 * 60 * 1000;
  const end = Math.ceil(Date.now() / QUARTER_MS) * QUARTER_MS;
  const range = { from: new Date(end - 2 * day), to: new Date(end + day) };
  return {
    dimension: pick(random, ["AGENT", "MODEL", "PROVIDER"]),
    window: pick(random, [
      { period: "TODAY" },
      { period: "LAST_7_DAYS" },
      { period: "MONTH_TO_DATE" },
      { range },
    ]),
    timezone: pick(random, ["UTC", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]),
    granularity: pick(random, [null, "HOUR", "DAY"]),
    topGroups: 1 + Math.floor(random() * 6),
    rankBy: pick(random, ["COST", "TOKENS", "REQUESTS"]),
    filter: random() < 0.3 ? { agents: ["", "a", "b", "c", "d"] } : null,
  };
}

/** As an agent reports it: mostly just now, some of it late by up to three days. */
function randomEvent(random, progress) {
  const inputTokens = Math.floor(random() ** 4 * 500_000);
  const outputTokens = Math.floor(random() ** 2 * 20_000);
  const [providerSlug, ...models] = pick(random, [
    ["anthropic", "claude-sonnet-4-5", "claude-opus-4-1", "claude-haiku-4-5"],
    ["openai", "gpt-5", "gpt-5-mini", "nobody-knows"],
    ["ollama", "llama", "qwen"],
  ]);
  // Who is busy changes, and so does the ranking.
  const agents = ["a", "b", "c", "d", "e", "f", "g", "h", null];
  const place = (progress + random() ** 3) * agents.length;
  const late = random() < 0.3 ? random() * 3 * 24 * 60 * 60 * 1000 : 0;
  return {
    providerSlug,
    modelName: pick(random, models),
    agent: agents[Math.floor(place) % agents.length],
    occurredAt: new Date(Date.now() - late),
    inputTokens,
    cacheReadTokens: Math.floor(inputTokens * random()),
    outputTokens,
    reasoningTokens: Math.floor(outputTokens * random()),
    succeeded: random() > 0.1,
    latencyMs: random() < 0.8 ? Math.floor(10 + random() ** 3 * 60_000) : null,
  };
}

/** All of the events, and as many more as it takes until each watcher has begun anew. */
async function recordAll(random, watchers) {
  let recorded = 0;
  const goesOn = () =>
    recorded < EVENTS || watchers.some((one) => !one.failure && !one.hasReconnected());
  const recorder = async () => {
    while (goesOn()) {
      const left = recorded < EVENTS ? EVENTS - recorded : 1;
      const count = Math.min(1 + Math.floor(random() ** 2 * LARGEST_BATCH), left);
      const progress = recorded / EVENTS;
      recorded += count;
      await record(...Array.from({ length: count }, () => randomEvent(random, progress)));
      await pause(random() * 50);
      if (random() < 0.05) await rename(random);
    }
  };
  await Promise.all([recorder(), recorder(), recorder()]);
  // One more, so that what was renamed last is older than the state that is compared.
  await record(randomEvent(random, 0));
}

async function rename(random) {
  const { provider } = await run("ProviderConfiguration", { slug: "openai" });
  const name = `OpenAI ${Math.floor(random() * 1000)}`;
  await run("UpdateProvider", { input: { id: provider.id, name } });
}

async function ask(query, variables) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data.usageSeries;
}

function pick(random, choices) {
  return choices[Math.floor(random() * choices.length)];
}

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
function randomNumbers(from) {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

let watcher;
try {
  const watchers = Array.from(
    { length: CLIENTS },
    (_, number) => new Watcher(number, randomNumbers(seed * 1000 + number)),
  );
  await Promise.all(watchers.map((one) => one.begin()));
  await recordAll(randomNumbers(seed), watchers);
  for (watcher of watchers) await soon(watcher.check(), "what is answered");
  await Promise.all(watchers.map((one) => one.end()));
  for (watcher of watchers) {
    assert.ok(watcher.hasReconnected(), "it reconnected, and began with a snapshot again");
  }
  const all = (count) => watchers.reduce((sum, one) => sum + count(one), 0);
  assert.ok(all((one) => one.updates.UsageDelta) > CLIENTS, "deltas came in between");
  assert.ok(all((one) => one.orders.size) > CLIENTS, "groups changed rank");
  for (const one of watchers) {
    const { UsageSnapshot, UsageDelta } = one.updates;
    console.log(
      `${one.connections} connections, ${UsageSnapshot} snapshots, ${UsageDelta} deltas, ` +
        `${one.orders.size} orders of groups: ${JSON.stringify(one.input)}`,
    );
  }
} catch (problem) {
  console.error(problem);
  const asked = watcher ? ` of client ${watcher.number}: ${JSON.stringify(watcher.input)}` : "";
  console.error(`failed with seed ${seed}${asked}`);
  process.exit(1);
}
process.exit(0);
