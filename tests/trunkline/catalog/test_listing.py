"""`syncModels` against a server that lists its models over real HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from db import models as store
from db.models import ModelRow, NewModelRow
from db.provider_rows import ConnectionTestRow, ProviderRow
from db.vocabulary import (
    ChangeKind,
    ConnectionTestStatus,
    ModelSource,
    PriceSource,
    ProviderKind,
)
from tests.audit_entries import entries_of
from trunkline.catalog.changes import ModelUpdate, NewModel, create_model, update_model
from trunkline.catalog.listing import sync_models
from trunkline.errors import ProblemCode, Refused
from trunkline.events import ModelChanged
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    update_provider,
)
from trunkline.services import Services


@dataclass
class Lister:
    """Speaks OpenAI's `GET /models`, with what a test puts on its list."""

    base_url: str = ""
    status: int = 200
    listed: list[dict[str, object]] = field(default_factory=list)
    before_answer: Callable[[], Awaitable[object]] | None = None

    def lists(self, *names: str, **facts: object) -> None:
        self.listed = [{"id": name, "object": "model", **facts} for name in names]

    async def answer(self, _request: web.Request) -> web.Response:
        if self.before_answer is not None:
            await self.before_answer()
        return web.json_response({"object": "list", "data": self.listed}, status=self.status)


