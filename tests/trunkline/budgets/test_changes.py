"""Budgets under change: every problem at once, what is left out stays, secrets shown once."""

import asyncio
from typing import Any

import pytest

from db.budgets import count_budgets
from db.vocabulary import BudgetAction, BudgetPeriod, ChangeKind, ProviderKind
from server.wiring import services_on
from tests.conftest import SECRET_KEY
from tests.trunkline.budgets.spending import ALL, make_budget, new_budget
from trunkline.budgets.changes import create_budget, delete_budget, update_budget
from trunkline.budgets.inputs import MOST_AMOUNT_NANOS, BudgetScope, BudgetUpdate
from trunkline.budgets.webhook_changes import rotate_webhook_secret
from trunkline.errors import Refused
from trunkline.events import BudgetChanged
from trunkline.money import parse_dollars
from trunkline.providers.changes import NewProvider, create_provider, delete_provider
from trunkline.secrets import Secrets
from trunkline.services import Services

URL = "https://hooks.example.com/budgets?token=planted"


def problems(refusal: Refused) -> set[tuple[str, ...]]:
    return {(problem.code, *(problem.field or ())) for problem in refusal.problems}


async def test_every_problem_of_a_new_budget_at_once(services: Services) -> None:
    new = new_budget(
        name=" ",
        scope=BudgetScope(provider_id=99),
        amount_nanos=0,
        timezone="Mars/Olympus",
        thresholds=(0, 50, 50, 1001),
        webhook_url="ftp://hooks.example.com",
    )
    with pytest.raises(Refused) as refusal:
        await create_budget(services, new)
    assert problems(refusal.value) == {
        ("INVALID", "name"),
        ("NOT_FOUND", "scope", "providerId"),
        ("INVALID", "amountUsd"),
        ("INVALID", "timezone"),
        ("INVALID", "thresholds", "0"),
        ("DUPLICATE", "thresholds", "2"),
        ("INVALID", "thresholds", "3"),
        ("INVALID", "webhookUrl"),
    }


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"amount_nanos": MOST_AMOUNT_NANOS + 1}, ("INVALID", "amountUsd")),
        ({"thresholds": tuple(range(1, 12))}, ("TOO_MANY", "thresholds")),
        ({"scope": BudgetScope(everything=False)}, ("INVALID", "scope", "all")),
        ({"scope": BudgetScope(agent="")}, ("INVALID", "scope", "agent")),
        ({"scope": BudgetScope(agent="a\0")}, ("INVALID", "scope", "agent")),
        ({"scope": BudgetScope(agent="\ud800")}, ("INVALID", "scope", "agent")),
        ({"scope": BudgetScope(model_id=-1)}, ("NOT_FOUND", "scope", "modelId")),
        ({"scope": BudgetScope(chain_id=10**17)}, ("NOT_FOUND", "scope", "failoverChainId")),
        ({"name": "\ud800"}, ("INVALID", "name")),
        ({"name": "x" * 201}, ("INVALID", "name")),
        ({"timezone": "Europe/Berlin\0"}, ("INVALID", "timezone")),
    ],
)
async def test_what_no_budget_can_be(
    services: Services, fields: dict[str, Any], problem: tuple[str, ...]
) -> None:
    with pytest.raises(Refused) as refusal:
        await create_budget(services, new_budget(**fields))
    assert problems(refusal.value) == {problem}


async def test_the_bounds_themselves_are_fine(services: Services) -> None:
    budget = await make_budget(services, thresholds=(1000, 1), amount_nanos=MOST_AMOUNT_NANOS)
    assert budget.thresholds == (1, 1000)
    assert (await make_budget(services, "0.000000001", thresholds=())).thresholds == ()


