"""kill -9 at a random moment of a first start: the next start has everything, once."""

import asyncio
import contextlib
import random
from pathlib import Path

from tests.fault.load import PROVIDERS
from tests.fault.serving import ServerProcess, server_process
from tests.fault.violations import Counts, Violation, demand


async def killed_at_start(
    folder: Path, chance: random.Random, counts: Counts, *, full: bool
) -> None:
    """Kill while the schema is made and the catalog seeded, then start for good."""
    server = ServerProcess(folder)
    for _ in range(5 if full else 1):
        starting = asyncio.create_task(server.start())
        await asyncio.sleep(chance.uniform(0.3, 2.5))
        await server.kill()
        with contextlib.suppress(Violation):
            await starting
        counts.add("kills")
    async with server_process(folder) as whole:
        nodes = (await whole.ask(PROVIDERS))["providers"]["nodes"]
        demand(
            sorted(one["slug"] for one in nodes) == ["anthropic", "google", "ollama", "openai"],
            f"a killed first start left {nodes}",
        )
        await whole.stop()
        whole.check_log()
