"""Group commit: one transaction for many calls, and nobody pays for another's mistake."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from db.rollup_columns import TotalTooLarge
from db.vocabulary import ProviderKind
from trunkline.errors import Problem, ProblemCode, RateLimited, Refused
from trunkline.events import UsageRecorded
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.group_commit import (
    MOST_GROUPED_EVENTS,
    MOST_QUEUED_EVENTS,
    GroupCommit,
    Recorded,
)
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_page, record_usage


def event(key: str, **fields: Any) -> NewUsageEvent:
    made = NewUsageEvent(idempotency_key=key, provider_slug="local", model_name="llama")
    return replace(made, **fields)


def batch(prefix: str, count: int) -> list[NewUsageEvent]:
    return [event(f"{prefix}{number}") for number in range(count)]


class Commits:
    """A commit that waits for its turn, and refuses events whose model is named `bad`."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.stored: set[str] = set()
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, events: Sequence[NewUsageEvent]) -> Collection[str]:
        self.groups.append([event.idempotency_key for event in events])
        self.begun.set()
        await self.open.wait()
        bad = [place for place, event in enumerate(events) if event.model_name == "bad"]
        if bad:
            raise Refused(
                [
                    Problem(ProblemCode.INVALID, ("events", str(place), "modelName"), "bad")
                    for place in bad
                ]
            )
        if any(event.model_name == "too-large" for event in events):
            raise Refused([Problem(ProblemCode.INVALID, ("events",), "a total would exceed")])
        if any(event.model_name == "broken" for event in events):
            raise OSError("the store is broken")
        new = {event.idempotency_key for event in events} - self.stored
        self.stored |= new
        return new


async def submit_while_busy(
    queue: GroupCommit, commits: Commits, *calls: Sequence[NewUsageEvent]
) -> list[Recorded | BaseException]:
    """Submit these calls while a transaction runs, so that they are in one group."""
    commits.open.clear()
    first = asyncio.create_task(queue.submit([event("first")], commits))
    await commits.begun.wait()
    others = [asyncio.create_task(queue.submit(call, commits)) for call in calls]
    await asyncio.sleep(0)
    commits.open.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    return answers[1:]


async def test_the_first_call_of_a_quiet_time_is_committed_at_once() -> None:
    commits = Commits()
    assert await GroupCommit().submit([event("a")], commits) == Recorded(1, 0)
    assert commits.groups == [["a"]]


async def test_calls_that_come_while_a_transaction_runs_share_the_next_one() -> None:
    queue, commits = GroupCommit(), Commits()
    answers = await submit_while_busy(
        queue, commits, [event("a"), event("b"), event("a")], [event("c")], [event("first")]
    )
    assert answers == [Recorded(2, 1), Recorded(1, 0), Recorded(0, 1)]
    assert commits.groups == [["first"], ["a", "b", "a", "c", "first"]]


async def test_two_calls_that_name_the_same_key_never_share_a_transaction() -> None:
    queue, commits = GroupCommit(), Commits()
    answers = await submit_while_busy(queue, commits, [event("a")], [event("b"), event("a")])
    assert answers == [Recorded(1, 0), Recorded(1, 1)]
    assert commits.groups == [["first"], ["a"], ["b", "a"]]


async def test_what_is_wrong_with_one_call_spoils_no_other_and_keeps_its_own_path() -> None:
    queue, commits = GroupCommit(), Commits()
    good, bad, better, worse = await submit_while_busy(
        queue,
        commits,
        batch("a", 2),
        [event("b0"), event("b1", model_name="bad")],
        batch("c", 3),
        [event("d0", model_name="bad"), event("d1"), event("d2", model_name="bad")],
    )
    assert (good, better) == (Recorded(2, 0), Recorded(3, 0))
    assert isinstance(bad, Refused)
    assert isinstance(worse, Refused)
    assert [problem.field for problem in bad.problems] == [("events", "1", "modelName")]
    assert [problem.field for problem in worse.problems] == [
        ("events", "0", "modelName"),
        ("events", "2", "modelName"),
    ]
    assert commits.stored == {"first", "a0", "a1", "c0", "c1", "c2"}, "all or none of each call"


@pytest.mark.parametrize(("name", "error"), [("too-large", Refused), ("broken", OSError)])
async def test_a_failure_that_is_nobodys_in_particular_is_found_out_call_by_call(
    name: str, error: type[Exception]
) -> None:
    queue, commits = GroupCommit(), Commits()
    answers = await submit_while_busy(
        queue, commits, batch("a", 2), [event("b", model_name=name)], batch("c", 1)
    )
    assert (answers[0], answers[2]) == (Recorded(2, 0), Recorded(1, 0))
    assert isinstance(answers[1], error)
    assert await queue.submit([event("later")], commits) == Recorded(1, 0)


