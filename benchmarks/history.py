"""What a month's series costs when there are ten times as many events behind it.

Run `python -m benchmarks.history [EVENTS]`. Two stores hold a tenth of EVENTS and all of them (ten
million unless told otherwise), of 20 models, 50 agents and 5 chains, spread evenly over 30 days.
Each question is asked of both through the read that the API uses, in turn, and the best of several
rounds counts. The last column is a bare `SELECT` of as many rows as the answer has points.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

import db.migrate
from db.columns import to_microseconds
from db.engine import Database
from db.migrate import migrate
from db.vocabulary import UsageDimension, UsagePeriod
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.series import Series
from trunkline.usage.windows import WindowRequest

EVENTS = 10_000_000
MODELS, AGENTS, CHAINS, DAYS = 20, 50, 5, 30
ROUNDS = 15
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
ZONE = "America/New_York"

QUESTIONS = {
    "30 days by MODEL": (UsageDimension.MODEL, UsagePeriod.LAST_30_DAYS, False),
    "30 days by AGENT": (UsageDimension.AGENT, UsagePeriod.LAST_30_DAYS, False),
    "30 days by PROVIDER": (UsageDimension.PROVIDER, UsagePeriod.LAST_30_DAYS, False),
    "30 days by MODEL, with percentiles": (UsageDimension.MODEL, UsagePeriod.LAST_30_DAYS, True),
    "totals for today": (UsageDimension.PROVIDER, UsagePeriod.TODAY, False),
}


async def main(count: int = EVENTS) -> None:
    """Build both stores, ask, print the table."""
    with tempfile.TemporaryDirectory() as directory:
        small = await build(Path(directory) / "small.db", count // 10)
        large = await build(Path(directory) / "large.db", count)
        rows = await asyncio.to_thread(bare_rows, Path(directory) / "large.db")
        print(f"\n| LAST_30_DAYS and today | {count // 10:,} events | {count:,} events | ratio "
              "| points | a SELECT of as many rows | ratio |")  # fmt: skip
        print("|---|---|---|---|---|---|---|")
        for name, (dimension, period, percentiles) in QUESTIONS.items():
            request = SeriesRequest(
                dimension,
                WindowRequest(ZONE, period),
                top_groups=100,
                with_percentiles=percentiles,
            )
            best, points = await compare(small, large, request)
            bare = rows(points)
            print(
                f"| {name} | {best[0] * 1e3:.1f} ms | {best[1] * 1e3:.1f} ms "
                f"| {best[1] / best[0]:.2f} | {points:,} | {bare * 1e3:.1f} ms "
                f"| {best[1] / bare:.0f} |",
                flush=True,
            )
        await small.close()
        await large.close()


async def compare(
    small: Database, large: Database, request: SeriesRequest
) -> tuple[tuple[float, float], int]:
    """The best time of each store, in seconds, and how many points were read."""
    times: dict[Database, list[float]] = {small: [], large: []}
    points = 0
    for _ in range(ROUNDS):
        for database, taken in times.items():
            begun = time.perf_counter()
            series = await read_series(database, request, lambda: NOW)
            taken.append(time.perf_counter() - begun)
            points = count_points(series)
    return (min(times[small]), min(times[large])), points


def count_points(series: Series) -> int:
    """Of all groups."""
    return sum(len(group.points) for group in series.groups)


async def build(path: Path, count: int) -> Database:
    """A store with so many events: inserted as the first schema had them, summed by migrating."""
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    await database.transact(lambda connection: connection.run_sync(first_schema))
    begun = time.perf_counter()
    await asyncio.to_thread(insert_events, path, count)
    inserted = time.perf_counter()
    print(f"{count:,} events inserted in {inserted - begun:.0f} s", end="", flush=True)
    await migrate(database)
    print(f", summed in {time.perf_counter() - inserted:.0f} s", flush=True)
    await asyncio.to_thread(analyze, path)
    return database


def first_schema(connection: Connection) -> None:
    """The tables of the first version."""
    config = Config()
    config.set_main_option("script_location", str(Path(db.migrate.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


def insert_events(path: Path, count: int) -> None:
    """Evenly in time; which model, agent and chain is as good as random."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    named = "id, name, name_folded, version, created_at, updated_at"
    for provider in range(1, 5):
        connection.execute(
            f"INSERT INTO providers ({named}, slug, kind, base_url, enabled, connection_revision) "
            "VALUES (?1, ?2, ?2, 1, 1, 1, ?2, 'OPENAI_COMPATIBLE', 'http://localhost', 1, 1)",
            (provider, f"provider-{provider}"),
        )
    for model in range(1, MODELS + 1):
        connection.execute(
            f"INSERT INTO models ({named}, provider_id, wire_name, search_text, price_tiered, "
            "enabled, deprecated, source) "
            "VALUES (?1, ?2, ?2, 1, 1, 1, ?3, ?2, ?2, 0, 1, 0, 'CUSTOM')",
            (model, f"model-{model}", model % 4 + 1),
        )
    begin = to_microseconds(NOW - timedelta(days=DAYS))
    step = DAYS * 86_400_000_000 / count
    connection.execute(
        f"""
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}),
        made AS (SELECT i, (i * 2654435761) % 4294967296 AS r FROM n)
        INSERT INTO usage_events (idempotency_key, fingerprint, occurred_at, recorded_at,
          provider_id, model_id, agent, chain_id, succeeded, input_tokens, cache_read_tokens,
          cache_write_tokens, output_tokens, reasoning_tokens, estimated, cost_nanos, latency_ms)
        SELECT printf('event-%09d', i), x'00', {begin} + CAST(i * {step!r} AS INTEGER), {begin},
          (r >> 8) % {MODELS} % 4 + 1, (r >> 8) % {MODELS} + 1,
          'agent-' || ((r >> 13) % {AGENTS}), (r >> 19) % {CHAINS}, r % 20 > 0,
          1000 + r % 5000, r % 900, 0, r % 700, r % 300, 0, r % 1000003, 200 + r % 9000
        FROM made"""
    )
    connection.commit()
    connection.close()


def analyze(path: Path) -> None:
    """Nothing is measured that waits for a checkpoint."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def bare_rows(path: Path) -> Callable[[int], float]:
    """How long a bare cursor takes for so many rows of rollups, in seconds."""

    def best_of(count: int) -> float:
        connection = sqlite3.connect(path)
        taken = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            connection.execute(
                "SELECT bucket_start, requests, failures, input_tokens, output_tokens, cost_nanos, "
                "unpriced_requests FROM usage_rollups WHERE level = 2 LIMIT ?",
                (count,),
            ).fetchall()
            taken.append(time.perf_counter() - begun)
        connection.close()
        return min(taken)

    return best_of


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS))
