"""Sends what waits for webhooks, and tries again what failed. Each server has one sender.

A message is claimed in the database before it is sent, so that two servers never try the same at
once; a claim ends by itself, so that what a killed server had in hand is tried again. A receiver
may so get a message twice, under the same `webhook-id`, and never not at all.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from db import budget_webhooks as deliveries
from db import budgets as store
from db.budget_webhooks import ClaimedDelivery
from db.budgets import BudgetRow, BudgetWebhookRow
from db.engine import Connection
from db.vocabulary import ChangeKind, WebhookDeliveryStatus
from trunkline.audit.changes import Change, Changes, updated
from trunkline.audit.showing import shown_budget
from trunkline.budgets.secrets import signing_secrets
from trunkline.budgets.webhooks import check_webhook_url, signed_headers
from trunkline.events import BudgetAlerted, BudgetChanged, Subscription
from trunkline.providers.kinds import InvalidUrl
from trunkline.providers.outgoing_errors import (
    AddressRefused,
    OutgoingError,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from trunkline.retry_after import retry_after_seconds
from trunkline.secrets import SecretUnreadable
from trunkline.services import Services

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 20
MOST_ATTEMPTS = 10
TIMEOUT_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 5.0
PAUSE_FACTOR = 4.0
LONGEST_PAUSE_SECONDS = 6 * 3600.0
CLAIM = timedelta(seconds=60)
"""How long an attempt may take before it is given up for dead; it ends long before."""
# What another server queued and did not live to send is found by looking now and then.
LONGEST_SLEEP_SECONDS = 30.0
RETRY_SECONDS = 5.0
_GONE = 410

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How an attempt ended. `wait_seconds` is what the receiver asked for, where it did."""

    http_status: int | None = None
    error: str | None = None
    wait_seconds: float | None = None
    over: bool = False


