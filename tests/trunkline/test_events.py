"""The bus: every subscriber hears, none grows, and nothing is merged away that matters."""

import asyncio
from datetime import UTC, datetime, timedelta

from db.vocabulary import ChangeKind
from trunkline.events import (
    MOST_PENDING,
    Event,
    EventBus,
    Missed,
    ProviderChanged,
    Subscription,
    UsageRecorded,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def changed(kind: ChangeKind, number: int = 1) -> ProviderChanged:
    return ProviderChanged(kind=kind, id=number, slug=f"p{number}")


async def read(subscription: Subscription, count: int) -> list[Event | Missed]:
    return [await asyncio.wait_for(anext(subscription), 30) for _ in range(count)]


async def test_each_subscriber_hears_what_it_asked_for_in_order() -> None:
    bus = EventBus()
    with bus.subscribe(ProviderChanged) as providers, bus.subscribe(UsageRecorded) as usage:
        bus.publish(changed(ChangeKind.CREATED, 2), UsageRecorded(NOW), changed(ChangeKind.UPDATED))
        assert await read(providers, 2) == [
            changed(ChangeKind.CREATED, 2),
            changed(ChangeKind.UPDATED, 1),
        ]
        assert await read(usage, 1) == [UsageRecorded(NOW)]


async def test_a_waiting_subscriber_wakes() -> None:
    bus = EventBus()
    with bus.subscribe(ProviderChanged) as subscription:
        waiting = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        bus.publish(changed(ChangeKind.UPDATED))
        assert await asyncio.wait_for(waiting, 30) == changed(ChangeKind.UPDATED)


async def test_changes_of_one_object_merge_into_what_is_true_of_it_now() -> None:
    bus = EventBus()
    with bus.subscribe(ProviderChanged) as subscription:
        bus.publish(changed(ChangeKind.CREATED), changed(ChangeKind.UPDATED))
        assert await read(subscription, 1) == [changed(ChangeKind.CREATED)]
        bus.publish(changed(ChangeKind.UPDATED), changed(ChangeKind.DELETED))
        assert await read(subscription, 1) == [changed(ChangeKind.DELETED)]


async def test_usage_merges_to_the_newest_state() -> None:
    bus = EventBus()
    with bus.subscribe(UsageRecorded) as subscription:
        bus.publish(*(UsageRecorded(NOW + timedelta(seconds=second)) for second in range(1_000)))
        assert await read(subscription, 1) == [UsageRecorded(NOW + timedelta(seconds=999))]


async def test_one_who_stops_reading_is_told_to_read_anew() -> None:
    bus = EventBus()
    with bus.subscribe(ProviderChanged) as subscription:
        for number in range(MOST_PENDING + 1):
            bus.publish(changed(ChangeKind.CREATED, number))
        assert await read(subscription, 1) == [Missed()]
        bus.publish(changed(ChangeKind.UPDATED, 7))
        assert await read(subscription, 1) == [changed(ChangeKind.UPDATED, 7)]


async def test_only_subscribers_of_the_kind_are_told_that_something_was_missed() -> None:
    bus = EventBus()
    with (
        bus.subscribe(ProviderChanged) as providers,
        bus.subscribe(UsageRecorded) as usage,
        bus.subscribe(UsageRecorded, ProviderChanged) as both,
    ):
        bus.publish(changed(ChangeKind.CREATED), UsageRecorded(NOW))
        bus.missed(ProviderChanged)
        # What waited is told by it, and what comes later follows.
        bus.publish(changed(ChangeKind.UPDATED, 2))
        later = changed(ChangeKind.UPDATED, 2)
        assert await read(providers, 2) == [Missed(), later]
        assert await read(both, 2) == [Missed(), later]
        assert await read(usage, 1) == [UsageRecorded(NOW)]
        assert not usage._arrived.is_set()


async def test_whoever_waits_for_anything_wakes_for_what_was_missed() -> None:
    bus = EventBus()
    with bus.subscribe(ProviderChanged, UsageRecorded) as subscription:
        waiting = asyncio.ensure_future(subscription.drained())
        await asyncio.sleep(0)
        bus.missed(ProviderChanged)
        await asyncio.wait_for(waiting, 30)
        assert not subscription._arrived.is_set()


async def test_nothing_is_delivered_after_the_block() -> None:
    bus = EventBus()
    with bus.subscribe(ProviderChanged):
        pass
    assert not bus._subscriptions
