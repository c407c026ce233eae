"""Another process holds the write lock of the SQLite file: five seconds cost nobody anything, a
longer time is told, and reads go on.
"""

import asyncio
import random
import sqlite3
from pathlib import Path

from tests.fault.load import PROVIDERS, Load, simulated_provider
from tests.fault.serving import server_process
from tests.fault.violations import Counts, demand

_LOCK_SECONDS = 5.0
_LONG_SECONDS = 12.0
_SHORT_SECONDS = 1.5


async def database_locked(
    folder: Path, chance: random.Random, counts: Counts, *, full: bool
) -> None:
    """Hold it once for so long, and at full size for longer too."""
    async with simulated_provider() as provider, server_process(folder) as server:
        load = Load(server, chance)
        await load.set_up(provider)
        for seconds in (_LOCK_SECONDS, _LONG_SECONDS) if full else (_SHORT_SECONDS,):
            refused = load.known.refused
            async with load.running():
                await load.acknowledges(20)
                await load.lasts(chance.uniform(0, 2))
                lock = sqlite3.connect(
                    folder / "data" / "trunkline.db",
                    timeout=60,
                    isolation_level=None,
                    check_same_thread=False,
                )
                await asyncio.to_thread(lock.execute, "BEGIN IMMEDIATE")
                until = asyncio.get_running_loop().time() + seconds
                while asyncio.get_running_loop().time() < until:
                    await server.ask(PROVIDERS)
                    counts.add("reads while it was locked")
                    await load.lasts(0.2)
                lock.close()
                took = await load.acknowledges(20)
                counts.most("longest recovery, milliseconds", round(took * 1_000))
            if seconds <= _LOCK_SECONDS:
                demand(load.known.refused == refused, f"{seconds:g} s were told: {load.errors}")
            counts.add("locks")
            await load.known.settle(server)
            await load.known.check(server, counts, requests_before=float("inf"))
        counts.add("writes refused", load.known.refused)
        counts.add("writes acknowledged", load.known.total)
        await server.stop()
        server.check_log(store_was_away=True)
