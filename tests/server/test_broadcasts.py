"""Equal subscriptions share one source, whoever is slow, comes later or leaves."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from resolvers.context import Viewer
from server.broadcasts import GIVEN_AT_ONCE, Broadcasts, Member
from server.operation_request import OperationRequest
from server.outcomes import Outcome, SharedResult
from trunkline.listeners import Listeners, Step, pushes

ADMIN = Viewer("admin")


@dataclass(eq=False)
class State:
    number: int


@dataclass
class Counter:
    """A source that counts. A listener is told where it comes from and where that leads."""

    newest: State = field(default_factory=lambda: State(0))
    begun: int = 0
    running: int = 0
    executed: int = 0
    failure: Exception | None = None
    refused: bool = False
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    everybody: Listeners | None = None

    def __post_init__(self) -> None:
        self.go_on.set()

    def count(self) -> None:
        self.newest = State(self.newest.number + 1)
        if self.everybody is not None:
            self.everybody.wake.set()

    async def start(
        self, _operation: OperationRequest, _viewer: Viewer, _request_id: str, everybody: Listeners
    ) -> AsyncGenerator[Outcome, None]:
        def step(held: object | None) -> Step[list[int | None]] | None:
            if held is self.newest:
                return None
            assert held is None or isinstance(held, State)
            return [held.number if held else None, self.newest.number], self.newest

        self.begun += 1
        self.running += 1
        self.everybody = everybody
        try:
            async for event in pushes(step, everybody):
                self.executed += 1
                await self.go_on.wait()
                if self.failure is not None:
                    raise self.failure
                yield Outcome({"data": event}, refused=False)
                if self.refused:
                    yield Outcome({"errors": [{"message": "no more"}]}, refused=True)
        finally:
            self.running -= 1


class Screen(Member):
    """A member that keeps what it gets."""

    def __init__(self) -> None:
        self.broadcast = None
        self.taking = True
        self.seen: list[list[int | None]] = []
        self.results: list[SharedResult] = []
        self.ended: list[Outcome | None] = []
        self.when_taken: Callable[[], None] = lambda: None

    @property
    def able(self) -> bool:
        return self.taking

    def take(self, result: SharedResult) -> None:
        assert self.taking
        self.results.append(result)
        self.seen.append(orjson.loads(result.encoded())["data"])
        self.when_taken()

    def end(self, refused: Outcome | None) -> None:
        self.ended.append(refused)

    def stop(self) -> None:
        self.taking = False

    def resume(self) -> None:
        self.taking = True
        assert self.broadcast is not None
        self.broadcast.wake.set()

    def leave(self) -> None:
        assert self.broadcast is not None
        self.broadcast.leave(self)


@pytest.fixture
async def counter() -> Counter:
    return Counter()


@pytest.fixture
async def broadcasts(counter: Counter) -> Broadcasts:
    return Broadcasts(counter.start)


def asked(query: str = "subscription { counted }", **given: Any) -> OperationRequest:
    return OperationRequest(query, given.get("variables"), given.get("name"), given.get("more"))


def join(
    broadcasts: Broadcasts, operation: OperationRequest | None = None, viewer: Viewer = ADMIN
) -> Screen:
    screen = Screen()
    broadcasts.join(operation or asked(), viewer, "request-1", screen)
    return screen


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_equal_ones_share_one_execution_and_one_encoding(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    screens = [join(broadcasts) for _ in range(3 * GIVEN_AT_ONCE)]
    await settle()
    counter.count()
    await settle()
    assert (counter.begun, counter.executed) == (1, 2)
    assert all(screen.seen == [[None, 0], [0, 1]] for screen in screens)
    assert all(screen.results[1] is screens[0].results[1] for screen in screens)


@pytest.mark.parametrize(
    ("other", "viewer"),
    [
        (asked("subscription { counted  }"), ADMIN),
        (asked(variables={"a": 1}), ADMIN),
        (asked(name="A"), ADMIN),
        (asked(more={"a": 1}), ADMIN),
        (asked(), Viewer("somebody else")),
    ],
)
async def test_others_share_nothing(
    broadcasts: Broadcasts, counter: Counter, other: OperationRequest, viewer: Viewer
) -> None:
    first, second = join(broadcasts), join(broadcasts, other, viewer)
    await settle()
    assert counter.begun == counter.executed == 2
    assert first.results[0] is not second.results[0]


async def test_a_viewer_is_the_same_whatever_let_them_in(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    join(broadcasts)
    join(broadcasts, viewer=Viewer("admin", session=b"a browser's"))
    await settle()
    assert counter.begun == 1


async def test_a_slow_one_holds_up_nobody_and_is_brought_to_the_newest_in_one_step(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    quick, slow, slower = (join(broadcasts) for _ in range(3))
    await settle()
    slow.taking = slower.taking = False
    for _ in range(3):
        counter.count()
        await settle()
    slow.resume()
    await settle()
    counter.count()
    await settle()
    slower.resume()
    await settle()
    assert quick.seen == [[None, 0], [0, 1], [1, 2], [2, 3], [3, 4]]
    assert slow.seen == [[None, 0], [0, 3], [3, 4]]
    assert slower.seen == [[None, 0], [0, 4]]
    executed = counter.executed
    counter.count()
    await settle()
    assert counter.executed == executed + 1, "they stand together again"
    assert [one.seen[-1] for one in (quick, slow, slower)] == [[4, 5]] * 3


async def test_one_that_cannot_take_its_first_result_begins_with_a_snapshot_later(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    screen = Screen()
    screen.taking = False
    broadcasts.join(asked(), ADMIN, "request-1", screen)
    await settle()
    counter.count()
    await settle()
    assert counter.executed == 0
    screen.resume()
    await settle()
    assert screen.seen == [[None, 1]]


async def test_one_that_stops_while_a_result_is_made_stays_where_it_is(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    first, second = join(broadcasts), join(broadcasts)
    await settle()
    counter.go_on.clear()
    counter.count()
    await settle()
    second.taking = False
    counter.go_on.set()
    await settle()
    counter.count()
    second.resume()
    await settle()
    assert first.seen == [[None, 0], [0, 1], [1, 2]]
    assert second.seen == [[None, 0], [0, 2]]


async def test_whoever_joins_begins_with_a_result_made_from_then_on(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    first = join(broadcasts)
    await settle()
    counter.count()
    await settle()
    counter.go_on.clear()
    second = join(broadcasts)
    await settle()
    # While the second's snapshot is made, the state moves on, and a third comes.
    counter.count()
    third = join(broadcasts)
    counter.go_on.set()
    await settle()
    assert first.seen == [[None, 0], [0, 1], [1, 2]]
    assert second.seen == [[None, 1], [1, 2]]
    assert third.seen == [[None, 2]]
    assert counter.begun == 1


async def test_whoever_left_gets_no_more_and_the_last_ends_the_source(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    first, second = join(broadcasts), join(broadcasts)
    await settle()
    first.leave()
    counter.count()
    await settle()
    assert (len(first.seen), len(second.seen)) == (1, 2)
    second.leave()
    assert len(broadcasts) == 0
    await broadcasts.let_go()
    assert counter.running == 0
    third = join(broadcasts)
    await settle()
    assert (third.seen, counter.begun, counter.running) == ([[None, 1]], 2, 1)


@pytest.mark.parametrize("staying", [0, 1])
async def test_leaving_while_others_are_given_the_same_result(
    broadcasts: Broadcasts, counter: Counter, staying: int
) -> None:
    screens = [join(broadcasts) for _ in range(3 * GIVEN_AT_ONCE)]
    await settle()

    def all_but_those_leave() -> None:
        for screen in screens:
            screen.when_taken = lambda: None
        for screen in screens[staying:]:
            asyncio.get_running_loop().call_soon(screen.leave)

    for screen in screens:
        screen.when_taken = all_but_those_leave
    counter.count()
    await settle()
    told = sum(len(screen.seen) == 2 for screen in screens)
    assert GIVEN_AT_ONCE - 1 <= told <= GIVEN_AT_ONCE + staying, "whoever had left got nothing"
    assert (len(broadcasts), counter.running) == (staying, staying)
    assert all(screen.seen == [[None, 0], [0, 1]] for screen in screens[:staying])


async def test_stopping_while_others_are_given_the_same_result(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    screens = [join(broadcasts) for _ in range(3 * GIVEN_AT_ONCE)]
    await settle()

    def everybody_stops() -> None:
        for screen in screens:
            screen.when_taken = lambda: None
            asyncio.get_running_loop().call_soon(screen.stop)

    for screen in screens:
        screen.when_taken = everybody_stops
    counter.count()
    await settle()
    for screen in screens:
        screen.resume()
    counter.count()
    await settle()
    assert {tuple(map(tuple, screen.seen[1:])) for screen in screens} == {
        ((0, 1), (1, 2)),
        ((0, 2),),
    }


async def test_a_refusal_ends_it_for_everybody(broadcasts: Broadcasts, counter: Counter) -> None:
    counter.refused = True
    screens = [join(broadcasts) for _ in range(3)]
    await settle()
    for screen in screens:
        (refused,) = screen.ended
        assert refused is not None
        assert refused.response == {"errors": [{"message": "no more"}]}
    assert (len(broadcasts), counter.running) == (0, 0)


async def test_a_fault_ends_it_for_everybody_and_is_not_told(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    counter.failure = ValueError("sk-ant-secret-detail")
    screen = join(broadcasts)
    await settle()
    (refused,) = screen.ended
    assert refused is not None
    assert refused.response["errors"][0]["extensions"] == {
        "code": "INTERNAL", "requestId": "request-1"
    }  # fmt: skip
    assert b"secret" not in refused.encoded()
    assert len(broadcasts) == 0


async def test_who_asks_for_each_result_has_one_slot_as_well(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    join(broadcasts)
    results = broadcasts.follow(asked(), ADMIN, "request-2")
    first = await anext(results)
    await settle()
    for _ in range(3):
        counter.count()
        await settle()
    second = await anext(results)
    waiting = asyncio.ensure_future(anext(results))
    await settle()
    assert not waiting.done()
    counter.count()
    third = await waiting
    assert [orjson.loads(one.encoded())["data"] for one in (first, second, third)] == [
        [None, 0], [0, 3], [3, 4]
    ]  # fmt: skip
    await results.aclose()
    assert counter.begun == 1


async def test_who_asks_hears_of_the_refusal_after_the_last_result(
    broadcasts: Broadcasts, counter: Counter
) -> None:
    counter.refused = True
    results = [one async for one in broadcasts.follow(asked(), ADMIN, "request-1")]
    assert [orjson.loads(one.encoded()) for one in results] == [
        {"data": [None, 0]}, {"errors": [{"message": "no more"}]}
    ]  # fmt: skip
