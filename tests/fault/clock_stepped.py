"""The clock on the wall steps back, by a second or by a day, and forward again: usage, requests and
subscriptions go on, and every total stays the sum of its events.
"""

import random
import sys
from pathlib import Path

from sqlalchemy import func, select

from db.engine import Database
from db.tables import gateway_requests
from tests.fault.load import Load, simulated_provider
from tests.fault.serving import server_process
from tests.fault.subscribing import subscribed
from tests.fault.violations import Counts, demand

_SERVER = (sys.executable, "-m", "tests.fault.set_clock_server")


async def clock_stepped(folder: Path, chance: random.Random, counts: Counts, *, full: bool) -> None:
    """Step to and fro under load; at the end the clock is right again."""
    steps = [-1.5, -3_600.0, -30 * 3_600.0] if full else [-3_600.0]
    async with (
        simulated_provider() as provider,
        server_process(folder, program=_SERVER) as server,
        subscribed(server, 3) as watching,
    ):
        load = Load(server, chance)
        await load.set_up(provider)
        async with load.running():
            await load.acknowledges(20)
            for step in steps:
                for off in (step * chance.uniform(0.5, 1.0), 0.0):
                    assert server.process.stdin is not None
                    server.process.stdin.write(f"{off}\n".encode())
                    seen = [one.updates for one in watching]
                    await load.acknowledges(10)
                    await load.lasts(2.0 if full else 1.0)
                    demand(
                        all(
                            one.updates > before for one, before in zip(watching, seen, strict=True)
                        ),
                        f"a subscriber heard nothing after the clock was set by {off:.1f} s",
                    )
                    counts.add("steps of the clock")
        await load.known.settle(server)
        await load.known.check(server, counts, requests_before=float("inf"))
        database = Database.open(server.database_url)
        async with database.read() as connection:
            least = await connection.scalar(select(func.min(gateway_requests.c.milliseconds)))
        await database.close()
        demand(least is None or least >= 0, f"a request took {least} ms")
        demand(load.known.refused == 0, f"requests were refused: {load.errors}")
        counts.add("writes acknowledged", load.known.total)
        await server.stop()
        server.check_log()
