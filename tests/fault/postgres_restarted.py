"""PostgreSQL crashes, restarts, or is away for ten seconds: the server goes on by itself."""

import random
from pathlib import Path

import aiohttp

from tests.fault.load import Load, simulated_provider
from tests.fault.own_postgres import OwnPostgres, own_postgres
from tests.fault.serving import ServerProcess, server_process
from tests.fault.subscribing import Subscriber, subscribed
from tests.fault.violations import Counts, demand

_AWAY_SECONDS = 10.0


async def postgres_restarted(
    folder: Path, chance: random.Random, counts: Counts, *, full: bool
) -> None:
    """Both ways of an end, then an absence."""
    async with own_postgres() as cluster:
        await restarted(cluster, folder, chance, counts, full=full)


async def restarted(
    cluster: OwnPostgres, folder: Path, chance: random.Random, counts: Counts, *, full: bool
) -> None:
    """The same on a cluster that is there."""
    ends = [("immediate", 0.0), ("fast", 0.0), ("immediate", _AWAY_SECONDS)]
    async with (
        simulated_provider() as provider,
        server_process(folder, await cluster.new_database()) as server,
    ):
        load = Load(server, chance)
        await load.set_up(provider)
        async with subscribed(server, 3) as watching:
            for mode, away_seconds in ends if full else [("immediate", 1.5)]:
                async with load.running():
                    await load.acknowledges(20)
                    await load.lasts(chance.uniform(0, 3.0 if full else 0.5))
                    await cluster.stop(mode)
                    if away_seconds:
                        await load.lasts(away_seconds)
                        demand(await _readiness(server) == 503, "it is ready without its database")
                    await cluster.start()
                    counts.add("restarts")
                    took = await load.acknowledges(20)
                    counts.most("longest recovery, milliseconds", round(took * 1_000))
                await load.known.settle(server)
                await load.known.check(server, counts, requests_before=float("inf"))
                await _all_see(server, watching)
                counts.add("subscribers that went on", len(watching))
        demand(await _readiness(server) == 200, "it is not ready again")
        counts.add("writes refused", load.known.refused)
        counts.add("writes acknowledged", load.known.total)
        await server.stop()
        server.check_log(store_was_away=True)


async def _all_see(server: ServerProcess, watching: list[Subscriber]) -> None:
    """Each subscriber comes to the total that a read gives."""
    read = await server.ask("""{ usageSeries(input: { dimension: AGENT, timezone: "UTC",
      window: { period: TODAY } }) { totals { requests } } }""")
    for one in watching:
        await one.sees(read["usageSeries"]["totals"]["requests"], 20)


async def _readiness(server: ServerProcess) -> int:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session,
        session.get(f"{server.url}/readyz") as response,
    ):
        return response.status
