"""A server whose clock is set through its standard input: `python -m tests.fault.set_clock_server`.

Each line is a number of seconds; the clock on the wall is off by so much from then on. All else is
as `trunkline serve` has it, from the same settings.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from server.credentials import credentials, make_data_dir
from server.logs import configure_logs
from server.serving import front_door, listening_socket, make_server
from server.settings import Settings, read_settings
from server.wiring import open_database, services_on
from trunkline.budgets.running import running_budgets
from trunkline.catalog.known import KnownCatalog
from trunkline.gateway.running import running_gateway
from trunkline.processes.following import following
from trunkline.providers.seeding import seed_providers


class OffClock:
    """The machine's clock, off by `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


async def serve(settings: Settings) -> None:
    """Serve until a signal comes."""
    clock = OffClock()
    setting = asyncio.create_task(_set_by_input(clock))
    held = credentials(settings)
    with listening_socket(settings) as listener:
        async with open_database(settings) as database:
            await seed_providers(database, KnownCatalog(), clock)
            async with (
                services_on(database, held.secrets, clock=clock) as services,
                following(services),
                running_budgets(services),
                running_gateway(services),
            ):
                door = front_door(services, settings, held.admin_token)
                port = listener.getsockname()[1]

                def announce() -> None:
                    print(f"http://127.0.0.1:{port}/graphiql#code=none", flush=True)  # noqa: T201

                await make_server(door, announce, grace_seconds=5).serve([listener])
                await door.gate.drain()
    setting.cancel()


async def _set_by_input(clock: OffClock) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        clock.seconds = float(line)


if __name__ == "__main__":
    given = read_settings(port=0)
    configure_logs(given.log_format)
    make_data_dir(given)
    asyncio.run(serve(given))
