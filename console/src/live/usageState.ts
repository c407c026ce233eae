/**
 * A usage series kept up to date from `usageUpdated`, by the rules of the API.
 *
 * A snapshot replaces everything. A delta's values are absolute, so applying one twice does no harm.
 * Whoever applies every update in order holds what `usageSeries` returns, the order of groups included.
 */

export interface UsageTotals {
  requests: number;
  failures: number;
  inputTokens: number;
  outputTokens: number;
  /** An exact decimal. */
  costUsd: string;
  unpricedRequests: number;
}

export interface UsagePoint {
  start: string;
  requests: number;
  failures: number;
  inputTokens: number;
  outputTokens: number;
  costUsd: string;
  unpricedRequests: number;
}

export interface UsageGroup {
  key: string;
  kind: "OBJECT" | "AGENT" | "NONE" | "OTHER";
  label: string;
  /** The object that a group stands for; what else it has depends on its type. */
  subject: { __typename: string; provider?: { name: string } } | null;
  totals: UsageTotals;
  /** Oldest first, one for each bucket of the window. */
  points: UsagePoint[];
}

export interface UsageSeries {
  granularity: "QUARTER_HOUR" | "HOUR" | "DAY";
  from: string;
  to: string;
  asOf: string;
  totals: UsageTotals;
  groups: UsageGroup[];
}

export type UsageUpdate =
  | { __typename: "UsageSnapshot"; series: UsageSeries }
  | {
      __typename: "UsageDelta";
      asOf: string;
      totals: UsageTotals;
      order: string[];
      /** Every point of a group that was not held, else those that changed. */
      changes: UsageGroup[];
    };

/** The series after an update. A delta before any snapshot tells nothing and leaves null. */
export function applyUpdate(held: UsageSeries | null, update: UsageUpdate): UsageSeries | null {
  if (update.__typename === "UsageSnapshot") return update.series;
  if (held === null) return null;
  const groups = new Map(held.groups.map((group) => [group.key, group]));
  for (const change of update.changes) {
    const before = groups.get(change.key);
    const points = before ? replacePoints(before.points, change.points) : change.points;
    groups.set(change.key, { ...before, ...change, points });
  }
  return {
    ...held,
    asOf: update.asOf,
    totals: update.totals,
    groups: update.order.flatMap((key) => groups.get(key) ?? []),
  };
}

function replacePoints(held: UsagePoint[], changed: UsagePoint[]): UsagePoint[] {
  const byStart = new Map(changed.map((point) => [point.start, point]));
  return held.map((point) => byStart.get(point.start) ?? point);
}
