"""Alerts on their way to webhooks: signed, tried again, once each, and where they may not go."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from db.budget_webhooks import DeliveryRow
from db.budgets import BudgetRow, load_budgets
from db.engine import Database
from db.vocabulary import WebhookDeliveryStatus
from server.wiring import services_on
from tests.audit_entries import entries_of
from tests.conftest import SECRET_KEY, SetClock
from tests.trunkline.budgets.receiver import Receiver, receiving
from tests.trunkline.budgets.spending import (
    eventually,
    given_alerts,
    make_budget,
    new_budget,
    running,
    spend,
)
from tests.trunkline.usage.timing import Time
from trunkline.budgets.changes import create_budget, delete_budget, update_budget
from trunkline.budgets.inputs import BudgetUpdate
from trunkline.budgets.sending import (
    CLAIM,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MOST_ATTEMPTS,
    WebhookSender,
)
from trunkline.budgets.watching import BudgetWatch
from trunkline.budgets.webhook_changes import SECRETS_OVERLAP, rotate_webhook_secret
from trunkline.global_ids import global_id
from trunkline.secrets import Secrets, generate_secret_key
from trunkline.services import Services

PENDING, DELIVERED, FAILED = WebhookDeliveryStatus


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def alerting(
    services: Services, url: str, dollars: str = "6", **fields: Any
) -> tuple[BudgetRow, str]:
    """A budget whose alert waits to be sent, and its webhook's secret."""
    new = new_budget("10", webhook_url=f"{url}/hook?token=planted", **fields)
    saved = await create_budget(services, new)
    await spend(services, dollars)
    await BudgetWatch(services).look()
    assert saved.webhook_secret is not None
    return saved.budget, saved.webhook_secret


async def deliveries(services: Services) -> list[DeliveryRow]:
    return [one.delivery for one in await given_alerts(services) if one.delivery is not None]


def sender(services: Services, time: Time, **options: Any) -> WebhookSender:
    return WebhookSender(services, sleep=time.sleep, chance=lambda: 1.0, **options)


async def ended(services: Services, time: Time, attempts: int) -> None:
    """Wait until the first delivery's attempt of this number is over."""

    async def over() -> bool:
        time.advance(seconds=0)  # Wakes who went to sleep for no time at all.
        [first, *_] = await deliveries(services)
        if first.next_attempt_at is None:
            return first.attempts == attempts
        assert first.attempts <= attempts
        claimed = first.last_attempt_at is None or (
            first.next_attempt_at == first.last_attempt_at + CLAIM
        )
        return first.attempts == attempts and not claimed

    await eventually(over)


async def test_an_alert_arrives_signed_and_says_it_all(
    services: Services, time: Time, receiver: Receiver, clock: SetClock
) -> None:
    budget, secret = await alerting(services, receiver.url)
    async with running(sender(services, time).run()):
        await ended(services, time, 1)
    [request] = receiver.received
    assert request.signed_by(secret)
    assert not request.signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert request.headers["Content-Type"] == "application/json"
    assert int(request.headers["webhook-timestamp"]) == int(clock().timestamp())
    [alert] = await given_alerts(services)
    assert request.message == {
        "type": "budget.threshold_reached",
        "timestamp": "2026-11-23T15:00:00Z",
        "data": {
            "alertId": global_id("BudgetAlert", alert.id),
            "budget": {
                "id": global_id("Budget", budget.id),
                "name": "Budget",
                "scope": {"kind": "ALL", "id": None, "agent": None, "label": "Everything"},
                "action": "ALERT",
            },
            "period": {
                "kind": "DAY",
                "timezone": "UTC",
                "from": "2026-11-23T00:00:00Z",
                "to": "2026-11-24T00:00:00Z",
            },
            "threshold": 50,
            "amountUsd": "10",
            "spentUsd": "6",
            "unpricedRequests": 0,
        },
    }
    [delivery] = await deliveries(services)
    assert (delivery.status, delivery.attempts, delivery.http_status) == (DELIVERED, 1, 204)
    assert (delivery.error, delivery.next_attempt_at) == (None, None)


