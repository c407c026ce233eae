"""Redis goes and comes back: what one server changes is seen at the other all the while."""

import asyncio
import random
from pathlib import Path

from tests.fault.load import Load, simulated_provider
from tests.fault.own_postgres import OwnPostgres, own_postgres
from tests.fault.serving import server_process
from tests.fault.subscribing import subscribed
from tests.fault.violations import Counts
from tests.redis_server import own_redis

_TOTAL = """{ usageSeries(input: { dimension: AGENT, timezone: "UTC",
  window: { period: TODAY } }) { totals { requests } } }"""


async def redis_gone(folder: Path, chance: random.Random, counts: Counts, *, full: bool) -> None:
    """Two servers on one PostgreSQL, hastened by a Redis that is killed."""
    async with own_postgres() as cluster:
        await gone(cluster, folder, chance, counts, full=full)


async def gone(
    cluster: OwnPostgres, folder: Path, chance: random.Random, counts: Counts, *, full: bool
) -> None:
    """The same on a cluster that is there."""
    with own_redis() as redis:
        database_url = await cluster.new_database()
        async with (
            simulated_provider() as provider,
            server_process(folder / "first", database_url, bus_url=redis.url) as first,
            server_process(folder / "second", database_url, bus_url=redis.url) as second,
            subscribed(second, 2) as watching,
        ):
            load = Load(first, chance)
            await load.set_up(provider)
            for _ in range(3 if full else 1):
                for away in (False, True, False) if full else (True, False):
                    if away:
                        redis.kill()
                        counts.add("times Redis was killed")
                    async with load.running():
                        await load.acknowledges(5)
                        if away:
                            await load.lasts(chance.uniform(0.2, 5.0 if full else 0.5))
                    await load.known.settle(first)
                    total = (await first.ask(_TOTAL))["usageSeries"]["totals"]["requests"]
                    for one in watching:
                        await one.sees(total, 20)
                        counts.add("totals seen at the other server")
                    if away:
                        await asyncio.to_thread(redis.start)
            await load.known.check(first, counts, requests_before=float("inf"))
            counts.add("writes acknowledged", load.known.total)
            counts.add("writes refused", load.known.refused)
            for server in (first, second):
                await server.stop()
                server.check_log(store_was_away=True)
