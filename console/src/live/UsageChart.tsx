import { bucketName, knownCost, requestsOf } from "./format";
import type { UsageSeries } from "./usageState";

interface Props {
  series: UsageSeries;
  /** What is drawn of a point. */
  measure(point: { costUsd: string; requests: number }): number;
  axis(value: number): string;
  colorOf(key: string): string;
}

const WIDTH = 330;
const HEIGHT = 160;
const LEFT = 40;
const BOTTOM = 20;
const TOP = 8;

/** One stacked bar for each bucket, the largest group at the bottom. */
export function UsageChart({ series, measure, axis, colorOf }: Props) {
  const starts = series.groups[0]?.points.map((point) => point.start) ?? [];
  const sums = starts.map((_, index) =>
    series.groups.reduce((sum, group) => {
      const point = group.points[index];
      return sum + (point ? measure(point) : 0);
    }, 0),
  );
  const top = niceCeiling(Math.max(...sums, 0));
  const step = (WIDTH - LEFT) / Math.max(starts.length, 1);
  const bar = Math.min(step * 0.72, 36);
  const height = (value: number) => (value / top) * (HEIGHT - BOTTOM - TOP);
  const labelEvery = Math.max(1, Math.ceil(starts.length / 6));

  return (
    <svg
      className="usage-chart"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label="Usage over time"
    >
      {[0, 0.5, 1].map((share) => {
        const y = HEIGHT - BOTTOM - height(top * share);
        return (
          <g key={share}>
            <line x1={LEFT} x2={WIDTH} y1={y} y2={y} className="usage-grid" />
            <text x={LEFT - 6} y={y + 3.5} textAnchor="end">
              {axis(top * share)}
            </text>
          </g>
        );
      })}
      {starts.map((start, index) => {
        const x = LEFT + index * step + (step - bar) / 2;
        let y = HEIGHT - BOTTOM;
        return (
          <g key={start}>
            {series.groups.map((group) => {
              const point = group.points[index];
              if (!point) return null;
              const tall = height(measure(point));
              if (tall <= 0) return null;
              y -= tall;
              return (
                <rect
                  key={group.key}
                  x={x}
                  y={y}
                  width={bar}
                  height={tall}
                  fill={colorOf(group.key)}
                >
                  <title>
                    {`${bucketName(start, series.granularity)} · ${group.label}: ${knownCost(point)}, ${requestsOf(point.requests)}`}
                  </title>
                </rect>
              );
            })}
            {index % labelEvery === 0 && (
              <text x={x + bar / 2} y={HEIGHT - 5} textAnchor="middle">
                {bucketName(start, series.granularity)}
              </text>
            )}
          </g>
        );
      })}
    </svg>
  );
}

/** The next of 1, 2, 2.5, 5 and 10 times a power of ten, so that the axis reads well. */
function niceCeiling(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= value) ?? 10;
  return factor * power;
}