@pytest.fixture
async def lister() -> AsyncIterator[Lister]:
    lister = Lister()
    app = web.Application()
    app.router.add_get("/v1/models", lister.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    lister.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield lister
    await runner.cleanup()


async def provider_at(services: Services, lister: Lister, slug: str = "acme") -> ProviderRow:
    return await create_provider(
        services,
        NewProvider(
            slug=slug,
            name="Acme",
            kind=ProviderKind.OPENAI_COMPATIBLE,
            base_url=lister.base_url,
        ),
    )


async def models_of(services: Services, provider: ProviderRow) -> dict[str, ModelRow]:
    async with services.database.read() as connection:
        return dict(await store.models_of_provider(connection, provider.id))


async def test_what_is_listed_is_added_as_discovered(services: Services, lister: Lister) -> None:
    provider = await provider_at(services, lister)
    lister.lists("a", "b", "a", context_length=4_096)
    synced = await sync_models(services, provider.id)
    assert (synced.added, synced.deprecated) == (2, 0)
    assert (synced.connection_test.ok, synced.connection_test.model_count) == (True, 2)
    assert (synced.provider.model_count, synced.provider.version) == (2, 1)
    found = await models_of(services, provider)
    assert set(found) == {"a", "b"}
    one = found["a"]
    assert (one.source, one.context_window) == (ModelSource.DISCOVERED, 4_096)
    assert (one.pricing, one.capabilities) == (None, None)
    again = await sync_models(services, provider.id)
    assert (again.added, again.deprecated) == (0, 0)


async def test_what_is_gone_is_deprecated_until_it_is_back(
    services: Services, lister: Lister
) -> None:
    provider = await provider_at(services, lister)
    lister.lists("stays", "goes")
    await sync_models(services, provider.id)
    before = (await models_of(services, provider))["goes"]
    await update_model(services, ModelUpdate(id=before.id, name="Ours", enabled=False))
    lister.lists("stays")
    assert (await sync_models(services, provider.id)).deprecated == 1
    gone = (await models_of(services, provider))["goes"]
    assert (gone.id, gone.deprecated, gone.version) == (before.id, True, 2)
    lister.lists("stays", "goes")
    back = await sync_models(services, provider.id)
    assert (back.added, back.deprecated) == (0, 0)
    returned = (await models_of(services, provider))["goes"]
    assert (returned.deprecated, returned.name, returned.enabled) == (False, "Ours", False)
    await sync_models(services, provider.id)  # Which finds everything as it is.
    entries = [one for one in await entries_of(services) if one.action == "syncModels"]
    assert {one.object_label for one in entries} == {"acme"}
    assert [one.after for one in entries] == [
        {"modelsAdded": ["goes", "stays"]},
        {"modelsDeprecated": ["goes"]},
        {"modelsUpdated": ["goes"]},
    ]


async def test_back_on_the_list_and_learned_about_at_once(
    services: Services, lister: Lister
) -> None:
    provider = await provider_at(services, lister)
    lister.lists("one")
    await sync_models(services, provider.id)
    lister.lists()
    await sync_models(services, provider.id)
    lister.lists("one", context_length=8_192)
    await sync_models(services, provider.id)
    one = (await models_of(services, provider))["one"]
    assert (one.deprecated, one.context_window, one.version) == (False, 8_192, 1)


async def test_an_operators_own_model_needs_no_list(services: Services, lister: Lister) -> None:
    provider = await provider_at(services, lister)
    own = await create_model(services, NewModel(provider_id=provider.id, wire_name="own"))
    lister.lists("other")
    assert (await sync_models(services, provider.id)).deprecated == 0
    lister.lists("other", "own", context_length=5)
    await sync_models(services, provider.id)
    assert (await models_of(services, provider))["own"] == own


async def test_what_the_price_data_knows_is_priced(services: Services, lister: Lister) -> None:
    provider = await provider_at(services, lister, slug="groq")
    lister.lists("llama-3.3-70b-versatile", "meta-llama/llama-guard-9", "gemma2-9b-it-2026-01-01")
    synced = await sync_models(services, provider.id)
    assert synced.deprecated > 10
    found = await models_of(services, provider)
    known, unknown = found["llama-3.3-70b-versatile"], found["meta-llama/llama-guard-9"]
    assert known.source is ModelSource.CATALOG
    assert known.pricing is not None
    assert (unknown.source, unknown.pricing) == (ModelSource.DISCOVERED, None)


async def test_a_listed_edition_keeps_the_name_without_its_date(
    services: Services, lister: Lister
) -> None:
    provider = await provider_at(services, lister)

    async def seed() -> None:
        rows = [
            NewModelRow(wire_name=name, name=name, source=ModelSource.CATALOG)
            for name in ("claude-sonnet-4-5", "claude-3-5-haiku-latest", "claude-2")
        ]
        await services.database.transact(
            lambda connection: store.insert_models(
                connection, provider.id, rows, now=services.clock()
            )
        )

    await seed()
    lister.lists("claude-sonnet-4-5-20250929", "claude-3-5-haiku-20241022")
    assert (await sync_models(services, provider.id)).deprecated == 1
    found = await models_of(services, provider)
    assert {name for name, model in found.items() if model.deprecated} == {"claude-2"}


@pytest.mark.parametrize("alias", ["good-model", "good-model-latest"])
async def test_what_is_served_by_a_listed_edition_is_back_with_it(
    services: Services, lister: Lister, alias: str
) -> None:
    provider = await provider_at(services, lister)
    lister.lists("good-model-2025-06-01", alias)
    await sync_models(services, provider.id)
    lister.lists("another")
    assert (await sync_models(services, provider.id)).deprecated == 2
    lister.lists("good-model-2025-06-01")
    await sync_models(services, provider.id)
    found = await models_of(services, provider)
    assert {name for name, model in found.items() if model.deprecated} == {"another"}


async def test_ollamas_models_are_free(services: Services) -> None:
    provider = await create_provider(
        services, NewProvider(slug="ollama", name="Ollama", kind=ProviderKind.OLLAMA)
    )
    model = await create_model(services, NewModel(provider_id=provider.id, wire_name="llama3.2"))
    assert model.pricing is not None
    assert (model.pricing.source, model.pricing.input_per_million) == (PriceSource.FREE, 0)


async def test_a_failed_answer_changes_nothing_and_says_why(
    services: Services, lister: Lister
) -> None:
    provider = await provider_at(services, lister)
    lister.lists("one")
    await sync_models(services, provider.id)
    before = await models_of(services, provider)
    lister.status = 500
    with (
        services.events.subscribe(ModelChanged) as told,
        pytest.raises(Refused) as refused,
    ):
        await sync_models(services, provider.id)
    assert [problem.code for problem in refused.value.problems] == [ProblemCode.UPSTREAM_FAILED]
    assert isinstance(refused.value.detail, ConnectionTestRow)
    assert refused.value.detail.status is ConnectionTestStatus.UPSTREAM_ERROR
    assert await models_of(services, provider) == before
    assert not told._pending


async def test_the_list_of_another_host_is_not_applied(services: Services, lister: Lister) -> None:
    provider = await provider_at(services, lister)
    lister.lists("one")

    async def move() -> None:
        await update_provider(
            services, ProviderUpdate(id=provider.id, base_url="http://127.0.0.1:9/elsewhere")
        )

    lister.before_answer = move
    with pytest.raises(Refused, match="sync again") as refused:
        await sync_models(services, provider.id)
    assert refused.value.problems[0].code is ProblemCode.UPSTREAM_FAILED
    assert await models_of(services, provider) == {}


async def test_a_provider_that_is_not_there_is_not_asked(services: Services) -> None:
    with pytest.raises(Refused) as refused:
        await sync_models(services, -1)
    assert refused.value.problems[0].code is ProblemCode.NOT_FOUND
    assert refused.value.problems[0].field == ("providerId",)


async def test_each_model_that_changed_is_told(services: Services, lister: Lister) -> None:
    provider = await provider_at(services, lister)
    lister.lists("goes")
    await sync_models(services, provider.id)
    lister.lists("new")
    with services.events.subscribe(ModelChanged) as told:
        await sync_models(services, provider.id)
        first, second = await anext(told), await anext(told)
    found = await models_of(services, provider)
    assert {first, second} == {
        ModelChanged(ChangeKind.CREATED, found["new"].id, provider.id, "acme"),
        ModelChanged(ChangeKind.UPDATED, found["goes"].id, provider.id, "acme"),
    }
