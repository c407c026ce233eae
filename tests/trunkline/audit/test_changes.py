"""What changes of configuration leave in the audit log, with them or not at all."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from db.audit_log import EVERYTHING, insert_audit_entries
from db.engine import Connection, Database
from db.providers import all_providers
from db.tables import audit_entries
from db.vocabulary import (
    AccessScope,
    AuditActorKind,
    AuditObjectKind,
    BudgetPeriod,
    ProviderKind,
)
from server.wiring import services_on
from tests.audit_entries import entries_of
from tests.conftest import SECRET_KEY, SetClock
from trunkline.access.changes import create_token, revoke_token, rotate_token
from trunkline.access.inputs import NewAccessToken
from trunkline.audit.changes import MOST_BYTES, Shown, created, updated
from trunkline.audit.exporting import export_audit
from trunkline.budgets.changes import create_budget, update_budget
from trunkline.budgets.inputs import BudgetScope, BudgetUpdate, NewBudget
from trunkline.budgets.webhook_changes import rotate_webhook_secret
from trunkline.catalog.changes import ModelUpdate, NewModel, create_model, update_model
from trunkline.catalog.price_overrides import PriceOverride
from trunkline.catalog.seeding import refresh_catalog
from trunkline.errors import Refused
from trunkline.events import ProviderChanged
from trunkline.failover.chains import (
    ChainUpdate,
    NewChain,
    create_chain,
    delete_chain,
    update_chain,
)
from trunkline.failover.steps import StepInput
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    delete_provider,
    update_provider,
)
from trunkline.providers.extra_headers import ExtraHeader
from trunkline.providers.seeding import seed_providers
from trunkline.secrets import Secrets
from trunkline.services import Services

ROOT = Path(__file__).parents[3]
OWN = NewProvider(
    slug="own", name="Own", kind=ProviderKind.OPENAI_COMPATIBLE, base_url="https://a.example/v1"
)
WRITTEN_BY = "trunkline.audit.changes"
NO_CONFIGURATION = {
    "trunkline/access/known.py": "when a token was last used",
    "trunkline/access/sessions.py": "that a session is over, or when it was last used",
    "trunkline/budgets/alerting.py": "that spending reached a threshold",
    "trunkline/budgets/sending.py": "that a delivery is under way; its end is a change",
    "trunkline/gateway/accounting.py": "what requests used",
    "trunkline/gateway/opening.py": "an agent's name, with its first request",
    "trunkline/processes/following.py": "counters of processes that are gone",
    "trunkline/providers/testing.py": "how a provider did in a test",
    "trunkline/usage/group_commit.py": "nothing of its own: what recorders hand it",
    "trunkline/usage/recording.py": "usage, and the models that it names first",
    "trunkline/usage/retention.py": "events that are older than the settings keep",
    "trunkline/usage/verifying.py": "totals made what the events sum up to",
}
"""Who commits something without a word in the audit log, and what. Whoever is not in here goes
through `Services.change`, or leaves entries by `leave_entries`.
"""


@pytest.fixture
async def services(sqlite_database: Database, clock: SetClock) -> Any:
    async with services_on(
        sqlite_database, Secrets([SECRET_KEY]), clock=clock, private_networks="allow-webhooks"
    ) as made:
        yield made


async def test_a_creation_shows_all_an_update_what_differs_a_deletion_all(
    services: Services, clock: SetClock
) -> None:
    own = await create_provider(services, OWN)
    clock.advance(seconds=1.000001)
    await update_provider(services, ProviderUpdate(id=own.id, name="Ours", enabled=True))
    await delete_provider(services, own.id, None)
    made, renamed, gone = await entries_of(services)
    whole = {
        "slug": "own", "name": "Own", "kind": "OPENAI_COMPATIBLE",
        "baseUrl": "https://a.example/v1", "enabled": True, "apiKey": None, "extraHeaderNames": [],
    }  # fmt: skip
    assert (made.action, made.before, made.after) == ("createProvider", None, whole)
    assert (renamed.before, renamed.after) == ({"name": "Own"}, {"name": "Ours"})
    assert (gone.before, gone.after) == (whole | {"name": "Ours"}, None)
    every = {(one.object_kind, one.object_id, one.object_label) for one in (made, renamed, gone)}
    assert every == {(AuditObjectKind.PROVIDER, own.id, "own")}
    assert (renamed.at, renamed.actor.kind) == (clock.now, AuditActorKind.SYSTEM)


async def test_what_changes_nothing_leaves_nothing(services: Services) -> None:
    own = await create_provider(services, OWN)
    model = await create_model(services, NewModel(provider_id=own.id, wire_name="m"))
    chain = await create_chain(services, NewChain(name="c", steps=[StepInput(model_id=model.id)]))
    before = len(await entries_of(services))
    await update_provider(services, ProviderUpdate(id=own.id, name="Own", enabled=True))
    await update_model(services, ModelUpdate(id=model.id, enabled=True, price_override=None))
    await update_chain(services, ChainUpdate(id=chain.id, name="c"))
    for refused in (
        create_provider(services, OWN),
        update_provider(services, ProviderUpdate(id=own.id, name="New", base_url="nonsense")),
        delete_provider(services, own.id, None),
        update_chain(services, ChainUpdate(id=chain.id, expected_version=99, name="d")),
        revoke_token(services, 1),
    ):
        with pytest.raises(Refused):
            await refused
    assert len(await entries_of(services)) == before == 3


@pytest.mark.parametrize("fails", ["the entry", "what comes after it"])
async def test_a_change_and_its_entry_are_written_together_or_not_at_all(
    database: Database, clock: SetClock, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    async with services_on(database, Secrets([SECRET_KEY]), clock=clock) as services:
        count = services.announcer.count

        async def broken_insert(connection: Connection, given: Any) -> None:
            await insert_audit_entries(connection, given)
            raise OSError("the disk is full")

        async def broken_count(connection: Connection, events: Any) -> Any:
            await count(connection, events)
            raise OSError("the disk is full")

        with monkeypatch.context() as broken, services.events.subscribe(ProviderChanged) as told:
            if fails == "the entry":
                broken.setattr(f"{WRITTEN_BY}.insert_audit_entries", broken_insert)
            else:
                broken.setattr(services.announcer, "count", broken_count)
            with pytest.raises(OSError, match="full"):
                await create_provider(services, OWN)
            assert not told._pending
        async with database.read() as connection:
            assert await all_providers(connection) == []
        assert await entries_of(services) == []
        await create_provider(services, OWN)
        assert [one.action for one in await entries_of(services)] == ["createProvider"]


async def test_no_secret_is_in_the_log_and_each_that_was_replaced_is_noted(
    services: Services, clock: SetClock
) -> None:
    """Also where what may be shown of the new one looks like the old one."""
    planted = ["sk-ant-planted-one-4f2A", "sk-ant-planted-two-4f2A", "planted-header-value-1",
               "planted-header-value-2", "T0PLANTED/B0PLANTED", "plantedquery"]  # fmt: skip
    header = ExtraHeader("X-Org", planted[2])
    own = await create_provider(services, replace(OWN, api_key=planted[0], extra_headers=[header]))
    clock.advance(minutes=1)
    await update_provider(services, ProviderUpdate(id=own.id, api_key=planted[1]))
    header = ExtraHeader("X-Org", planted[3])
    await update_provider(services, ProviderUpdate(id=own.id, extra_headers=[header]))
    hook = f"https://hooks.example.com:8443/{planted[4]}?token={planted[5]}"
    saved = await create_budget(
        services,
        NewBudget(
            name="b", scope=BudgetScope(everything=True), amount_nanos=1, period=BudgetPeriod.DAY,
            timezone="UTC", webhook_url=hook,
        ),
    )  # fmt: skip
    rotated = await rotate_webhook_secret(services, saved.budget.id, None)
    await update_budget(services, BudgetUpdate(id=saved.budget.id, webhook_url=f"{hook}&a=dquery"))
    token = await create_token(services, NewAccessToken(name="t", scopes=[AccessScope.READ]))
    turned = await rotate_token(services, token.token.id, 60)
    await revoke_token(services, token.token.id)
    found = await entries_of(services)
    key, headers = found[1], found[2]
    masks = {"masked": "sk-ant-…4f2A"}
    assert [one["apiKey"] for one in (key.before or {}, key.after or {})] == [
        masks | {"setAt": "2026-11-23T15:00:00Z"},
        masks | {"setAt": "2026-11-23T15:01:00Z"},
    ]
    assert headers.before == headers.after == {"extraHeaderNames": ["X-Org"]}
    assert [one.action for one in found[3:6]] == [
        "createBudget", "rotateBudgetWebhookSecret", "updateBudget"
    ]  # fmt: skip
    webhook: Any = (found[3].after or {})["webhook"]
    assert webhook["url"] == "https://hooks.example.com:8443/…uery"
    assert (found[4].after or {}).keys() == (found[5].after or {}).keys() == {"webhook"}
    assert [(one.before or {}).get("masked") for one in found[6:]] == [
        None, f"tl_…{token.text[-4:]}", f"tl_…{turned.text[-4:]}"
    ]  # fmt: skip
    secrets = [*planted, token.text, turned.text, saved.webhook_secret, rotated.webhook_secret]
    exported = b"".join([part.body async for part in export_audit(services.database, EVERYTHING)])
    async with services.database.read() as connection:
        stored = "\n".join(map(str, await connection.execute(select(audit_entries))))
    for secret in secrets:
        assert secret
        assert secret not in stored
        assert secret.encode() not in exported
    assert "sk-ant-…4f2A".encode() in exported


async def test_prices_and_steps_are_shown_as_the_api_shows_them(services: Services) -> None:
    own = await create_provider(services, OWN)
    model = await create_model(services, NewModel(provider_id=own.id, wire_name="m/1"))
    price = PriceOverride(input_per_million=2_500_000_000, output_per_million=10**10)
    await update_model(services, ModelUpdate(id=model.id, price_override=price))
    chain = await create_chain(services, NewChain(name="c", steps=[StepInput(model_id=model.id)]))
    await delete_chain(services, chain.id, None)
    _, _, priced, made, gone = await entries_of(services)
    assert priced.object_label == "own/m/1"
    assert priced.before == {"pricing": None}
    assert priced.after == {
        "pricing": {
            "inputPerMillion": "2.5", "outputPerMillion": "10", "cacheReadPerMillion": None,
            "cacheWritePerMillion": None, "source": "OVERRIDE",
        }
    }  # fmt: skip
    assert made.after == gone.before
    steps: Any = (made.after or {})["steps"]
    (step,) = steps
    assert (step["model"], step["maxRetries"]) == ("own/m/1", 2)


async def test_what_trunkline_does_of_itself_is_entered_as_its_own(services: Services) -> None:
    database, catalog, clock = services.database, services.catalog, services.clock
    assert await seed_providers(database, catalog, clock)
    assert await refresh_catalog(database, catalog, clock)
    assert not await refresh_catalog(database, catalog, clock)
    found = await entries_of(services)
    assert [one.action for one in found] == ["seedProviders"] * 4 + ["refreshCatalog"]
    assert {one.actor.kind for one in found} == {AuditActorKind.SYSTEM}
    assert found[-1].before == {"edition": None}
    assert "2026-11-23" in str(found[-1].after)


def test_an_entry_is_bounded_whatever_the_object_holds() -> None:
    fields: dict[str, object] = {"name": "n", "agents": ["ä" * 200] * 400, "text": "x" * 30_000}
    shown = Shown(AuditObjectKind.ACCESS_TOKEN, 1, "t", fields)
    (change,) = created(shown)
    assert change.after is not None
    assert len(orjson.dumps(change.after)) <= MOST_BYTES + 1_000
    assert change.after["name"] == "n"
    assert change.after["text"] == "x" * 30_000
    assert "too long" in str(change.after["agents"])
    assert updated(shown, shown) == ()


def test_whoever_commits_leaves_an_entry_or_is_listed() -> None:
    """Every transaction of the work is a change of configuration, or says here what it is."""
    silent = set()
    for path in (ROOT / "trunkline").rglob("*.py"):
        text = path.read_text()
        if re.search(r"\.(commit|transact)\(", text) and "leave_entries" not in text:
            silent.add(str(path.relative_to(ROOT)))
    assert silent == NO_CONFIGURATION.keys()
