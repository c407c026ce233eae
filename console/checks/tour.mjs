/**
 * A dashboard's whole tour: every operation of `graphql/operations/` against a running server, each
 * with what the ones before it gave. An operation that is run by none of the steps fails it.
 *
 * The server needs a provider to talk to: one is simulated here, with Ollama's protocol.
 */

import assert from "node:assert/strict";
import { createServer } from "node:http";

import { createClient } from "graphql-ws";
import { WebSocket } from "ws";

import { authorization, names, next, operation, run, soon, url } from "./server.mjs";

const waiting = new Set(names());
const timezone = "Europe/Berlin";

async function step(name, variables, ...problems) {
  waiting.delete(name);
  const data = await run(name, variables, ...problems);
  return Object.values(data)[0];
}

const socket = createClient({
  url: url.replace(/^http/, "ws"),
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
});

async function listen(name, variables) {
  waiting.delete(name);
  const results = socket.iterate({ query: operation(name), variables });
  const [first] = Object.values(await next(results, name));
  await soon(results.return(), `the end of ${name}`);
  return first;
}

const ollama = createServer((request, response) => {
  response.setHeader("Content-Type", "application/json");
  const model = { name: "tour:1b", model: "tour:1b" };
  response.end(
    JSON.stringify(request.url.endsWith("/tags") ? { models: [model] } : { capabilities: [] }),
  );
});
await new Promise((resolve) => ollama.listen(0, "127.0.0.1", resolve));
const baseUrl = `http://127.0.0.1:${ollama.address().port}`;

// The server, and providers.
await step("ServerInfo");
const overview = await step("ProviderOverview", { timezone });
assert.equal(overview.totalCount, 4);
assert.ok((await step("ProviderModels", { slug: "openai", first: 2 })).models.pageInfo.hasNextPage);
await step("TestConnection", { input: { kind: "OLLAMA", baseUrl } });
const { provider } = await step("CreateProvider", {
  input: { slug: "tour", name: "Tour", kind: "OLLAMA", baseUrl, apiKey: "key-of-the-tour-4f2A" },
});
assert.ok(provider.apiKey.masked.endsWith("4f2A"));
assert.ok(!provider.apiKey.masked.includes("tour"));
const tested = await step("TestConnection", { input: { providerId: provider.id } });
assert.equal(tested.connectionTest.status, "OK");
assert.equal(tested.provider.status, "CONNECTED");
assert.equal((await step("SyncModels", { input: { providerId: provider.id } })).added, 1);
await step("UpdateProvider", { input: { id: provider.id, name: "The tour's" } });
await step("RemoveProviderApiKey", { input: { id: provider.id } });
const configured = await step("ProviderConfiguration", { slug: "tour" });
assert.equal(configured.apiKey, null);
assert.equal(configured.version, provider.version + 2);

// The catalog.
const found = await step("Catalog", { filter: { search: "tour 1B" } });
assert.deepEqual(
  found.nodes.map((model) => model.wireName),
  ["tour:1b"],
);
const { model } = await step("CreateModel", {
  input: {
    providerId: provider.id,
    wireName: "own",
    priceOverride: { inputPerMillion: "1", outputPerMillion: "2" },
  },
});
const renamed = await step("UpdateModel", {
  input: { id: model.id, name: "Our own", priceOverride: null },
});
assert.equal(renamed.model.name, "Our own");
assert.equal((await step("CatalogOfProvider", { slug: "tour" })).models.totalCount, 2);
assert.ok((await step("CatalogCounts", {})).totalCount > 100);
assert.equal((await step("CatalogModelById", { id: model.id })).id, model.id);

// Failover chains.
const choices = await step("FailoverStepChoices", { search: "tour" });
const chosen = choices.nodes.map((choice) => choice.id);
assert.equal(chosen.length, 2);
const { failoverChain: chain } = await step("CreateFailoverChain", {
  input: { name: "The tour's chain", steps: chosen.map((modelId) => ({ modelId })) },
});
const [first, second] = chain.steps;
const edited = await step("UpdateFailoverChain", {
  input: { id: chain.id, steps: [{ id: first.id, maxRetries: 5 }, { id: second.id }] },
});
assert.deepEqual(
  edited.failoverChain.steps.map((one) => one.maxRetries),
  [5, second.maxRetries],
);
const reordered = await step("ReorderFailoverChain", {
  input: { id: chain.id, stepIds: [second.id, first.id] },
});
assert.deepEqual(
  reordered.failoverChain.steps.map((one) => one.id),
  [second.id, first.id],
);
assert.equal((await step("FailoverChains")).totalCount, 1);
assert.equal((await step("FailoverChainBySlug", { slug: chain.slug })).id, chain.id);

// The gateway, where nothing was asked for yet.
const health = await step("FailoverChainHealth", { slug: chain.slug });
assert.deepEqual(
  health.steps.map((one) => [one.health.state, one.health.successShare]),
  [
    ["CLOSED", null],
    ["CLOSED", null],
  ],
);
const unsaid = { input: { failoverChainId: chain.id, prompt: " " } };
assert.deepEqual((await step("RunFailoverChain", unsaid, "INVALID")).attempts, []);
const filter = { agents: ["guide"], outcomes: ["ANSWERED"] };
assert.deepEqual((await step("GatewayRequests", { filter })).nodes, []);
assert.equal((await step("GatewayRequestCount", { filter })).totalCount, 0);
assert.equal(await step("GatewayRequestById", { id: chain.id }), null);

