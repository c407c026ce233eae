"""Everything that is sealed, under a new key, while others read and write it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db import budgets as stored_budgets
from db import providers as stored_providers
from db.engine import Database
from db.sealed import COLUMNS, SealedKind, sealed_values
from db.tables import metadata
from db.vocabulary import BudgetPeriod, ProviderKind
from server.wiring import services_on
from tests.audit_entries import entries_of
from tests.conftest import SetClock
from trunkline.budgets.changes import create_budget
from trunkline.budgets.inputs import BudgetScope, NewBudget
from trunkline.budgets.secrets import signing_secrets
from trunkline.budgets.webhook_changes import rotate_webhook_secret
from trunkline.forgetting import forget_unreadable
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    stored_api_key,
    update_provider,
)
from trunkline.providers.extra_headers import ExtraHeader, extra_headers_of
from trunkline.resealing import Resealing, reseal_everything
from trunkline.secrets import Secrets, generate_secret_key
from trunkline.services import Services

OLD, NEW = generate_secret_key(), generate_secret_key()
KEY = "sk-the-key-of-{}-0123456789"
PROVIDERS = 3


async def no_pause(_: Resealing) -> None: ...


@pytest.fixture
async def services(database: Database, clock: SetClock) -> AsyncIterator[Services]:
    """Three providers with keys, one with headers, and a webhook whose secret was rotated."""
    async with services_on(
        database, Secrets([OLD]), clock=clock, private_networks="allow-webhooks"
    ) as made:
        for number in range(PROVIDERS):
            await create_provider(
                made,
                NewProvider(
                    slug=f"p{number}", name="P", kind=ProviderKind.OLLAMA,
                    api_key=KEY.format(number),
                    extra_headers=[ExtraHeader("X-Team", "a-team")] if number == 0 else [],
                ),
            )  # fmt: skip
        saved = await create_budget(
            made,
            NewBudget(
                name="Everything", scope=BudgetScope(everything=True), amount_nanos=10**9,
                period=BudgetPeriod.DAY, timezone="UTC",
                webhook_url="http://127.0.0.1:1/hook",
            ),
        )  # fmt: skip
        await rotate_webhook_secret(made, saved.budget.id, None)
        yield made


async def opened(database: Database, secrets: Secrets, clock: SetClock) -> list[str]:
    """All that a holder of these keys can read; fails where something can't be read."""
    async with services_on(database, secrets, clock=clock) as services:
        async with database.read() as connection:
            providers = await stored_providers.all_providers(connection)
            budgets = await stored_budgets.enabled_budgets(connection)
        found = [str(stored_api_key(services, provider)) for provider in providers]
        found += [one for each in providers for one in extra_headers_of(services, each).values()]
        for budget in budgets:
            assert budget.webhook is not None
            found += signing_secrets(secrets, budget.webhook, clock())
    return found


def test_no_column_is_left_out() -> None:
    named = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_encrypted")
    }
    assert {f"{column.table.name}.{column.name}" for column in COLUMNS.values()} == named


async def test_all_of_it_opens_by_the_new_key_alone_and_nothing_else_changes(
    services: Services, clock: SetClock
) -> None:
    database = services.database
    before = await opened(database, Secrets([OLD]), clock)
    async with database.read() as connection:
        versions = [one.version for one in await stored_providers.all_providers(connection)]
    called: list[int] = []
    both = Secrets([NEW, OLD])
    done = await reseal_everything(
        database, both, on_batch=no_pause, finally_do=lambda: called.append(1)
    )
    assert (done.resealed, done.total, done.unreadable, called) == (6, 6, [], [1])
    after = await opened(database, Secrets([NEW]), clock)
    assert after == before
    assert len(after) == 6
    async with database.read() as connection:
        assert versions == [one.version for one in await stored_providers.all_providers(connection)]
    again = await reseal_everything(database, Secrets([NEW, OLD]), on_batch=no_pause)
    assert (again.resealed, again.total) == (0, 6)
    # Once, in the audit log: which key went and which one came, by what tells them apart.
    (noted,) = [one for one in await entries_of(services) if one.action == "rotateSecrets"]
    newest, former = both.key_ids
    assert (noted.before, noted.after) == ({"keyIds": [former]}, {"keyIds": [newest]})


async def test_nobody_seals_while_the_former_key_is_dropped(
    sqlite_database: Database, tmp_path: Path
) -> None:
    refused: list[str] = []

    def try_to_write() -> None:
        other = sqlite3.connect(tmp_path / "trunkline.db", timeout=0)
        with closing(other), pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("BEGIN IMMEDIATE")
        refused.append(str(caught.value))

    await reseal_everything(
        sqlite_database, Secrets([NEW]), on_batch=no_pause, finally_do=try_to_write
    )
    assert refused == ["database is locked"]


async def test_a_key_that_is_set_meanwhile_stays(
    services: Services, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set between the reading and the replacing, by a server that has the old key alone."""
    database = services.database
    transact = database.transact
    change = ProviderUpdate(id=1, api_key="sk-set-meanwhile-0123456789")

    async def after_the_change(*work: Any) -> Any:
        monkeypatch.setattr(database, "transact", transact)
        await update_provider(services, change)
        return await transact(*work)

    monkeypatch.setattr(database, "transact", after_the_change)
    done = await reseal_everything(database, Secrets([NEW, OLD]), on_batch=no_pause)
    assert done.resealed == 6  # One of them in the second pass, as it was set.
    assert "sk-set-meanwhile-0123456789" in await opened(database, Secrets([NEW]), clock)


async def test_what_no_key_opens_is_named_and_keeps_the_former_key(services: Services) -> None:
    database = services.database
    await update_provider(
        _with(services, Secrets([generate_secret_key()])),
        ProviderUpdate(id=2, api_key="sk-of-another-0123456789"),
    )
    called: list[int] = []
    done = await reseal_everything(
        database, Secrets([NEW, OLD]), on_batch=no_pause, finally_do=lambda: called.append(1)
    )
    assert [one.label for one in done.unreadable] == ["the API key of provider 'p1'"]
    assert (done.resealed, called) == (5, [])


async def test_what_is_lost_can_be_forgotten_and_webhooks_stay(
    services: Services, clock: SetClock
) -> None:
    database = services.database
    forgotten = await forget_unreadable(_with(services, Secrets([NEW])))
    assert {one.value.kind for one in forgotten} >= {
        SealedKind.API_KEY,
        SealedKind.EXTRA_HEADERS,
        SealedKind.WEBHOOK_SECRET,
    }
    (new_secret,) = [one.webhook_secret for one in forgotten if one.webhook_secret]
    async with database.read() as connection:
        assert [one.kind for one in await sealed_values(connection)] == [SealedKind.WEBHOOK_SECRET]
        (budget,) = await stored_budgets.enabled_budgets(connection)
    assert budget.webhook is not None
    assert budget.webhook.url == "http://127.0.0.1:1/hook"
    assert signing_secrets(Secrets([NEW]), budget.webhook, clock()) == [new_secret]


def _with(services: Services, secrets: Secrets) -> Services:
    return replace(services, secrets=secrets)
