"""Waiting for several values at once, where whoever waits may be cancelled.

graphql-core's `gather_with_cancel` hands a cancellation on at once, also to tasks that have not
begun. What such a task was to await is then never awaited, of which Python warns on stderr, each
time from another place: a client that breaks operations off could fill a disk with that. Here a
task begins before it is cancelled.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable
from typing import Any

from graphql.execution import executor


async def gathered(*awaitables: Awaitable[Any]) -> list[Any]:
    """Their results. The first that fails, or a cancellation, cancels the others and is raised once
    they have ended.
    """
    futures: list[Future[Any]] = [asyncio.ensure_future(one) for one in awaitables]
    if not futures:
        return []
    left = len(futures)
    failed: Future[Any] | None = None
    ended: Future[None] = asyncio.get_running_loop().create_future()

    def end(future: Future[Any]) -> None:
        nonlocal left, failed
        left -= 1
        if failed is None and (future.cancelled() or future.exception() is not None):
            failed = future
        if (failed is not None or not left) and not ended.done():
            ended.set_result(None)

    for future in futures:
        future.add_done_callback(end)
    try:
        await ended
        if failed is not None:
            failed.result()
    except BaseException:
        # Whoever wakes up here comes after the first steps of those that began beside it.
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
        raise
    return [future.result() for future in futures]


# Where the standard way gathers: the same client can break it off.
executor.gather_with_cancel = gathered  # type: ignore[attr-defined]  # only imported there
