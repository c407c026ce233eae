/**
 * Code as a front end would write it against the generated types; it is checked, never run.
 *
 * The assignments fail to compile where a scalar would come out as `any` or `unknown`.
 */

import type { ResultOf, VariablesOf } from "@graphql-typed-document-node/core";

import {
  CreateProviderDocument,
  LiveUsageDocument,
  ProviderOverviewDocument,
  UsageOverTimeDocument,
} from "../generated/graphql";

type Exactly<Left, Right> =
  (<T>() => T extends Left ? 1 : 2) extends <T>() => T extends Right ? 1 : 2 ? true : false;
const holds = <_Claim extends true>(): void => undefined;

type Totals = NonNullable<
  ResultOf<typeof ProviderOverviewDocument>["providers"]["nodes"][number]["usage"]
>;
holds<Exactly<Totals["costUsd"], string>>();
holds<Exactly<Totals["requests"], number>>();

export const usage: VariablesOf<typeof UsageOverTimeDocument> = {
  input: { dimension: "PROVIDER", window: { period: "TODAY" }, timezone: "Europe/Berlin" },
};

export const provider: VariablesOf<typeof CreateProviderDocument> = {
  input: { slug: "groq", name: "Groq", kind: "OPENAI_COMPATIBLE" },
};

export function kindOfUpdate({ usageUpdated }: ResultOf<typeof LiveUsageDocument>): number {
  switch (usageUpdated.__typename) {
    case "UsageSnapshot":
      return 0;
    case "UsageDelta":
      holds<Exactly<typeof usageUpdated.asOf, string>>();
      return usageUpdated.order.length;
  }
}

// @ts-expect-error a window is a period or a range, never both
export const both: VariablesOf<typeof UsageOverTimeDocument>["input"]["window"] = {
  period: "TODAY",
  range: { from: "2026-11-23T00:00:00Z", to: "2026-11-24T00:00:00Z" },
};
