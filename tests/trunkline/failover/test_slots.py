"""Places at a provider: in order, bounded, and never lost."""

import asyncio

import pytest

from tests.trunkline.failover.simulated_time import SimulatedTime
from trunkline.failover.slots import Slots


@pytest.fixture
def time() -> SimulatedTime:
    return SimulatedTime()


async def test_places_are_given_in_the_order_in_which_they_are_asked_for(
    time: SimulatedTime,
) -> None:
    slots = Slots(most_running=1)
    assert slots.take(1)
    assert slots.take(2)  # Each provider has its own.
    came: list[int] = []

    async def come(number: int) -> None:
        assert await slots.wait(1, 100, time.call_later)
        came.append(number)

    tasks = [asyncio.ensure_future(come(number)) for number in range(3)]
    await time.settled()
    assert not slots.take(1)
    assert slots.depth(1) == (1, 3)
    for expected in ([0], [0, 1], [0, 1, 2]):
        slots.give_back(1)
        await time.settled()
        assert came == expected
    slots.give_back(1)
    assert slots.depth(1) == (0, 0)
    await asyncio.gather(*tasks)


async def test_no_more_wait_than_may(time: SimulatedTime) -> None:
    slots = Slots(most_running=1, most_waiting=1)
    assert slots.take(1)
    waiting = asyncio.ensure_future(slots.wait(1, 100, time.call_later))
    await time.settled()
    assert not await slots.wait(1, 100, time.call_later)
    slots.give_back(1)
    assert await waiting


async def test_nobody_waits_longer_than_asked(time: SimulatedTime) -> None:
    slots = Slots(most_running=1)
    assert slots.take(1)
    assert not await time.run(slots.wait(1, 5, time.call_later))
    assert time.now == 5
    assert slots.depth(1) == (1, 0)
    assert not await slots.wait(1, 0, time.call_later)


@pytest.mark.parametrize("given_first", [False, True])
async def test_whoever_leaves_keeps_no_place(time: SimulatedTime, given_first: bool) -> None:
    slots = Slots(most_running=1)
    assert slots.take(1)
    leaving = asyncio.ensure_future(slots.wait(1, 100, time.call_later))
    staying = asyncio.ensure_future(slots.wait(1, 100, time.call_later))
    await time.settled()
    if given_first:
        slots.give_back(1)
    leaving.cancel()
    await asyncio.wait({leaving})
    if not given_first:
        slots.give_back(1)
    assert await staying
    assert slots.depth(1) == (1, 0)
