"""Several values at once, and what becomes of those that are left."""

import asyncio
import gc
from collections.abc import Awaitable

import pytest

from schema.compiled.gathering import gathered


async def value(number: int) -> int:
    await asyncio.sleep(0)
    return number


async def completed(inner: Awaitable[int]) -> int:
    """As an executor has it: what is awaited is given."""
    return await inner


async def several() -> list[int]:
    return await gathered(*(completed(value(number)) for number in range(3)))


async def fails(steps: int) -> list[int]:
    for _ in range(steps):
        await asyncio.sleep(0)
    raise ValueError(steps)


async def test_the_results_in_order() -> None:
    assert await several() == [0, 1, 2]
    assert await gathered() == []


# A coroutine that is never awaited is a warning, and each warning an error.
@pytest.mark.parametrize("steps", range(6))
async def test_who_is_cancelled_has_begun(steps: int) -> None:
    with pytest.raises(ValueError, match=str(steps)):
        await gathered(several(), fails(steps), several(), gathered(several(), several()))
    task = asyncio.ensure_future(gathered(several(), several()))
    for _ in range(steps + 1):
        await asyncio.sleep(0)
    task.cancel()
    done = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError | list)
    del task, done
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_others_have_ended_when_one_has_failed() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    with pytest.raises(ValueError, match="1"):
        await gathered(waits(), fails(1), waits())
    assert ended == [True, True]
