"""A series as a table: a row for each group and bucket."""

from collections.abc import Iterator

from trunkline.instants import format_instant
from trunkline.money import format_nanos
from trunkline.usage.csv_table import Cell
from trunkline.usage.series import Series

POINT_COLUMNS = (
    "group",
    "kind",
    "label",
    "start",
    "end",
    "requests",
    "failures",
    "inputTokens",
    "cacheReadTokens",
    "cacheWriteTokens",
    "outputTokens",
    "reasoningTokens",
    "costUsd",
    "unpricedRequests",
    "latencyP50Ms",
    "latencyP95Ms",
)


def point_rows(series: Series) -> Iterator[tuple[Cell, ...]]:
    """The rows in the order of `POINT_COLUMNS`: groups as they rank, buckets oldest first.

    `group` is the group's key, as the API gives it. `end` is exclusive.
    """
    ends = [format_instant(end) for end in series.window.bucket_ends]
    for group in series.groups:
        for point, end in zip(group.points, ends, strict=True):
            yield (
                group.key,
                group.kind.value,
                group.label,
                format_instant(point.start),
                end,
                point.requests,
                point.failures,
                point.input_tokens,
                point.cache_read_tokens,
                point.cache_write_tokens,
                point.output_tokens,
                point.reasoning_tokens,
                format_nanos(point.cost_usd),
                point.unpriced_requests,
                point.latency_p50_ms,
                point.latency_p95_ms,
            )
