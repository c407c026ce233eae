/** Numbers and instants as the panel shows them. */

const WHOLE = new Intl.NumberFormat("en-US");
const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const AXIS = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 2 });

interface Cost {
  costUsd: string;
  unpricedRequests: number;
}

/** Dollars for a person; small sums keep their digits. The exact decimal is for the tooltip. */
export function dollars(costUsd: string): string {
  const cost = Number(costUsd);
  const digits = cost === 0 || cost >= 1 ? 2 : cost >= 0.01 ? 4 : 6;
  return new Intl.NumberFormat("en-US", {
    style: "currency",
    currency: "USD",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(cost);
}

/** What is known of a cost: a lower bound, or nothing, where requests have no known price. */
export function knownCost({ costUsd, unpricedRequests }: Cost): string {
  if (unpricedRequests === 0) return dollars(costUsd);
  return Number(costUsd) === 0 ? "unknown" : `≥ ${dollars(costUsd)}`;
}

/** Dollars along an axis. */
export function axisDollars(cost: number): string {
  return `$${AXIS.format(cost)}`;
}

export function requestsOf(count: number): string {
  return `${whole(count)} ${count === 1 ? "request" : "requests"}`;
}

export function whole(count: number): string {
  return WHOLE.format(count);
}

export function short(count: number): string {
  return SHORT.format(count);
}

/** When a bucket begins, in this browser's zone. */
export function bucketName(start: string, granularity: "QUARTER_HOUR" | "HOUR" | "DAY"): string {
  const options: Intl.DateTimeFormatOptions =
    granularity === "DAY"
      ? { month: "short", day: "numeric" }
      : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat("en-US", options).format(new Date(start));
}