async def test_a_running_sender_hears_of_a_new_alert(
    services: Services, time: Time, receiver: Receiver
) -> None:
    async with running(sender(services, time).run()):
        await alerting(services, receiver.url, "8")
        await asyncio.wait_for(receiver.arrived.wait(), 10)

        async def both() -> bool:
            return [one.status for one in await deliveries(services)] == [DELIVERED] * 2

        await eventually(both)
    assert {one.message["data"]["threshold"] for one in receiver.received} == {50, 80}


async def test_failures_are_tried_again_after_longer_and_longer_pauses(
    services: Services, time: Time, receiver: Receiver
) -> None:
    receiver.answers = [(500, {}), (503, {}), (301, {"Location": "/elsewhere"}), (200, {})]
    _, secret = await alerting(services, receiver.url)
    pauses = []
    async with running(sender(services, time).run()):
        await ended(services, time, 1)
        for attempt in range(1, 4):
            [delivery] = await deliveries(services)
            assert delivery.status is PENDING
            assert delivery.next_attempt_at is not None
            pauses.append((delivery.next_attempt_at - services.clock()).total_seconds())
            # A moment before, nothing is sent.
            time.advance(seconds=pauses[-1] - 1)
            await asyncio.sleep(0.02)
            assert len(receiver.received) == attempt
            time.advance(seconds=1)
            await ended(services, time, attempt + 1)
    assert pauses == [FIRST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 4, FIRST_PAUSE_SECONDS * 16]
    # Each attempt is the same message, signed for its own moment.
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len({one.body for one in receiver.received}) == 1
    assert len({one.headers["webhook-timestamp"] for one in receiver.received}) == 4
    assert all(one.signed_by(secret) for one in receiver.received)
    [delivery] = await deliveries(services)
    assert (delivery.attempts, delivery.http_status, delivery.error) == (4, 200, None)


async def has_received(receiver: Receiver, count: int) -> bool:
    return len(receiver.received) >= count


async def test_it_gives_up_in_the_end_and_says_what_went_wrong(
    services: Services, time: Time, receiver: Receiver
) -> None:
    receiver.answers = [(500, {})]
    await alerting(services, receiver.url)
    async with running(sender(services, time).run()):
        for attempt in range(1, MOST_ATTEMPTS + 1):
            await ended(services, time, attempt)
            time.advance(seconds=LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(0.05)
    [delivery] = await deliveries(services)
    assert (delivery.status, delivery.attempts) == (FAILED, MOST_ATTEMPTS)
    assert delivery.error == "the receiver answered with status 500"
    assert len(receiver.received) == MOST_ATTEMPTS


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("120", 120.0),
        ("1", FIRST_PAUSE_SECONDS),
        ("Mon, 23 Nov 2026 15:10:00 GMT", 600.0),
        ("99999999999999999999", LONGEST_PAUSE_SECONDS),
        ("Fri, 01 Jan 9999 00:00:00 GMT", LONGEST_PAUSE_SECONDS),
        ("soon", FIRST_PAUSE_SECONDS),
        ("-5", FIRST_PAUSE_SECONDS),
    ],
)
async def test_a_receiver_may_ask_for_time_within_bounds(
    services: Services, time: Time, receiver: Receiver, asked: str, waits: float
) -> None:
    receiver.answers = [(429, {"Retry-After": asked})]
    await alerting(services, receiver.url)
    async with running(sender(services, time).run()):
        await ended(services, time, 1)
    [delivery] = await deliveries(services)
    assert delivery.next_attempt_at == services.clock() + timedelta(seconds=waits)


async def test_a_redirect_is_not_followed(
    services: Services, time: Time, receiver: Receiver
) -> None:
    async with receiving() as elsewhere:
        receiver.answers = [(307, {"Location": elsewhere.url})]
        await alerting(services, receiver.url)
        async with running(sender(services, time).run()):
            await ended(services, time, 1)
        assert elsewhere.received == []
    [delivery] = await deliveries(services)
    assert delivery.http_status == 307
    assert "redirect" in (delivery.error or "")


