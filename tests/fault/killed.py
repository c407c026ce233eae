"""kill -9 at a random moment under load: what was acknowledged is there, and a start goes on."""

import asyncio
import random
from pathlib import Path

from tests.fault.load import Load, simulated_provider
from tests.fault.own_postgres import own_postgres
from tests.fault.serving import server_process
from tests.fault.violations import Counts

_LAST_MOMENT_SECONDS = 5.0
"""What the gateway ended so shortly before a kill may be uncounted: docs/gateway-requests.md."""


async def killed_on_sqlite(
    folder: Path, chance: random.Random, counts: Counts, *, full: bool
) -> None:
    """Kill a server on a file."""
    await _killed(folder, chance, counts, None, full=full)


async def killed_on_postgres(
    folder: Path, chance: random.Random, counts: Counts, *, full: bool
) -> None:
    """Kill a server on PostgreSQL, which stays."""
    async with own_postgres() as cluster:
        await _killed(folder, chance, counts, await cluster.new_database(), full=full)


async def _killed(
    folder: Path, chance: random.Random, counts: Counts, database_url: str | None, *, full: bool
) -> None:
    loop = asyncio.get_running_loop()
    async with simulated_provider() as provider, server_process(folder, database_url) as server:
        load = Load(server, chance)
        await load.set_up(provider)
        for _ in range(4 if full else 1):
            async with load.running():
                await load.acknowledges(1)
                await load.lasts(chance.uniform(0.2, 9.0 if full else 1.0))
                at = loop.time()
                await server.kill()
            counts.add("kills")
            await server.start()
            await load.known.check(server, counts, requests_before=at - _LAST_MOMENT_SECONDS)
        counts.add("writes acknowledged", load.known.total)
        await server.stop()
        server.check_log()