async def test_a_full_queue_says_when_to_come_back_and_takes_nothing_of_the_call() -> None:
    queue, commits = GroupCommit(), Commits()
    commits.open.clear()
    waiting = [
        asyncio.create_task(queue.submit(batch(f"{call}-", 1_000), commits))
        for call in range(MOST_QUEUED_EVENTS // 1_000)
    ]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="send it again in 1 s") as refused:
        await queue.submit([event("one more")], commits)
    assert refused.value.retry_after_seconds == 1
    commits.open.set()
    assert await asyncio.gather(*waiting) == [Recorded(1_000, 0)] * len(waiting)
    assert max(len(group) for group in commits.groups) == MOST_GROUPED_EVENTS
    assert await queue.submit([event("one more")], commits) == Recorded(1, 0)


async def test_a_caller_that_goes_away_takes_nothing_back_and_holds_nobody_up() -> None:
    queue, commits = GroupCommit(), Commits()
    commits.open.clear()
    callers = [asyncio.create_task(queue.submit([event(key)], commits)) for key in ("a", "b", "c")]
    await asyncio.sleep(0)
    callers[0].cancel()
    callers[1].cancel()
    commits.open.set()
    assert await callers[2] == Recorded(1, 0)
    assert commits.stored == {"a", "b", "c"}
    assert await queue.submit([event("a"), event("b")], commits) == Recorded(0, 2)


async def test_drain_waits_for_everything_that_was_taken() -> None:
    queue, commits = GroupCommit(), Commits()
    callers = [asyncio.create_task(queue.submit([event(key)], commits)) for key in ("a", "b")]
    await asyncio.sleep(0)
    await queue.drain()
    assert commits.stored == {"a", "b"}
    await asyncio.gather(*callers)
    await queue.drain()


@pytest.fixture
async def local(services: Services) -> Services:
    """With a provider whose models cost nothing."""
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    await record_usage(services, [event("warm")])
    return services


async def test_many_calls_make_few_transactions_and_are_each_told_their_own(
    local: Services, count_statements: Callable[[], Any]
) -> None:
    with local.events.subscribe(UsageRecorded) as changes, count_statements() as statements:
        answers = await asyncio.gather(
            *(record_usage(local, [event(f"k{call % 90}")]) for call in range(100))
        )
        assert isinstance(await anext(changes), UsageRecorded)
    assert (
        sorted(answers, key=lambda one: one.recorded)
        == [Recorded(0, 1)] * 10 + [Recorded(1, 0)] * 90
    )
    inserts = [one for one in statements if one.startswith("INSERT INTO usage_events")]
    assert len(inserts) <= 3, "the first alone, the rest together, the repetitions after them"


async def test_calls_with_mistakes_among_others_in_a_real_store(local: Services) -> None:
    async def call(number: int) -> Recorded:
        wrong = {"provider_slug": "nobody"} if number % 3 == 0 else {}
        return await record_usage(local, [event(f"{number}a"), event(f"{number}b", **wrong)])

    answers = await asyncio.gather(*(call(number) for number in range(30)), return_exceptions=True)
    for number, answer in enumerate(answers):
        if number % 3:
            assert answer == Recorded(2, 0)
        else:
            assert isinstance(answer, Refused)
            assert [problem.field for problem in answer.problems] == [
                ("events", "1", "providerSlug")
            ]
    again = await record_usage(
        local, [event(f"{number}a") for number in range(30) if number % 3 == 0]
    )
    assert again == Recorded(10, 0), "nothing of a refused call had been recorded"


async def test_a_page_takes_the_good_ones_and_says_what_is_wrong_with_the_others(
    local: Services,
) -> None:
    done = await record_page(
        local,
        [
            event("a"),
            event("", agent=""),
            event("b"),
            event("c", provider_slug="nobody"),
            event("a"),
            event("a", input_tokens=1),
            event("warm"),
        ],
    )
    assert (done.recorded, done.duplicates) == (2, 2)
    found = {
        place: [(one.code.value, one.field) for one in problems]
        for place, problems in done.problems.items()
    }
    assert found == {
        1: [("INVALID", ("idempotencyKey",)), ("INVALID", ("agent",))],
        3: [("NOT_FOUND", ("providerSlug",))],
        5: [("KEY_REUSED", ("idempotencyKey",))],
    }


async def test_a_page_finds_the_one_event_that_no_total_can_take(
    local: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.usage.intake.MOST_COST_NANOS", 2**63)
    monkeypatch.setattr("trunkline.usage.priced_events.MOST_PRICED_NANOS", 2**63)
    page = [*batch("a", 5), event("dear", cost_nanos=2**63 - 1), *batch("b", 5)]
    page[8] = event("b2", cost_nanos=1)
    done = await record_page(local, page)
    assert done.recorded == 10
    assert {place: one[0].message for place, one in done.problems.items()} == {
        8: "a total would exceed what can be summed exactly"
    }
    assert TotalTooLarge.__name__ not in str(done)