async def test_gone_for_good_disables_the_webhook_until_it_is_given_again(
    services: Services, time: Time, receiver: Receiver
) -> None:
    receiver.answers = [(410, {})]
    budget, _ = await alerting(services, receiver.url)
    watch = BudgetWatch(services)
    async with running(sender(services, time).run()):

        async def disabled() -> bool:
            return (await webhook_of(services, budget)).disabled_at is not None

        await eventually(disabled)
        assert [one.status for one in await deliveries(services)] == [FAILED]
        entry = (await entries_of(services))[-1]
        assert (entry.action, entry.object_id) == ("disableBudgetWebhook", budget.id)
        assert "planted" not in f"{entry.before}{entry.after}"
        # While it is disabled, alerts are given, and nothing is queued.
        await spend(services, "2")
        await watch.look()
        assert len(await given_alerts(services)) == 2
        assert len(await deliveries(services)) == 1
        receiver.answers = [(200, {})]
        url = (await webhook_of(services, budget)).url
        await update_budget(services, BudgetUpdate(id=budget.id, webhook_url=url))
        assert not await disabled()
        await spend(services, "2")
        await watch.look()

        async def delivered() -> bool:
            return (await deliveries(services))[-1].status is DELIVERED

        await eventually(delivered)
    assert [one.message["data"]["threshold"] for one in receiver.received] == [50, 100]


async def test_what_is_gone_says_nothing_of_the_url_that_was_given_meanwhile(
    services: Services, time: Time, receiver: Receiver
) -> None:
    receiver.answers = [(410, {})]
    receiver.holds = asyncio.Event()
    budget, _ = await alerting(services, receiver.url)
    async with receiving() as elsewhere, running(sender(services, time).run()):
        await asyncio.wait_for(receiver.arrived.wait(), 5)
        url = f"{elsewhere.url}/hook"
        await update_budget(services, BudgetUpdate(id=budget.id, webhook_url=url))
        receiver.holds.set()

        async def noted() -> bool:
            return (await deliveries(services))[0].http_status == 410

        await eventually(noted)
        assert (await webhook_of(services, budget)).disabled_at is None
        time.advance(seconds=FIRST_PAUSE_SECONDS)

        async def delivered() -> bool:
            time.advance(seconds=0)  # Wakes who went to sleep for no time at all.
            return (await deliveries(services))[0].status is DELIVERED

        await eventually(delivered)
        assert [one.message["data"]["threshold"] for one in elsewhere.received] == [50]


async def webhook_of(services: Services, budget: BudgetRow) -> Any:
    async with services.database.read() as connection:
        return (await load_budgets(connection, [budget.id]))[budget.id].webhook


async def test_a_receiver_that_hangs_is_given_up_and_holds_up_nobody(
    services: Services, time: Time, receiver: Receiver
) -> None:
    receiver.hangs = True
    await alerting(services, receiver.url)
    async with receiving() as other:
        await make_budget(services, "10", webhook_url=f"{other.url}/")
        await BudgetWatch(services).look()
        async with running(sender(services, time, timeout_seconds=0.5).run()):
            await asyncio.wait_for(other.arrived.wait(), 10)
            await ended(services, time, 1)
    [hanging, _] = await deliveries(services)
    assert hanging.status is PENDING
    assert "in time" in (hanging.error or "")


async def test_nobody_listens(services: Services, time: Time, receiver: Receiver) -> None:
    await alerting(services, "http://127.0.0.1:9")
    async with running(sender(services, time).run()):
        await ended(services, time, 1)
    [delivery] = await deliveries(services)
    assert delivery.error == "the receiver can't be reached: check the URL's host and port"
    assert "planted" not in repr(await given_alerts(services))


