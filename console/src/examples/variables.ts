/**
 * Variables that an example starts with: real ids of this server where running it does no harm.
 *
 * What deletes is left for the person to fill in. GraphiQL reads comments in variables, and underlines
 * a field that has a default and can't be null where it is left out, so here none is.
 */

/** Some objects of this server, to point examples at. */
export interface Known {
  providers: { nodes: { id: string; slug: string; name: string; version: number }[] };
  models: { nodes: { id: string; wireName: string; provider: { slug: string } }[] };
  failoverChains: {
    nodes: { id: string; slug: string; version: number; steps: { id: string }[] }[];
  };
  budgets: { nodes: { id: string }[] };
  gatewayRequests: { nodes: { id: string }[] };
}

export const KNOWN_QUERY = `query ObjectsForExamples {
  providers(first: 10) { nodes { id slug name version } }
  models(first: 3, filter: { enabled: true }) { nodes { id wireName provider { slug } } }
  failoverChains(first: 5) { nodes { id slug version steps { id } } }
  budgets(first: 1) { nodes { id } }
  gatewayRequests(first: 1) { nodes { id } }
}`;

/** The variables' text for an operation; with `known` null, without this server's ids. */
export function startingVariables(operation: string, known: Known | null): string {
  const lines = VARIABLES[operation]?.(placesIn(known));
  return lines === undefined ? "" : lines;
}

interface Places {
  provider: string;
  slug: string;
  model: string;
  modelName: string;
  modelProvider: string;
  otherModel: string;
  chain: string;
  chainSlug: string;
  steps: string[];
  budget: string;
  gatewayRequest: string;
  timezone: string;
}

function placesIn(known: Known | null): Places {
  const provider = known?.providers.nodes[0];
  const [model, otherModel] = known?.models.nodes ?? [];
  const chain = known?.failoverChains.nodes[0];
  return {
    provider: provider?.id ?? "<a provider's id>",
    slug: provider?.slug ?? "anthropic",
    model: model?.id ?? "<a model's id>",
    modelName: model?.wireName ?? "claude-sonnet-4-5",
    modelProvider: model?.provider.slug ?? "anthropic",
    otherModel: otherModel?.id ?? "<another model's id>",
    chain: chain?.id ?? "<a chain's id>",
    chainSlug: chain?.slug ?? "<a chain's slug>",
    steps: chain?.steps.map((step) => step.id) ?? ["<a step's id>"],
    budget: known?.budgets.nodes[0]?.id ?? "<a budget's id>",
    gatewayRequest: known?.gatewayRequests.nodes[0]?.id ?? "<a request's id>",
    timezone: localTimezone(),
  };
}

/** This browser's zone by its IANA name. */
export function localTimezone(): string {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return zone && zone !== "Etc/Unknown" ? zone : "UTC";
}

const RANKING = { topGroups: 10, rankBy: "COST" };

