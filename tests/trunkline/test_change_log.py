"""The log of changes: each listener hears what is new to it, once, and of what is true by then."""

import asyncio

import pytest

from db.vocabulary import ChangeKind
from trunkline.change_log import ChangeLog, Mark
from trunkline.events import (
    MOST_PENDING,
    EventBus,
    Missed,
    ModelChanged,
    ProviderChanged,
    UsageRecorded,
)

CREATED, UPDATED, DELETED = ChangeKind.CREATED, ChangeKind.UPDATED, ChangeKind.DELETED
Heard = list[tuple[ChangeKind, int] | None]


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


@pytest.fixture
def log() -> ChangeLog[ProviderChanged]:
    return ChangeLog(ProviderChanged, asyncio.Event())


def changed(kind: ChangeKind, number: int = 1) -> ProviderChanged:
    return ProviderChanged(kind=kind, id=number, slug=f"p{number}")


def read(log: ChangeLog[ProviderChanged], position: Mark | None) -> tuple[Heard, Mark]:
    """Everything from a position on, None for `Missed`, and where that leads."""
    heard: Heard = []
    while (found := log.after(position)) is not None:
        event, position = found
        heard.append(None if isinstance(event, Missed) else (event.kind, event.id))
    assert position is not None
    return heard, position


async def test_whoever_begins_hears_that_it_missed_what_was_and_then_what_comes(
    bus: EventBus, log: ChangeLog[ProviderChanged]
) -> None:
    with bus.telling(log):
        bus.publish(changed(CREATED))
        heard, position = read(log, None)
        assert heard == [None]
        bus.publish(changed(UPDATED), changed(CREATED, 2))
        assert read(log, position)[0] == [(UPDATED, 1), (CREATED, 2)]
    bus.publish(changed(UPDATED, 3))
    assert read(log, position)[0] == [(UPDATED, 1), (CREATED, 2)], "it hears no more"


async def test_changes_of_one_object_merge_by_what_each_has_heard(
    bus: EventBus, log: ChangeLog[ProviderChanged]
) -> None:
    _, early = read(log, None)
    with bus.telling(log):
        bus.publish(changed(CREATED))
        _, late = read(log, early)
        bus.publish(changed(UPDATED), changed(UPDATED))
        assert read(log, early)[0] == [(CREATED, 1)]
        assert read(log, late)[0] == [(UPDATED, 1)]
        bus.publish(changed(DELETED))
        assert read(log, early)[0] == read(log, late)[0] == [(DELETED, 1)]


async def test_those_who_have_heard_the_same_stand_at_the_same_position(
    bus: EventBus, log: ChangeLog[ProviderChanged]
) -> None:
    _, first = read(log, None)
    with bus.telling(log):
        bus.publish(changed(UPDATED), changed(UPDATED, 2))
        _, stepped = read(log, first)
        _, joined = read(log, None)
        assert stepped is joined


async def test_past_the_bound_it_is_missed_and_what_comes_then_is_heard(
    bus: EventBus, log: ChangeLog[ProviderChanged]
) -> None:
    _, position = read(log, None)
    with bus.telling(log):
        for number in range(MOST_PENDING):
            bus.publish(changed(UPDATED, number))
        assert len(read(log, position)[0]) == MOST_PENDING
        bus.publish(changed(UPDATED, MOST_PENDING))
        heard, position = read(log, position)
        assert heard == [None]
        bus.publish(changed(UPDATED, 7))
        assert read(log, position)[0] == [(UPDATED, 7)]


async def test_missed_of_its_kind_is_missed_and_of_another_is_nothing(
    bus: EventBus, log: ChangeLog[ProviderChanged]
) -> None:
    _, position = read(log, None)
    with bus.telling(log):
        bus.publish(changed(UPDATED))
        bus.missed(ModelChanged, UsageRecorded)
        assert read(log, position)[0] == [(UPDATED, 1)]
        bus.missed(ProviderChanged)
        assert read(log, position)[0] == [None]


async def test_what_is_not_wanted_wakes_nobody(bus: EventBus) -> None:
    wake = asyncio.Event()
    log = ChangeLog(ProviderChanged, wake, wanted=lambda event: event.slug == "p2")
    with bus.telling(log):
        _, position = read(log, None)
        bus.publish(changed(UPDATED))
        assert not wake.is_set()
        bus.publish(changed(UPDATED, 2))
        assert wake.is_set()
        assert read(log, position)[0] == [(UPDATED, 2)]
