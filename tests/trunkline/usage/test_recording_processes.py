"""Four processes that record overlapping groups at once: nothing lost, nothing counted twice."""

import asyncio
import sys

import pytest

from db.engine import Database
from db.usage import UsageCondition
from db.usage_rollups import sum_groups
from db.vocabulary import ProviderKind, UsageDimension
from tests.trunkline.usage.recorder_process import BEGIN, EVENTS, made_event
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.totals import Sums
from trunkline.usage.windows import HOUR

PROCESSES = 4


@pytest.mark.slow
async def test_processes_that_record_the_same_events_at_once_count_each_once(
    services: Services, database_url: str
) -> None:
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.trunkline.usage.recorder_process",
            database_url,
            str(number),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    said = await asyncio.gather(*(process.communicate() for process in processes))
    for process, (_, complaint) in zip(processes, said, strict=True):
        assert process.returncode == 0, complaint.decode()
    counted = [tuple(map(int, out.split())) for out, _ in said]
    assert sum(recorded for recorded, _ in counted) == EVENTS
    assert sum(duplicates for _, duplicates in counted) == EVENTS * (PROCESSES - 1)
    await _check_sums(services.database)


async def _check_sums(database: Database) -> None:
    async with database.read() as connection:
        found = await sum_groups(
            connection, UsageDimension.AGENT, (BEGIN, BEGIN + HOUR), UsageCondition()
        )
    for number in range(3):
        mine = [made_event(place) for place in range(EVENTS) if place % 3 == number]
        sums = Sums(*found[f"agent-{number}"])
        assert sums.requests == len(mine)
        assert sums.input_tokens == sum(event.input_tokens for event in mine)
        assert sums.cost_usd == sum(event.cost_nanos or 0 for event in mine)
