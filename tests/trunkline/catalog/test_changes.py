"""Own models and overrides: every problem at once, nothing half done, told after the commit."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from db import models as store
from db.models import ModelRow
from db.overrides import OverrideRow, load_overrides
from db.provider_rows import ProviderRow
from db.vocabulary import ChangeKind, ModelCapability, ModelSource, PriceSource, ProviderKind
from trunkline.catalog.changes import (
    ModelUpdate,
    NewModel,
    create_model,
    delete_model,
    update_model,
)
from trunkline.catalog.price_overrides import DEAREST_PER_MILLION, PriceOverride
from trunkline.errors import ProblemCode, Refused
from trunkline.events import ModelChanged
from trunkline.failover.chains import NewChain, create_chain
from trunkline.failover.steps import StepInput
from trunkline.providers.changes import NewProvider, create_provider, delete_provider
from trunkline.services import Services

DOLLAR = 10**9


@pytest.fixture
async def provider(services: Services) -> ProviderRow:
    return await create_provider(
        services,
        NewProvider(
            slug="acme",
            name="Acme",
            kind=ProviderKind.OPENAI_COMPATIBLE,
            base_url="http://127.0.0.1:9/v1",
        ),
    )


async def own_model(services: Services, provider: ProviderRow, **fields: Any) -> ModelRow:
    given: dict[str, Any] = {"provider_id": provider.id, "wire_name": "own-1", **fields}
    return await create_model(services, NewModel(**given))


def problems(refused: pytest.ExceptionInfo[Refused]) -> set[tuple[str, tuple[str, ...] | None]]:
    return {(problem.code.value, problem.field) for problem in refused.value.problems}


async def overrides(services: Services, model: ModelRow) -> Sequence[OverrideRow]:
    async with services.database.read() as connection:
        return (await load_overrides(connection, [model.id])).get(model.id, [])


async def test_an_own_model_is_stored_as_given(services: Services, provider: ProviderRow) -> None:
    model = await own_model(
        services,
        provider,
        wire_name="  acme/Big-1:free ",
        name="Big One",
        description="Two\nlines",
        context_window=2**31 - 1,
        max_output_tokens=1,
        capabilities=[ModelCapability.VISION, ModelCapability.VISION],
        price_override=PriceOverride(input_per_million=0, output_per_million=DEAREST_PER_MILLION),
    )
    assert (model.wire_name, model.name) == ("acme/Big-1:free", "Big One")
    assert (model.source, model.version, model.enabled) == (ModelSource.CUSTOM, 1, True)
    assert model.capabilities == (ModelCapability.VISION,)
    assert model.pricing is not None
    assert (model.pricing.source, model.pricing.as_of) == (PriceSource.OVERRIDE, services.clock())
    assert [one.effective_from for one in await overrides(services, model)] == [services.clock()]


async def test_what_is_left_out_is_unknown(services: Services, provider: ProviderRow) -> None:
    model = await own_model(services, provider)
    assert (model.name, model.description, model.context_window) == ("own-1", None, None)
    assert (model.capabilities, model.pricing) == (None, None)


async def test_every_problem_of_a_new_model_comes_at_once(
    services: Services, provider: ProviderRow
) -> None:
    with pytest.raises(Refused) as refused:
        await own_model(
            services,
            provider,
            wire_name="nul\0",
            name="",
            description="\ud800",
            context_window=0,
            max_output_tokens=2**31,
            price_override=PriceOverride(
                input_per_million=-1,
                output_per_million=DEAREST_PER_MILLION + 1,
                cache_read_per_million=-1,
            ),
        )
    assert problems(refused) == {
        ("INVALID", ("wireName",)),
        ("INVALID", ("name",)),
        ("INVALID", ("description",)),
        ("INVALID", ("contextWindow",)),
        ("INVALID", ("maxOutputTokens",)),
        ("INVALID", ("priceOverride", "inputPerMillion")),
        ("INVALID", ("priceOverride", "outputPerMillion")),
        ("INVALID", ("priceOverride", "cacheReadPerMillion")),
    }
    async with services.database.read() as connection:
        assert await store.models_of_provider(connection, provider.id) == {}


@pytest.mark.parametrize("wire_name", ["", "   ", "a\nb", "a\tb", "x" * 201, "\x1b[31m"])
async def test_a_wire_name_is_one_printable_line(
    services: Services, provider: ProviderRow, wire_name: str
) -> None:
    with pytest.raises(Refused) as refused:
        await own_model(services, provider, wire_name=wire_name)
    assert problems(refused) == {("INVALID", ("wireName",))}


async def test_a_provider_that_is_not_there_is_reported_with_the_rest(
    services: Services, provider: ProviderRow
) -> None:
    with pytest.raises(Refused) as refused:
        await own_model(services, provider, provider_id=-1, context_window=0)
    assert problems(refused) == {
        ("NOT_FOUND", ("providerId",)),
        ("INVALID", ("contextWindow",)),
    }


async def test_a_taken_name_is_refused_also_in_a_race(
    services: Services, provider: ProviderRow
) -> None:
    outcomes = await asyncio.gather(
        *(own_model(services, provider) for _ in range(5)), return_exceptions=True
    )
    refusals = [one for one in outcomes if isinstance(one, Refused)]
    assert len(refusals) == 4
    assert {one.problems[0].code for one in refusals} == {ProblemCode.TAKEN}


async def test_an_update_changes_what_is_given_and_counts_once(
    services: Services, provider: ProviderRow
) -> None:
    model = await own_model(services, provider)
    renamed = await update_model(services, ModelUpdate(id=model.id, name="New", enabled=False))
    assert (renamed.name, renamed.enabled, renamed.version) == ("New", False, 2)
    same = await update_model(services, ModelUpdate(id=model.id, name="New", expected_version=2))
    assert same == renamed


async def test_null_is_invalid_except_for_the_override(
    services: Services, provider: ProviderRow
) -> None:
    model = await own_model(services, provider)
    with pytest.raises(Refused) as refused:
        await update_model(services, ModelUpdate(id=model.id, name=None, enabled=None))
    assert problems(refused) == {("INVALID", ("name",)), ("INVALID", ("enabled",))}
    assert refused.value.current == model
    assert await update_model(services, ModelUpdate(id=model.id, price_override=None)) == model


async def test_an_override_counts_from_when_it_was_set_until_it_ends(
    services: Services, provider: ProviderRow, clock: Any
) -> None:
    model = await own_model(services, provider)
    override = PriceOverride(
        input_per_million=DOLLAR, output_per_million=2 * DOLLAR, cache_read_per_million=5
    )
    clock.advance(hours=1)
    begun = services.clock()
    priced = await update_model(services, ModelUpdate(id=model.id, price_override=override))
    assert priced.pricing is not None
    assert (priced.pricing.cache_read_per_million, priced.pricing.as_of) == (5, begun)
    # Set again as it is: nothing changed, and it began when it began.
    clock.advance(hours=1)
    assert await update_model(services, ModelUpdate(id=model.id, price_override=override)) == priced
    ended = await update_model(services, ModelUpdate(id=model.id, price_override=None))
    assert (ended.pricing, ended.version) == (None, 3)
    assert [
        (one.effective_from - begun, one.input_per_million)
        for one in await overrides(services, model)
    ] == [(timedelta(), DOLLAR), (timedelta(hours=1), None)]


async def test_where_an_override_ends_the_catalogs_price_is_back(services: Services) -> None:
    openai = await create_provider(
        services, NewProvider(slug="openai", name="OpenAI", kind=ProviderKind.OPENAI)
    )
    async with services.database.read() as connection:
        model = (await store.models_of_provider(connection, openai.id))["gpt-4o"]
    override = PriceOverride(input_per_million=1, output_per_million=1)
    await update_model(services, ModelUpdate(id=model.id, price_override=override))
    ended = await update_model(services, ModelUpdate(id=model.id, price_override=None))
    assert ended.pricing == model.pricing


async def test_of_two_who_saw_the_same_version_one_wins(
    services: Services, provider: ProviderRow
) -> None:
    model = await own_model(services, provider)
    outcomes = await asyncio.gather(
        *(
            update_model(services, ModelUpdate(id=model.id, expected_version=1, name=name))
            for name in ("First", "Second")
        ),
        return_exceptions=True,
    )
    [won] = [one for one in outcomes if isinstance(one, ModelRow)]
    [lost] = [one for one in outcomes if isinstance(one, Refused)]
    assert lost.problems[0].code is ProblemCode.VERSION_CONFLICT
    assert lost.current == won


async def test_an_own_model_is_deleted_and_its_name_is_free(
    services: Services, provider: ProviderRow
) -> None:
    model = await own_model(services, provider)
    await delete_model(services, model.id, 1)
    with pytest.raises(Refused) as refused:
        await delete_model(services, model.id, None)
    assert problems(refused) == {("NOT_FOUND", ("id",))}
    assert (await own_model(services, provider)).id != model.id


async def test_what_a_chain_uses_stays_and_the_chains_are_named(
    services: Services, provider: ProviderRow
) -> None:
    model = await own_model(services, provider)
    chain = await create_chain(
        services, NewChain(name="Main", steps=(StepInput(model_id=model.id),))
    )
    with pytest.raises(Refused) as refused:
        await delete_model(services, model.id, None)
    assert problems(refused) == {("IN_USE", ("id",))}
    assert refused.value.current == model
    assert list(refused.value.used_by) == [chain]


async def test_the_models_of_a_deleted_provider_are_gone(
    services: Services, provider: ProviderRow
) -> None:
    model = await own_model(services, provider)
    await delete_provider(services, provider.id, None)
    with pytest.raises(Refused) as refused:
        await update_model(services, ModelUpdate(id=model.id, name="New"))
    assert problems(refused) == {("NOT_FOUND", ("id",))}


async def test_each_change_is_told_once_and_a_refusal_never(
    services: Services, provider: ProviderRow
) -> None:
    with services.events.subscribe(ModelChanged) as told:
        model = await own_model(services, provider)
        assert await anext(told) == ModelChanged(ChangeKind.CREATED, model.id, provider.id, "acme")
        await update_model(services, ModelUpdate(id=model.id, name="New"))
        assert await anext(told) == ModelChanged(ChangeKind.UPDATED, model.id, provider.id, "acme")
        await update_model(services, ModelUpdate(id=model.id, name="New"))
        with pytest.raises(Refused):
            await update_model(services, ModelUpdate(id=model.id, name=""))
        await delete_model(services, model.id, None)
        assert await anext(told) == ModelChanged(ChangeKind.DELETED, model.id, provider.id, "acme")
