"""Rollups on several levels, and with latencies in bins: made anew from the events."""

from math import ceil

import sqlalchemy as sa
from alembic import op

from db.columns import Instant, plain_text, whole

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_QUARTER = 900_000_000
_HOUR = 4 * _QUARTER
_DAY = 24 * _HOUR

_SUMS = (
    "requests",
    "failures",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "unpriced_requests",
    "estimated_requests",
    "latency_ms_sum",
    "latency_count",
)
_NAMES = ("provider_id", "model_id", "agent", "chain_id")
_NONE = {"provider_id": "0", "model_id": "0", "agent": "''", "chain_id": "0"}

# As the program had them when this was written; a later change is a later migration's.
_KINDS = ({"provider_id", "model_id"}, {"agent"}, {"chain_id"})


def upgrade() -> None:
    """Replace the table; the events are all there, so nothing is lost."""
    op.drop_table("usage_rollups")
    op.create_table(
        "usage_rollups",
        sa.Column("level", whole(), autoincrement=False, nullable=False),
        sa.Column("bucket_start", Instant(), nullable=False),
        sa.Column("provider_id", whole(), autoincrement=False, nullable=False),
        sa.Column("model_id", whole(), autoincrement=False, nullable=False),
        sa.Column("agent", plain_text(), nullable=False),
        sa.Column("chain_id", whole(), autoincrement=False, nullable=False),
        sa.Column("latency_bin", whole(), autoincrement=False, nullable=False),
        *(sa.Column(name, whole(), nullable=False) for name in _SUMS),
        sa.PrimaryKeyConstraint(
            "level",
            "bucket_start",
            *_NAMES,
            "latency_bin",
            name=op.f("pk_usage_rollups"),
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    _sum_events()
    level = 1
    for kept in _KINDS:
        _sum_rollups(level, 0, kept, _QUARTER, bins=False)
        _sum_rollups(level + 1, level, kept, _HOUR, bins=False)
        _sum_rollups(level + 2, level + 1, kept, _DAY, bins=False)
        _sum_rollups(level + 3, 0, kept, _HOUR, bins=True)
        level += 4


def _sum_events() -> None:
    op.execute("CREATE TEMPORARY TABLE latency_bins (bin BIGINT, begin_ms BIGINT, end_ms BIGINT)")
    begins = [0]
    step = 0
    while begins[-1] <= 86_400_000:
        begins += [begin for begin in [ceil(round(2 ** (step / 4), 6))] if begin > begins[-1]]
        step += 1
    rows = ", ".join(
        f"({number}, {begin}, {begins[number + 1]})" for number, begin in enumerate(begins[:-1])
    )
    op.execute(f"INSERT INTO latency_bins VALUES {rows}")  # numbers
    bucket = f"occurred_at - occurred_at % {_QUARTER}"
    sums = (
        "count(*)",
        "sum(CASE WHEN succeeded THEN 0 ELSE 1 END)",
        *(f"sum({name})" for name in _SUMS[2:7]),
        "sum(coalesce(cost_nanos, 0))",
        "sum(CASE WHEN cost_nanos IS NULL AND input_tokens + output_tokens > 0 THEN 1 ELSE 0 END)",
        "sum(CASE WHEN estimated THEN 1 ELSE 0 END)",
        "sum(coalesce(latency_ms, 0))",
        "count(latency_ms)",
    )
    op.execute(
        f"INSERT INTO usage_rollups (level, bucket_start, {', '.join(_NAMES)}, latency_bin, "
        f"{', '.join(_SUMS)}) SELECT 0, {bucket}, {', '.join(_NAMES)}, coalesce(bin, -1), "
        f"{', '.join(sums)} FROM usage_events "
        "LEFT JOIN latency_bins ON latency_ms >= begin_ms AND latency_ms < end_ms "
        f"GROUP BY {bucket}, {', '.join(_NAMES)}, coalesce(bin, -1)"
    )
    op.execute("DROP TABLE latency_bins")


def _sum_rollups(level: int, source: int, kept: set[str], grain: int, *, bins: bool) -> None:
    bucket = f"bucket_start - bucket_start % {grain}"
    names = [name if name in kept else _NONE[name] for name in _NAMES]
    grouped = [bucket, *(name for name in _NAMES if name in kept), *(["latency_bin"] * bins)]
    op.execute(
        f"INSERT INTO usage_rollups (level, bucket_start, {', '.join(_NAMES)}, latency_bin, "
        f"{', '.join(_SUMS)}) SELECT {level}, {bucket}, {', '.join(names)}, "
        f"{'latency_bin' if bins else '-1'}, {', '.join(f'sum({name})' for name in _SUMS)} "
        f"FROM usage_rollups WHERE level = {source} GROUP BY {', '.join(grouped)}"
    )