async def test_budgets_made_at_once_do_not_pass_the_bound(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.budgets.changes.MOST_BUDGETS", 3)
    made = await asyncio.gather(*(make_budget(services) for _ in range(8)), return_exceptions=True)
    refused = [one for one in made if isinstance(one, Refused)]
    assert [problems(one) for one in refused] == [{("TOO_MANY",)}] * 5
    async with services.database.read() as connection:
        assert await count_budgets(connection) == 3


async def test_a_deleted_provider_is_not_found(services: Services) -> None:
    provider = await create_provider(
        services, NewProvider(slug="gone", name="Gone", kind=ProviderKind.OLLAMA)
    )
    await delete_provider(services, provider.id, None)
    with pytest.raises(Refused) as refusal:
        await create_budget(services, new_budget(scope=BudgetScope(provider_id=provider.id)))
    assert problems(refusal.value) == {("NOT_FOUND", "scope", "providerId")}


async def test_an_update_changes_what_is_given_and_tells(services: Services) -> None:
    budget = await make_budget(services)
    with services.events.subscribe(BudgetChanged) as heard:
        saved = await update_budget(
            services,
            BudgetUpdate(
                id=budget.id,
                expected_version=1,
                name="Renamed",
                amount_nanos=parse_dollars("7.5"),
                period=BudgetPeriod.WEEK,
                timezone="Pacific/Apia",
                action=BudgetAction.BLOCK,
                thresholds=(90, 10),
                enabled=False,
            ),
        )
        assert await anext(heard) == BudgetChanged(ChangeKind.UPDATED, budget.id)
        after = saved.budget
        assert (after.name, after.amount_usd, after.period, after.timezone) == (
            "Renamed",
            parse_dollars("7.5"),
            BudgetPeriod.WEEK,
            "Pacific/Apia",
        )
        assert (after.action, after.thresholds, after.enabled, after.version) == (
            BudgetAction.BLOCK,
            (10, 90),
            False,
            2,
        )
        # The same again, and nothing at all, change nothing.
        same = BudgetUpdate(id=budget.id, name="Renamed", thresholds=(10, 90), webhook_url=None)
        assert (await update_budget(services, same)).budget == after
        assert not heard._pending


async def test_an_update_is_refused_whole(services: Services) -> None:
    budget = await make_budget(services)
    with pytest.raises(Refused) as refusal:
        await update_budget(services, BudgetUpdate(id=budget.id, expected_version=7))
    assert problems(refusal.value) == {("VERSION_CONFLICT", "expectedVersion")}
    assert refusal.value.current == budget
    bad = BudgetUpdate(
        id=budget.id, name="Fine", amount_nanos=None, timezone="", webhook_url="http://["
    )
    with pytest.raises(Refused) as refusal:
        await update_budget(services, bad)
    assert problems(refusal.value) == {
        ("INVALID", "amountUsd"),
        ("INVALID", "timezone"),
        ("INVALID", "webhookUrl"),
    }
    assert refusal.value.current == budget
    with pytest.raises(Refused) as refusal:
        await update_budget(services, BudgetUpdate(id=99))
    assert problems(refusal.value) == {("NOT_FOUND", "id")}


async def test_a_secret_is_shown_by_the_change_that_made_it(services: Services) -> None:
    saved = await create_budget(services, new_budget(webhook_url=URL))
    budget_id = saved.budget.id
    secret = saved.webhook_secret
    assert secret is not None
    assert secret.startswith("whsec_")
    assert secret not in repr(saved)
    assert "planted" not in repr(saved)
    # Another URL keeps the secret.
    moved = await update_budget(
        services, BudgetUpdate(id=budget_id, webhook_url="https://other.example.com/")
    )
    assert moved.webhook_secret is None
    rotated = await rotate_webhook_secret(services, budget_id, None)
    assert rotated.webhook_secret not in {None, secret}
    assert rotated.budget.version == 3
    await update_budget(services, BudgetUpdate(id=budget_id, webhook_url=None))
    with pytest.raises(Refused, match="no webhook"):
        await rotate_webhook_secret(services, budget_id, None)
    again = await update_budget(services, BudgetUpdate(id=budget_id, webhook_url=URL))
    assert again.webhook_secret not in {None, secret, rotated.webhook_secret}


async def test_secrets_lie_encrypted(services: Services) -> None:
    saved = await create_budget(services, new_budget(webhook_url=URL))
    webhook = saved.budget.webhook
    assert saved.webhook_secret is not None
    assert webhook is not None
    assert saved.webhook_secret.encode() not in webhook.secret_encrypted
    assert saved.webhook_secret.removeprefix("whsec_").encode() not in webhook.secret_encrypted


async def test_by_default_webhooks_stay_out_of_private_networks(services: Services) -> None:
    async with services_on(services.database, Secrets([SECRET_KEY])) as strict:
        for url in ("https://127.0.0.1/", "http://hooks.example.com/"):
            with pytest.raises(Refused, match="allow-webhooks"):
                await create_budget(strict, new_budget(webhook_url=url))


async def test_a_deleted_budget_is_gone(services: Services) -> None:
    budget = await make_budget(services, scope=ALL)
    with services.events.subscribe(BudgetChanged) as heard:
        await delete_budget(services, budget.id, 1)
        assert await anext(heard) == BudgetChanged(ChangeKind.DELETED, budget.id)
    with pytest.raises(Refused) as refusal:
        await delete_budget(services, budget.id, None)
    assert problems(refusal.value) == {("NOT_FOUND", "id")}
