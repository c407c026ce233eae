import { useEffect, useState } from "react";

import { useApi } from "../ApiContext";
import { EXAMPLES_BY_NAME } from "../examples/examples";
import { localTimezone } from "../examples/variables";
import { applyUpdate, type UsageSeries, type UsageUpdate } from "./usageState";

export type Dimension = "PROVIDER" | "MODEL" | "AGENT";
export type Period = "TODAY" | "LAST_7_DAYS" | "MONTH_TO_DATE";

export interface LiveUsage {
  series: UsageSeries | null;
  /** `connecting` also while a lost connection is being made again; what was held stays on show. */
  connection: "connecting" | "live";
  problem: string | null;
}

const NOTHING: LiveUsage = { series: null, connection: "connecting", problem: null };

/** Today, a week or a month of usage, as it happens. The client comes back by itself, to a new snapshot. */
export function useLiveUsage(dimension: Dimension, period: Period): LiveUsage {
  const { socket } = useApi();
  const [usage, setUsage] = useState<LiveUsage>(NOTHING);

  useEffect(() => {
    setUsage(NOTHING);
    let left = false;
    const show = (change: (usage: LiveUsage) => LiveUsage) => {
      if (!left) setUsage(change);
    };
    const stopWatching = socket.on("closed", () =>
      show((usage) => ({ ...usage, connection: "connecting" })),
    );
    const stopListening = socket.subscribe<{ usageUpdated: UsageUpdate }>(
      {
        query: EXAMPLES_BY_NAME.get("LiveUsage")?.document ?? "",
        operationName: "LiveUsage",
        variables: {
          input: { dimension, window: { period }, timezone: localTimezone(), topGroups: 8 },
        },
      },
      {
        next: ({ data, errors }) =>
          show((usage) => ({
            series: data ? applyUpdate(usage.series, data.usageUpdated) : usage.series,
            connection: "live",
            problem: errors?.[0]?.message ?? null,
          })),
        error: (problem) => show((usage) => ({ ...usage, problem: inWords(problem) })),
        complete: () => show((usage) => ({ ...usage, connection: "connecting" })),
      },
    );
    return () => {
      left = true;
      stopWatching();
      stopListening();
    };
  }, [socket, dimension, period]);

  return usage;
}

function inWords(problem: unknown): string {
  if (Array.isArray(problem))
    return problem.map((one: { message?: string }) => one.message).join("; ");
  if (problem instanceof CloseEvent)
    return `The socket was closed: ${problem.code} ${problem.reason}`;
  return problem instanceof Error ? problem.message : "The subscription failed";
}
