import { useRef, useState } from "react";

import { axisDollars, knownCost, requestsOf, short, whole } from "./format";
import { UsageChart } from "./UsageChart";
import { useLiveUsage, type Dimension, type Period } from "./useLiveUsage";
import type { UsageGroup, UsageSeries } from "./usageState";

export const LIVE_USAGE_TITLE = "Live usage";

const DIMENSIONS: [Dimension, string][] = [
  ["PROVIDER", "Provider"],
  ["MODEL", "Model"],
  ["AGENT", "Agent"],
];
const PERIODS: [Period, string][] = [
  ["TODAY", "Today"],
  ["LAST_7_DAYS", "7 days"],
  ["MONTH_TO_DATE", "Month"],
];

/** `usageUpdated` drawn while it arrives: totals, bars over time, and the groups by cost. */
export function LiveUsagePanel() {
  const [dimension, setDimension] = useState<Dimension>("PROVIDER");
  const [period, setPeriod] = useState<Period>("TODAY");
  const { series, connection, problem } = useLiveUsage(dimension, period);

  return (
    <section aria-label="Live usage" className="live-usage" data-connection={connection}>
      <h2 className="panel-title">
        Live usage
        <span className={`live-state live-${connection}`} role="status">
          {connection === "live" ? "live" : "connecting…"}
        </span>
      </h2>
      <div className="live-choices">
        <Choice<Dimension>
          label="By"
          options={DIMENSIONS}
          chosen={dimension}
          onChoose={setDimension}
        />
        <Choice<Period> label="Window" options={PERIODS} chosen={period} onChoose={setPeriod} />
      </div>
      {problem && (
        <p className="panel-problem" role="alert">
          {problem}
        </p>
      )}
      {series && <Usage series={series} name={nameOf(dimension)} />}
    </section>
  );
}

function nameOf(dimension: Dimension): string {
  return DIMENSIONS.find(([value]) => value === dimension)?.[1] ?? dimension;
}

function Usage({ series, name }: { series: UsageSeries; name: string }) {
  const colorOf = useColors();
  const { totals, groups } = series;
  // Where nothing has a price, the requests still show when something happened.
  const byCost = Number(totals.costUsd) > 0;
  return (
    <>
      <dl className="live-totals">
        <Total name="Cost" value={knownCost(totals)} exact={`$${totals.costUsd}`} />
        <Total name="Requests" value={whole(totals.requests)} />
        <Total
          name="Input tokens"
          value={short(totals.inputTokens)}
          exact={whole(totals.inputTokens)}
        />
        <Total
          name="Output tokens"
          value={short(totals.outputTokens)}
          exact={whole(totals.outputTokens)}
        />
      </dl>
      {totals.unpricedRequests > 0 && (
        <p className="panel-note">
          The cost is a lower bound: no price is known for {requestsOf(totals.unpricedRequests)}.
        </p>
      )}
      {groups.length === 0 ? (
        <p className="panel-note">
          Nothing used yet. Open the example “Record usage”, run it, and watch it arrive here.
        </p>
      ) : (
        <>
          <h3>{byCost ? "Cost" : "Requests"} over time</h3>
          <UsageChart
            series={series}
            measure={(point) => (byCost ? Number(point.costUsd) : point.requests)}
            axis={byCost ? axisDollars : short}
            colorOf={colorOf}
          />
          <Groups name={name} groups={groups} colorOf={colorOf} />
        </>
      )}
    </>
  );
}

interface GroupsProps {
  name: string;
  groups: UsageGroup[];
  colorOf(key: string): string;
}

function Groups({ name, groups, colorOf }: GroupsProps) {
  const most = Math.max(...groups.map((group) => Number(group.totals.costUsd)), 0);
  return (
    <table className="live-groups">
      <thead>
        <tr>
          <th scope="col">{name}</th>
          <th scope="col">Requests</th>
          <th scope="col">Tokens</th>
          <th scope="col">Cost</th>
        </tr>
      </thead>
      <tbody>
        {groups.map(({ key, kind, label, subject, totals }) => (
          <tr key={key} data-group={label}>
            <th scope="row">
              <span className="live-swatch" style={{ background: colorOf(key) }} />
              {kind === "OTHER" || kind === "NONE" ? <em>{label}</em> : label}
              {subject?.provider && <small>{subject.provider.name}</small>}
              <span className="live-share">
                <span
                  style={{
                    width: `${most > 0 ? (100 * Number(totals.costUsd)) / most : 0}%`,
                    background: colorOf(key),
                  }}
                />
              </span>
            </th>
            <td>
              {whole(totals.requests)}
              {totals.failures > 0 && <small>{whole(totals.failures)} failed</small>}
            </td>
            <td title={`${whole(totals.inputTokens)} in, ${whole(totals.outputTokens)} out`}>
              {short(totals.inputTokens + totals.outputTokens)}
            </td>
            <td title={`$${totals.costUsd}`}>{knownCost(totals)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Total({ name, value, exact }: { name: string; value: string; exact?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd title={exact}>{value}</dd>
    </div>
  );
}

interface ChoiceProps<Value extends string> {
  label: string;
  options: [Value, string][];
  chosen: Value;
  onChoose: (value: Value) => void;
}

function Choice<Value extends string>({ label, options, chosen, onChoose }: ChoiceProps<Value>) {
  return (
    <div role="group" aria-label={label} className="live-choice">
      {options.map(([value, text]) => (
        <button
          key={value}
          type="button"
          aria-pressed={value === chosen}
          onClick={() => onChoose(value)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

const COLORS = 8;

/** A group keeps the colour it had first, also when its rank changes. */
function useColors(): (key: string) => string {
  const given = useRef(new Map<string, string>());
  return (key) => {
    const color = given.current.get(key) ?? `var(--usage-${given.current.size % COLORS})`;
    given.current.set(key, color);
    return color;
  };
}

export function LiveUsageIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      <path
        d="M3 20.5h18M6 17v-5M11 17V8M16 17v-7M20.5 4.5l-4.5 3-5-4-5.5 5"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