// Usage.
const event = {
  idempotencyKey: "tour",
  providerSlug: "tour",
  modelName: "own",
  agent: "guide",
  inputTokens: 10,
};
assert.equal((await step("RecordUsage", { input: { events: [event] } })).recorded, 1);
assert.equal((await step("RecordUsage", { input: { events: [event] } })).duplicates, 1);
for (const dimension of ["PROVIDER", "MODEL", "AGENT"]) {
  assert.equal((await step("UsageSummary", { dimension, timezone })).totals.requests, 1);
}
const input = { dimension: "AGENT", window: { period: "LAST_7_DAYS" }, timezone };
assert.equal((await step("UsageOverTime", { input })).groups[0].label, "guide");
assert.equal((await listen("LiveUsage", { input })).series.totals.requests, 1);
assert.equal((await step("RecentUsageEvents", {})).nodes[0].agent, "guide");

// Budgets.
const { budget, webhookSecret } = await step("CreateBudget", {
  input: {
    name: "The tour's",
    scope: { agent: "guide" },
    amountUsd: "1",
    period: "DAY",
    timezone,
    webhookUrl: "https://hooks.example.com/tour",
  },
});
assert.equal(budget.state.spentUsd, "0");
const rotated = await step("RotateBudgetWebhookSecret", { input: { id: budget.id } });
assert.notEqual(rotated.webhookSecret, webhookSecret);
const raised = await step("UpdateBudget", { input: { id: budget.id, amountUsd: "2.5" } });
assert.equal(raised.budget.state.remainingUsd, "2.5");
assert.equal((await step("Budgets", {})).totalCount, 1);
assert.deepEqual((await step("BudgetAlerts", {})).nodes, []);
assert.equal((await step("DeleteBudget", { input: { id: budget.id } })).deletedId, budget.id);

// Access tokens.
const made = await step("CreateAccessToken", {
  input: { name: "the tour's", scopes: ["GATEWAY"], failoverChainIds: [chain.id] },
});
assert.ok(made.token.startsWith("tl_"));
const turned = await step("RotateAccessToken", { input: { id: made.accessToken.id } });
assert.notEqual(turned.token, made.token);
const [listed] = (await step("AccessTokens", {})).nodes;
assert.equal(listed.masked, `tl_…${turned.token.slice(-4)}`);
assert.deepEqual(
  listed.failoverChains.map((one) => one.id),
  [chain.id],
);
const token = { input: { id: listed.id } };
assert.equal((await step("RevokeAccessToken", token)).deletedId, listed.id);

// Browser sessions: two, of which one is ended by itself.
for (const _ of [1, 2]) {
  const begun = await fetch(new URL("/session", url), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: authorization.replace("Bearer ", "") }),
  });
  assert.equal(begun.status, 204);
}
const sessions = await step("BrowserSessions", {});
assert.deepEqual(
  sessions.nodes.map((one) => [one.signedInWith, one.browser, one.current]),
  [
    ["ADMIN_TOKEN", "node", false],
    ["ADMIN_TOKEN", "node", false],
  ],
);
const oneOfThem = { input: { id: sessions.nodes[0].id } };
assert.equal((await step("RevokeBrowserSession", oneOfThem)).deletedId, sessions.nodes[0].id);
assert.equal((await step("RevokeOtherBrowserSessions", { input: {} })).revoked, 1);
// Who changed what: the tour itself, with its keys as masks.
const log = await step("AuditLog", { first: 3, filter: { objectKinds: ["ACCESS_TOKEN"] } });
assert.deepEqual(
  log.nodes.map((entry) => entry.action),
  ["revokeAccessToken", "rotateAccessToken", "createAccessToken"],
);
assert.ok(!JSON.stringify(log).includes(made.token));
assert.equal((await step("AuditCount", { filter: { objectIds: [chain.id] } })).totalCount, 3);

// Changes.
for (const name of [
  "ProviderOverviewChanges",
  "ProviderConfigurationChanges",
  "CatalogChanges",
  "FailoverChainChanges",
  "BudgetChanges",
  "NewBudgetAlerts",
  "CompletedGatewayRequests",
  "CircuitChanges",
]) {
  assert.equal((await listen(name, {})).kind, "READY", name);
}

// What is in use stays; then everything goes.
const inUse = await step("DeleteProvider", { input: { id: provider.id } }, "IN_USE");
assert.deepEqual(
  inUse.usedBy.map((one) => one.id),
  [chain.id],
);
await step("DeleteFailoverChain", { input: { id: chain.id } });
await step("DeleteModel", { input: { id: model.id } });
assert.equal((await step("DeleteProvider", { input: { id: provider.id } })).deletedId, provider.id);

ollama.close();
assert.deepEqual([...waiting], [], "no step runs these operations");
console.log("ok");
process.exit(0);
