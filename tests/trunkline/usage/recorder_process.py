"""A process that records overlapping batches of usage: `python -m … URL NUMBER`.

Several calls are always under way. It prints how many events it counted and how many it found
counted before. Every process sends the same events, cut and mixed differently.
"""

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta

from db.engine import Database
from server.wiring import services_on
from trunkline.secrets import Secrets, generate_secret_key
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

EVENTS = 3_000
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def made_event(number: int) -> NewUsageEvent:
    """The same event in every process; its rollup is shared with many others."""
    return NewUsageEvent(
        idempotency_key=f"event-{number * 7919 % EVENTS:05}",
        provider_slug="local",
        model_name=f"model-{number % 5}",
        agent=f"agent-{number % 3}",
        occurred_at=BEGIN + timedelta(minutes=number % 60),
        input_tokens=number,
        latency_ms=number,
        cost_nanos=number + 1,
    )


async def main(url: str, number: int) -> None:
    """Record everything, ten calls at a time."""
    database = Database.open(url)
    async with services_on(database, Secrets([generate_secret_key()])) as services:
        mixed = random.Random(number)
        made = [made_event(place) for place in range(EVENTS)]
        mixed.shuffle(made)
        batches = []
        while made:
            size = mixed.randint(1, 60)
            batches.append(made[:size])
            made = made[size:]
        counted = duplicates = 0
        for start in range(0, len(batches), 10):
            for done in await asyncio.gather(
                *(record_usage(services, batch) for batch in batches[start : start + 10])
            ):
                counted += done.recorded
                duplicates += done.duplicates
        sys.stdout.write(f"{counted} {duplicates}\n")
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