async def test_a_restart_goes_on_with_what_waits(
    services: Services, time: Time, receiver: Receiver
) -> None:
    receiver.hangs = True
    await alerting(services, receiver.url)
    async with running(sender(services, time).run()):
        await asyncio.wait_for(receiver.arrived.wait(), 10)
    # It ended in the middle of an attempt. Nobody knows whether that arrived, so it is made again.
    receiver.hangs = False
    async with running(sender(services, time).run()):
        await asyncio.sleep(0.02)
        assert len(receiver.received) == 1
        time.advance(seconds=CLAIM.total_seconds())

        async def delivered() -> bool:
            time.advance(seconds=1)
            return (await deliveries(services))[0].status is DELIVERED

        await eventually(delivered)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_two_servers_send_each_message_once(
    services: Services, database_url: str, time: Time, receiver: Receiver
) -> None:
    for place in range(12):
        await make_budget(
            services, "10", name=f"Budget {place}", webhook_url=f"{receiver.url}/{place}"
        )
    await spend(services, "10")
    await BudgetWatch(services).look()
    database = Database.open(database_url)
    async with (
        services_on(
            database, Secrets([SECRET_KEY]), clock=services.clock, private_networks="allow-webhooks"
        ) as other,
        running(sender(services, time).run()),
        running(sender(other, time).run()),
    ):

        async def all_there() -> bool:
            # Enough to wake both, and less than a claim lasts.
            if time.passed < 40:
                time.advance(seconds=1)
            return all(one.status is DELIVERED for one in await deliveries(services))

        await eventually(all_there)
    await database.close()
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert len(ids) == len(set(ids)) == 36


async def test_both_secrets_sign_for_a_day_after_a_rotation(
    services: Services, time: Time, receiver: Receiver, clock: SetClock
) -> None:
    budget, old = await alerting(services, receiver.url)
    rotated = await rotate_webhook_secret(services, budget.id, None)
    new = rotated.webhook_secret
    assert new is not None
    assert new != old
    async with running(sender(services, time).run()):
        await eventually(lambda: has_received(receiver, 1))
        time.advance(seconds=SECRETS_OVERLAP.total_seconds())
        await spend(services, "6")
        await BudgetWatch(services).look()
        await eventually(lambda: has_received(receiver, 2))
    first, second = receiver.received
    assert (first.signed_by(new), first.signed_by(old)) == (True, True)
    assert (second.signed_by(new), second.signed_by(old)) == (True, False)


async def test_what_waits_goes_with_the_budget_or_its_webhook(
    services: Services, time: Time, receiver: Receiver
) -> None:
    budget, _ = await alerting(services, receiver.url)
    other = await make_budget(services, "10", webhook_url=f"{receiver.url}/")
    await BudgetWatch(services).look()
    await delete_budget(services, budget.id, None)
    await update_budget(services, BudgetUpdate(id=other.id, webhook_url=None))
    async with running(sender(services, time).run()):
        await asyncio.sleep(0.05)
    assert receiver.received == []
    found = await deliveries(services)
    assert [one.status for one in found] == [FAILED, FAILED]
    assert all("removed" in (one.error or "") for one in found)


async def test_another_secret_key_sends_nothing_unsigned(
    services: Services, database: Database, time: Time, receiver: Receiver
) -> None:
    await alerting(services, receiver.url)
    async with (
        services_on(
            database,
            Secrets([generate_secret_key()]),
            clock=services.clock,
            private_networks="allow-webhooks",
        ) as other,
        running(sender(other, time).run()),
    ):
        await ended(services, time, 1)
    assert receiver.received == []
    [delivery] = await deliveries(services)
    assert "TRUNKLINE_SECRET_KEYS" in (delivery.error or "")


async def test_a_setting_that_became_stricter_holds_for_webhooks_that_are_there(
    services: Services, database: Database, time: Time, receiver: Receiver
) -> None:
    await alerting(services, receiver.url)
    async with (
        services_on(
            database, Secrets([SECRET_KEY]), clock=services.clock, private_networks="default"
        ) as strict,
        running(sender(strict, time).run()),
    ):
        await ended(services, time, 1)
    assert receiver.received == []
    [delivery] = await deliveries(services)
    assert "https" in (delivery.error or "")
