"""The ledger: nothing that ended is lost, whatever its store does; a full one slows the intake."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.gateway_rows import request
from trunkline.gateway import ledger as ledger_module
from trunkline.gateway.ledger import (
    GATHER_SECONDS,
    RETRY_SECONDS,
    EndedRequest,
    Ledger,
    Unstorable,
)


class Store:
    """What was stored, transaction by transaction; `refuse` says what is raised for one."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.refuse: Callable[[list[str]], Exception | None] = lambda _names: None

    async def commit(self, ended: Sequence[EndedRequest]) -> None:
        names = [one.row.request_id for one in ended]
        await asyncio.sleep(0)
        error = self.refuse(names)
        if error is not None:
            raise error
        self.transactions.append(names)

    @property
    def stored(self) -> list[str]:
        return [name for names in self.transactions for name in names]


class Running:
    """A ledger that runs; its sleeps are over at once, and noted."""

    def __init__(self) -> None:
        self.store = Store()
        self.slept: list[float] = []
        self.ledger = Ledger(sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def add(self, *names: str) -> None:
        for name in names:
            self.ledger.add(EndedRequest(request(name), {}))

    async def drained(self) -> None:
        async with asyncio.timeout(10):
            await self.ledger.drained()


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    made = Running()
    task = asyncio.create_task(made.ledger.run(made.store.commit))
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_ends_together_is_stored_together_in_order() -> None:
    async with running() as run:
        run.add("a", "b", "c")
        assert len(run.ledger) == 3
        await run.drained()
        run.add("d")
        await run.drained()
    assert run.store.transactions == [["a", "b", "c"], ["d"]]
    assert run.slept == [GATHER_SECONDS] * 2
    assert len(run.ledger) == 0


async def test_what_ends_while_others_are_stored_is_stored_next() -> None:
    async with running() as run:
        late = iter(["late"])

        def arrive(_names: list[str]) -> None:
            run.add(*([name] if (name := next(late, "")) else []))

        run.store.refuse = arrive
        run.add("a")
        await run.drained()
    assert run.store.transactions == [["a"], ["late"]]


async def test_a_transaction_takes_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MOST_TOGETHER", 3)
    async with running() as run:
        run.add(*"abcdefg")
        await run.drained()
    assert [len(one) for one in run.store.transactions] == [3, 3, 1]
    assert run.store.stored == list("abcdefg")


async def test_a_store_that_fails_for_a_while_loses_nothing() -> None:
    failures = 5
    async with running() as run:

        def fail(_names: list[str]) -> Exception | None:
            nonlocal failures
            failures -= 1
            run.add(f"meanwhile-{failures}")
            return OSError("the disk is full") if failures else None

        run.store.refuse = fail
        run.add("a", "b")
        while failures:  # noqa: ASYNC110
            await asyncio.sleep(0)
        run.store.refuse = lambda _names: None
        await run.drained()
    assert run.slept[:5] == [GATHER_SECONDS, *[RETRY_SECONDS] * 4]
    stored = run.store.stored
    assert stored[:2] == ["a", "b"]
    assert len(stored) == len(set(stored)) == 7


async def test_a_full_ledger_lets_the_next_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MOST_WAITING", 3)
    made = Running()
    made.add("a", "b")
    async with asyncio.timeout(10):
        await made.ledger.room()
    made.add("c")
    waiting = [asyncio.create_task(made.ledger.room()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in waiting)
    # What is under way already finds room all the same: it was sent, so it is stored.
    made.add("d")
    task = asyncio.create_task(made.ledger.run(made.store.commit))
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
    await made.drained()
    assert made.store.stored == ["a", "b", "c", "d"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_can_never_be_stored_is_left_out_alone() -> None:
    async with running() as run:
        run.store.refuse = lambda names: Unstorable("too large") if "e" in names else None
        run.add(*"abcdefgh")
        await run.drained()
    assert run.store.stored == list("abcdfgh")
    # Halves, so that as few transactions as can be are tried.
    assert run.store.transactions == [["a", "b", "c", "d"], ["f"], ["g", "h"]]
    assert RETRY_SECONDS not in run.slept


async def test_a_failure_among_the_halves_stores_all_of_them_again() -> None:
    async with running() as run:
        refused = 0

        def refuse(names: list[str]) -> Exception | None:
            nonlocal refused
            if "d" in names and len(names) == 1:
                return Unstorable("too large")
            if "d" in names:
                return Unstorable("too large")
            if "c" in names and not refused:
                refused += 1
                return OSError("away")
            return None

        run.store.refuse = refuse
        run.add(*"abcd")
        await run.drained()
    # The store takes what it has for what it is: see `store_requests`.
    assert sorted(set(run.store.stored)) == ["a", "b", "c"]
    assert RETRY_SECONDS in run.slept
