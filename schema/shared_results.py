"""Results that many subscriptions send alike: executed once and encoded once.

An update of usage is the same object for every subscriber that comes from the same state. What a
document makes of it is kept with it, by document, variables and audience, so nothing that one
viewer may see ever gets to another. It is shared for a moment only: a document may ask for more of
a group's subject than the update holds, and whoever comes later is to get it as it stands then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import orjson
from graphql import ExecutionResult

SHARED_SECONDS = 0.25
MOST_SHARED = 100
"""Of one update; those beyond are executed by each."""

Execute = Callable[[], Any]
"""Gives an `ExecutionResult`, or something to await one from."""


class SharedData(dict[str, Any]):
    """The data of a result that others send too. Nobody changes it."""

    _encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        """As JSON."""
        if self._encoded is None:
            self._encoded = orjson.dumps(self)
        return self._encoded


def shared_result(
    results: dict[Hashable, Any], key: Hashable, held: object, execute: Execute
) -> ExecutionResult | Awaitable[ExecutionResult]:
    """What `execute` gives, from `results` where somebody has it, or is about to.

    `held` is kept beside it. A result with errors is nobody else's: each finds out for itself,
    under a request id of its own.
    """
    now = asyncio.get_running_loop().time()
    known = results.get(key)
    if known is None or now - known[1] > SHARED_SECONDS:
        made: ExecutionResult | asyncio.Future[ExecutionResult]
        result = execute()
        if not isinstance(result, ExecutionResult):
            made = asyncio.ensure_future(_awaited(result))
        elif result.errors:
            return result
        else:
            made = _shareable(result)
        if known is not None or len(results) < MOST_SHARED:
            results[key] = (made, now, held)
    else:
        made = known[0]
    return made if isinstance(made, ExecutionResult) else _waited(made, execute)


async def _waited(task: "asyncio.Future[ExecutionResult]", execute: Execute) -> ExecutionResult:
    # Whoever began it may leave while others wait for it.
    found = await asyncio.shield(task)
    if not found.errors:
        return found
    own = execute()
    return own if isinstance(own, ExecutionResult) else await own


async def _awaited(result: Awaitable[ExecutionResult]) -> ExecutionResult:
    return _shareable(await result)


def _shareable(result: ExecutionResult) -> ExecutionResult:
    if result.data is None or result.errors:
        return result
    return ExecutionResult(SharedData(result.data), None)