class WebhookSender:
    """`run` it for good. `chance` gives 0 to 1, and spreads what would be tried at once."""

    def __init__(
        self,
        services: Services,
        *,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._services = services
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._chance = chance
        self._under_way: set[asyncio.Task[None]] = set()
        # Set when an attempt has ended since it was last looked at what is due.
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Send what is due, as it becomes due, until cancelled."""
        try:
            with self._services.events.subscribe(BudgetAlerted) as alerts:
                while True:
                    try:
                        next_due = await self._start_due()
                    except Exception:  # The sender outlives the store's bad moments.
                        log.exception("webhooks could not be looked at")
                        await self._sleep(RETRY_SECONDS)
                        continue
                    await self._something_happens(next_due, alerts)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _start_due(self) -> datetime | None:
        """Start an attempt at what is due, and return when the next will be."""
        self._ended.clear()
        now = self._services.clock()
        async with self._services.database.read() as connection:
            due = await deliveries.next_due(connection)
        free = MOST_AT_ONCE - len(self._under_way)
        if due is None or due > now or not free:
            return due

        async def claim(connection: Connection) -> list[ClaimedDelivery]:
            return list(
                await deliveries.claim_due(connection, now=now, until=now + CLAIM, limit=free)
            )

        for claimed in await self._services.database.transact(claim):
            task = asyncio.create_task(self._deliver(claimed))
            self._under_way.add(task)
            task.add_done_callback(self._end)
        async with self._services.database.read() as connection:
            return await deliveries.next_due(connection)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._ended.set()

    async def _deliver(self, claimed: ClaimedDelivery) -> None:
        try:
            async with self._services.database.read() as connection:
                budget = (await store.load_budgets(connection, [claimed.budget_id])).get(
                    claimed.budget_id
                )
            webhook = None if budget is None else budget.webhook
            if webhook is None or webhook.disabled_at is not None:
                attempt = _Attempt(error="the webhook is removed or disabled", over=True)
            else:
                attempt = await self._attempt(claimed, webhook)
            await self._note(claimed, attempt, webhook)
        except Exception:  # The claim ends by itself, and the message is tried again.
            log.exception("a webhook's delivery could not be noted", budget_id=claimed.budget_id)

    async def _attempt(self, claimed: ClaimedDelivery, webhook: BudgetWebhookRow) -> _Attempt:
        outgoing = self._services.outgoing
        now = self._services.clock()
        body = claimed.body.encode()
        try:
            # The setting may have changed since the URL was given.
            url = check_webhook_url(webhook.url, may_be_private=outgoing.webhooks_may_be_private)
            secrets = signing_secrets(self._services.secrets, webhook, now)
            answer = await outgoing.notify(
                url,
                headers=signed_headers(claimed.message_id, body, secrets, now),
                body=body,
                timeout_seconds=self._timeout_seconds,
            )
        except (InvalidUrl, SecretUnreadable) as error:
            return _Attempt(error=str(error))
        except OutgoingError as error:
            return _Attempt(error=_told(error))
        if 200 <= answer.status < 300:
            return _Attempt(answer.status)
        if answer.status == _GONE:
            return _Attempt(
                _GONE, "the receiver is gone for good: give the webhook a URL again", over=True
            )
        if 300 <= answer.status < 400:
            said = "the receiver answered with a redirect, which is not followed: give its URL"
        else:
            said = f"the receiver answered with status {answer.status}"
        return _Attempt(
            answer.status, said, retry_after_seconds(answer.headers.get("retry-after", ""), now)
        )

    async def _note(
        self, claimed: ClaimedDelivery, attempt: _Attempt, tried: BudgetWebhookRow | None
    ) -> None:
        now = self._services.clock()
        pause = self._pause_seconds(claimed.attempts, attempt.wait_seconds)

        async def note(connection: Connection) -> Change[None]:
            held = await store.lock_budgets(connection, [claimed.budget_id])
            gone = attempt.http_status == _GONE and _sends_to(held.get(claimed.budget_id), tried)
            status = WebhookDeliveryStatus.DELIVERED
            if attempt.error is not None:
                # Gone is the receiver that was asked: one that was named since has yet to be.
                over = gone if attempt.http_status == _GONE else attempt.over
                ended = over or claimed.attempts >= MOST_ATTEMPTS
                status = WebhookDeliveryStatus.FAILED if ended else WebhookDeliveryStatus.PENDING
            changes: Changes = ()
            mine = await deliveries.finish_attempt(
                connection,
                claimed,
                status=status,
                next_attempt_at=now + timedelta(seconds=pause),
                http_status=attempt.http_status,
                error=attempt.error,
            )
            if mine and gone:
                await store.disable_webhook(connection, claimed.budget_id, now=now)
                await deliveries.fail_pending(
                    connection, claimed.budget_id, error=attempt.error or ""
                )
                disabled = await store.load_budgets(connection, [claimed.budget_id])
                for budget_id, budget in disabled.items():
                    changes = updated(shown_budget(held[budget_id]), shown_budget(budget))
            events = [BudgetChanged(ChangeKind.UPDATED, claimed.budget_id)] if mine else []
            return Change(None, events, changes)

        # The receiver's answer may disable the webhook, which is configuration.
        await self._services.change("disableBudgetWebhook", note)

    def _pause_seconds(self, attempts: int, wait_seconds: float | None) -> float:
        """Before the next attempt: longer each time, spread by chance, what was asked for at least.

        Whatever was asked for, it is never more than the longest pause.
        """
        longest = FIRST_PAUSE_SECONDS * PAUSE_FACTOR ** (attempts - 1)
        pause = min(longest, LONGEST_PAUSE_SECONDS) * (1 + self._chance()) / 2
        return min(max(pause, wait_seconds or 0.0), LONGEST_PAUSE_SECONDS)

    async def _something_happens(self, next_due: datetime | None, alerts: Subscription) -> None:
        """Return when there may be something to start."""
        # What has ended may be tried again sooner than anything that was due by then.
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._ended.wait())}
        if len(self._under_way) < MOST_AT_ONCE:
            waits.add(asyncio.ensure_future(alerts.drained()))
            waits.add(asyncio.ensure_future(self._sleep_until(next_due)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _sleep_until(self, due: datetime | None) -> None:
        remaining = LONGEST_SLEEP_SECONDS
        if due is not None:
            remaining = (due - self._services.clock()).total_seconds()
        await self._sleep(min(max(remaining, 0.0), LONGEST_SLEEP_SECONDS))


def _sends_to(budget: BudgetRow | None, tried: BudgetWebhookRow | None) -> bool:
    """Whether the budget's alerts still go where one was tried to be sent."""
    webhook = None if budget is None else budget.webhook
    return webhook is not None and tried is not None and webhook.url == tried.url


def _told(error: OutgoingError) -> str:
    """What to show of a request that brought no answer: nothing of the URL, which may be secret."""
    match error:
        case AddressRefused():
            return (
                "requests may not go to the receiver's address: private networks need "
                "TRUNKLINE_PRIVATE_NETWORKS=allow-webhooks, and some addresses are never asked"
            )
        case TimedOut():
            return "the receiver did not answer in time (10 seconds)"
        case TlsFailed():
            return "no trusted encrypted connection to the receiver: check its certificate"
        case Unreachable():
            return "the receiver can't be reached: check the URL's host and port"
        case _:
            return "what came back is no HTTP answer: check the URL"