const VARIABLES: Record<string, (places: Places) => string> = {
  ProviderOverview: ({ timezone }) => json({ timezone }),
  ProviderModels: ({ slug }) => json({ slug, first: 50 }),
  ProviderOverviewChanges: () => json({}),

  ProviderConfiguration: ({ slug }) => json({ slug }),
  CreateProvider: () =>
    json({
      input: {
        slug: "groq",
        name: "Groq",
        kind: "OPENAI_COMPATIBLE",
        baseUrl: "https://api.groq.com/openai/v1",
        enabled: true,
      },
    }),
  UpdateProvider: ({ provider }) =>
    `{
  "input": {
    "id": ${JSON.stringify(provider)},
    // "apiKey": "…",
    // "baseUrl": "https://…",
    // "extraHeaders": [{ "name": "OpenAI-Organization", "value": "…" }],
    "enabled": true
  }
}`,
  RemoveProviderApiKey: () => json({ input: { id: "<a provider's id>" } }),
  DeleteProvider: () => json({ input: { id: "<a provider's id>" } }),
  TestConnection: ({ provider }) =>
    `{
  "input": {
    // Or a draft: "kind": "OLLAMA", "baseUrl": "http://127.0.0.1:11434"
    "providerId": ${JSON.stringify(provider)}
  }
}`,
  SyncModels: ({ provider }) => json({ input: { providerId: provider } }),
  ProviderConfigurationChanges: ({ slug }) => json({ slugs: [slug] }),

  Catalog: () =>
    `{
  "first": 50,
  "sort": "INPUT_PRICE_ASC",
  "filter": {
    "search": "claude",
    // "capabilities": ["TOOLS", "VISION"],
    // "maxInputPerMillion": "3",
    "minContextWindow": 100000,
    "includeDeprecated": false
  }
}`,
  CatalogOfProvider: ({ slug }) => json({ slug, first: 50, sort: "NAME" }),
  CatalogCounts: () =>
    json({
      all: { includeDeprecated: true },
      filtered: { capabilities: ["REASONING"], includeDeprecated: false },
    }),
  CatalogModelById: ({ model }) => json({ id: model }),
  CreateModel: ({ provider }) =>
    json({
      input: {
        providerId: provider,
        wireName: "our-fine-tune-1",
        name: "Our fine-tune",
        contextWindow: 200000,
        capabilities: ["TOOLS"],
        priceOverride: { inputPerMillion: "1.50", outputPerMillion: "6" },
      },
    }),
  UpdateModel: ({ model }) =>
    `{
  "input": {
    "id": ${JSON.stringify(model)},
    // "priceOverride": { "inputPerMillion": "2.50", "outputPerMillion": "10" },
    "enabled": true
  }
}`,
  DeleteModel: () => json({ input: { id: "<the id of a model of yours>" } }),
  CatalogChanges: () => json({}),

  FailoverChains: () => json({ first: 100 }),
  FailoverChainBySlug: ({ chainSlug }) => json({ slug: chainSlug }),
  FailoverStepChoices: () => json({ search: "sonnet", first: 20 }),
  CreateFailoverChain: ({ model, otherModel }) =>
    json({
      input: {
        name: "Support answers",
        enabled: true,
        delivery: "STREAMED",
        steps: [{ modelId: model }, { modelId: otherModel, maxRetries: 1, timeoutSeconds: 60 }],
      },
    }),
  UpdateFailoverChain: ({ chain, steps }) =>
    json({
      input: {
        id: chain,
        steps: steps.map((id, index) => (index === 0 ? { id, maxRetries: 3 } : { id })),
      },
    }),
  ReorderFailoverChain: ({ chain, steps }) =>
    json({ input: { id: chain, stepIds: [...steps].reverse() } }),
  DeleteFailoverChain: () => json({ input: { id: "<a chain's id>" } }),
  FailoverChainChanges: () => json({}),

  GatewayRequests: () =>
    `{
  "first": 50,
  "filter": {
    // "agents": ["support"],
    // "startedFrom": "2026-11-23T00:00:00Z",
    "outcomes": ["FAILED", "CUT", "REFUSED"]
  }
}`,
  GatewayRequestCount: () => json({ filter: { outcomes: ["ANSWERED"] } }),
  GatewayRequestById: ({ gatewayRequest }) => json({ id: gatewayRequest }),
  FailoverChainHealth: ({ chainSlug }) => json({ slug: chainSlug }),
  RunFailoverChain: ({ chain }) =>
    json({
      input: {
        failoverChainId: chain,
        prompt: "Say hello in five words.",
        maxOutputTokens: 100,
        agent: "graphiql",
      },
    }),
  CompletedGatewayRequests: () => json({}),

  Budgets: () => json({ first: 100 }),
  BudgetAlerts: () => json({ first: 50 }),
  CreateBudget: ({ timezone }) =>
    `{
  "input": {
    "name": "Everything, by month",
    // Or one of "providerId", "modelId", "failoverChainId" and "agent".
    "scope": { "all": true },
    "amountUsd": "250",
    "period": "CALENDAR_MONTH",
    "timezone": ${JSON.stringify(timezone)},
    // "webhookUrl": "https://…",
    "action": "ALERT",
    "thresholds": [50, 80, 100],
    "enabled": true
  }
}`,
  UpdateBudget: ({ budget }) =>
    `{
  "input": {
    "id": ${JSON.stringify(budget)},
    // "webhookUrl": "https://…",
    "amountUsd": "300"
  }
}`,
  RotateBudgetWebhookSecret: () => json({ input: { id: "<a budget's id>" } }),
  DeleteBudget: () => json({ input: { id: "<a budget's id>" } }),
  BudgetChanges: () => json({}),
  NewBudgetAlerts: () => json({}),

  AccessTokens: () => json({ first: 100 }),
  CreateAccessToken: ({ chain }) =>
    `{
  "input": {
    "name": "dashboard",
    // "expiresAt": "2027-01-31T00:00:00Z",
    // For GATEWAY: "failoverChainIds": [${JSON.stringify(chain)}], "agents": ["support"],
    "scopes": ["READ"]
  }
}`,
  RotateAccessToken: () => json({ input: { id: "<a token's id>", graceSeconds: 86400 } }),
  RevokeAccessToken: () => json({ input: { id: "<a token's id>" } }),

  BrowserSessions: () => json({ first: 50 }),
  RevokeBrowserSession: () => json({ input: { id: "<a session's id>" } }),
  RevokeOtherBrowserSessions: () => json({ input: { ofEverybody: false } }),
  AuditLog: () =>
    `{
  // "filter": { "objectKinds": ["PROVIDER"], "actions": ["updateProvider"], "from": "2026-11-01T00:00:00Z" },
  "first": 50
}`,
  AuditCount: () => json({}),

  UsageSummary: ({ timezone }) => json({ dimension: "PROVIDER", timezone }),
  UsageOverTime: ({ timezone }) =>
    json({
      input: { dimension: "MODEL", window: { period: "LAST_7_DAYS" }, timezone, ...RANKING },
    }),
  LiveUsage: ({ timezone }) =>
    json({
      input: { dimension: "AGENT", window: { period: "TODAY" }, timezone, ...RANKING },
    }),

  RecentUsageEvents: () => json({ first: 50 }),
  RecordUsage: ({ modelProvider, modelName }) =>
    json({
      input: {
        events: [
          {
            idempotencyKey: `graphiql-${Date.now().toString(36)}`,
            providerSlug: modelProvider,
            modelName,
            agent: "graphiql",
            succeeded: true,
            inputTokens: 1200,
            cacheReadTokens: 1000,
            cacheWriteTokens: 0,
            outputTokens: 300,
            reasoningTokens: 0,
            estimated: false,
          },
        ],
      },
    }),
};

function json(variables: object): string {
  return JSON.stringify(variables, null, 2);
}
