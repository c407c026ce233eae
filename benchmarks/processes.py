"""How long it takes until the subscribers of one server hear of what happened in another.

Run `python -m benchmarks.processes`. It starts two servers on a new database of the PostgreSQL at
TRUNKLINE_TEST_POSTGRES_URL, first with a Redis of its own, or the one at TRUNKLINE_TEST_REDIS_URL,
and then without. Each time is from the answer to the change, so from its commit, to its
arrival at a client of the other server. Usage is recorded after a quiet time, when the hub reads at
once; in a busy time it waits for its tick as well, as it does in a single server.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from tests.conftest import administer, postgres_url
from tests.redis_server import own_redis
from tests.server.two_servers import (
    WATCH_PROVIDERS,
    WATCH_USAGE,
    Pair,
    Watch,
    ids_of_providers,
    record,
    rename,
    requests_in,
    running_pair,
    watching,
)

CHANGES = 40
# The hub's tick and its rest after a reading, and more.
QUIET_SECONDS = (0.6, 1.6)


async def seconds_of(
    watch: Watch,
    change: Callable[[int], Awaitable[None]],
    arrived: Callable[[Watch, int], Awaitable[None]],
) -> list[float]:
    """For each change, from its answer to its arrival."""
    dice = random.Random(1)
    found = []
    for number in range(CHANGES):
        # At any moment between two polls.
        await asyncio.sleep(dice.uniform(*QUIET_SECONDS))
        arrival = asyncio.create_task(_arrival(watch, number, arrived))
        await change(number)
        committed = time.perf_counter()
        found.append(max(0.0, await arrival - committed))
    return found


async def _arrival(
    watch: Watch, number: int, arrived: Callable[[Watch, int], Awaitable[None]]
) -> float:
    await arrived(watch, number)
    return time.perf_counter()


async def provider_changes(pair: Pair) -> list[float]:
    """A provider is renamed in the first server."""
    provider = (await ids_of_providers(pair.first))["google"]

    async def arrived(watch: Watch, number: int) -> None:
        while True:
            change = (await watch.next())["providerChanged"]
            if change["kind"] == "READY" or change["provider"]["name"] == f"Name {number}":
                return

    async with watching(pair.second, WATCH_PROVIDERS) as watch:
        await watch.next()
        return await seconds_of(
            watch, lambda number: rename(pair.first, provider, f"Name {number}"), arrived
        )


async def usage(pair: Pair) -> list[float]:
    """An event is recorded in the first server."""
    async with watching(pair.second, WATCH_USAGE) as watch:
        had = requests_in(await watch.next())

        async def arrived(watch: Watch, number: int) -> None:
            while requests_in(await watch.next()) <= had + number:
                pass

        return await seconds_of(watch, lambda _: record(pair.first), arrived)


async def measure(pair: Pair, bus: str) -> None:
    """Two rows of the table."""
    for name, run in (("a provider's change", provider_changes), ("usage", usage)):
        seconds = await run(pair)
        print(
            f"| {name}, {bus} | {statistics.median(seconds) * 1_000:,.0f} "
            f"| {max(seconds) * 1_000:,.0f} |",
            flush=True,
        )


def main() -> None:
    """Every row."""
    print("| what, and how it is heard of | median, ms | worst, ms |")
    print("|---|---|---|")
    name = f"trunkline_bench_{uuid4().hex}"
    asyncio.run(administer(f'CREATE DATABASE "{name}"'))
    try:
        for with_bus in (True, False):
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                url = None
                if with_bus:
                    url = os.environ.get("TRUNKLINE_TEST_REDIS_URL")
                    url = url or stack.enter_context(own_redis()).url
                pair = stack.enter_context(running_pair(folder, postgres_url(name), url))
                asyncio.run(measure(pair, "with Redis" if with_bus else "by the poll alone"))
    finally:
        asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


if __name__ == "__main__":
    main()
