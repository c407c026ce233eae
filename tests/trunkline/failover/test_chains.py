"""Chains under change: every problem at once, what is left out stays, races break nothing."""

import asyncio

import pytest

from db import chains as stored_chains
from db import models as stored_models
from db.chains import ChainRow
from db.models import ModelRow
from db.paging import PageRequest
from db.vocabulary import ChangeKind, ProviderKind
from trunkline.catalog.changes import NewModel, create_model, delete_model
from trunkline.changes import UNSET
from trunkline.errors import ProblemCode, Refused
from trunkline.events import FailoverChainChanged
from trunkline.failover.chains import (
    ChainUpdate,
    NewChain,
    create_chain,
    delete_chain,
    reorder_chain,
    slug_of,
    update_chain,
)
from trunkline.failover.steps import MOST_STEPS, StepInput
from trunkline.providers.changes import NewProvider, create_provider, delete_provider
from trunkline.services import Services


async def make_models(services: Services, count: int, slug: str = "own") -> list[ModelRow]:
    provider = await create_provider(
        services,
        NewProvider(
            slug=slug,
            name=slug,
            kind=ProviderKind.OPENAI_COMPATIBLE,
            base_url="http://127.0.0.1:9",
        ),
    )
    return [
        await create_model(services, NewModel(provider_id=provider.id, wire_name=f"model-{place}"))
        for place in range(count)
    ]


async def make_chain(services: Services, models: list[ModelRow]) -> ChainRow:
    return await create_chain(
        services,
        NewChain(name="Chain", steps=[StepInput(model_id=model.id) for model in models]),
    )


def problems(refusal: Refused) -> set[tuple[str, ...]]:
    return {(problem.code, *(problem.field or ())) for problem in refusal.problems}


async def test_defaults_are_two_retries_300_and_30_seconds(services: Services) -> None:
    chain = await make_chain(services, await make_models(services, 1))
    step = chain.steps[0]
    assert (step.max_retries, step.timeout_seconds, step.first_token_timeout_seconds) == (
        2,
        300,
        30,
    )
    assert chain.slug == "chain"


async def test_chains_made_at_once_without_slugs_all_get_their_own(services: Services) -> None:
    models = await make_models(services, 1)
    made = await asyncio.gather(*(make_chain(services, models) for _ in range(8)))
    assert {chain.slug for chain in made} == {"chain", *(f"chain-{one}" for one in range(2, 9))}


async def test_an_edit_keeps_what_a_step_leaves_out(services: Services) -> None:
    models = await make_models(services, 3)
    chain = await make_chain(services, models[:2])
    first, second = chain.steps
    changed = await update_chain(
        services,
        ChainUpdate(
            id=chain.id,
            steps=[
                StepInput(id=second.id, timeout_seconds=0.1),
                StepInput(model_id=models[2].id, max_retries=10),
                StepInput(id=first.id, max_retries=0),
            ],
        ),
    )
    assert [step.id for step in changed.steps][::2] == [second.id, first.id]
    assert [step.model_id for step in changed.steps] == [models[1].id, models[2].id, models[0].id]
    assert [step.max_retries for step in changed.steps] == [2, 10, 0]
    assert [step.timeout_seconds for step in changed.steps] == [0.1, 300, 300]
    assert changed.version == chain.version + 1


async def test_two_steps_may_change_models_with_each_other(services: Services) -> None:
    models = await make_models(services, 2)
    chain = await make_chain(services, models)
    first, second = chain.steps
    changed = await update_chain(
        services,
        ChainUpdate(
            id=chain.id,
            steps=[
                StepInput(id=first.id, model_id=second.model_id),
                StepInput(id=second.id, model_id=first.model_id),
            ],
        ),
    )
    assert [step.model_id for step in changed.steps] == [second.model_id, first.model_id]


async def test_an_edit_that_changes_nothing_counts_nothing(services: Services) -> None:
    chain = await make_chain(services, await make_models(services, 2))
    with services.events.subscribe(FailoverChainChanged) as heard:
        same = await update_chain(
            services,
            ChainUpdate(
                id=chain.id,
                name=chain.name,
                steps=[StepInput(id=step.id) for step in chain.steps],
            ),
        )
        await reorder_chain(services, chain.id, None, [step.id for step in chain.steps])
        assert same.version == chain.version
        await update_chain(services, ChainUpdate(id=chain.id, description="x"))
        event = await asyncio.wait_for(anext(heard), 30)
    assert event == FailoverChainChanged(ChangeKind.UPDATED, chain.id, chain.slug)


async def test_a_description_is_cleared_by_null_and_kept_when_left_out(services: Services) -> None:
    chain = await make_chain(services, await make_models(services, 1))
    described = await update_chain(services, ChainUpdate(id=chain.id, description="why"))
    kept = await update_chain(services, ChainUpdate(id=chain.id, name="Other"))
    cleared = await update_chain(services, ChainUpdate(id=chain.id, description=None))
    assert [described.description, kept.description, cleared.description] == ["why", "why", None]


async def test_every_problem_of_an_edit_comes_at_once_and_changes_nothing(
    services: Services,
) -> None:
    models = await make_models(services, 2)
    chain = await make_chain(services, models[:1])
    with pytest.raises(Refused) as caught:
        await update_chain(
            services,
            ChainUpdate(
                id=chain.id,
                name=None,
                enabled=None,
                steps=[
                    StepInput(id=999, max_retries=-1),
                    StepInput(model_id=models[1].id, timeout_seconds=float("nan")),
                    StepInput(model_id=models[1].id, first_token_timeout_seconds=3_601),
                    StepInput(id=chain.steps[0].id, max_retries=None),
                    StepInput(id=chain.steps[0].id, model_id=None),
                    StepInput(model_id=12_345),
                    StepInput(),
                ],
            ),
        )
    assert problems(caught.value) == {
        (ProblemCode.INVALID, "name"),
        (ProblemCode.INVALID, "enabled"),
        (ProblemCode.NOT_FOUND, "steps", "0", "id"),
        (ProblemCode.INVALID, "steps", "0", "maxRetries"),
        (ProblemCode.INVALID, "steps", "1", "timeoutSeconds"),
        (ProblemCode.DUPLICATE, "steps", "2", "modelId"),
        (ProblemCode.INVALID, "steps", "2", "firstTokenTimeoutSeconds"),
        (ProblemCode.INVALID, "steps", "3", "maxRetries"),
        (ProblemCode.DUPLICATE, "steps", "4", "id"),
        (ProblemCode.INVALID, "steps", "4", "modelId"),
        (ProblemCode.NOT_FOUND, "steps", "5", "modelId"),
        (ProblemCode.INVALID, "steps", "6", "modelId"),
    }
    async with services.database.read() as connection:
        standing = await stored_chains.load_chains(connection, [chain.id])
    assert standing[chain.id] == chain == caught.value.current


@pytest.mark.parametrize(("count", "code"), [(0, "TOO_FEW"), (MOST_STEPS + 1, "TOO_MANY")])
async def test_a_chain_has_one_to_twenty_steps(services: Services, count: int, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await create_chain(
            services,
            NewChain(name="x", steps=[StepInput(model_id=place + 1) for place in range(count)]),
        )
    assert problems(caught.value) == {(ProblemCode(code), "steps")}


async def test_a_slug_is_made_of_the_name_and_never_twice(services: Services) -> None:
    models = await make_models(services, 1)
    made = [(await make_chain(services, models)).slug for _ in range(3)]
    assert made == ["chain", "chain-2", "chain-3"]
    with pytest.raises(Refused) as caught:
        await create_chain(
            services,
            NewChain(name="x", slug="chain", steps=[StepInput(model_id=models[0].id)]),
        )
    assert problems(caught.value) == {(ProblemCode.TAKEN, "slug")}


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Größe & Preis", "grosse-preis"),
        ("  Ünïcode  ", "unicode"),
        ("日本語", "chain"),
        ("a" * 300, "a" * 60),
    ],
)
def test_names_become_slugs(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.slow
async def test_two_hundred_unconditional_updates_all_count(services: Services) -> None:
    chain = await make_chain(services, await make_models(services, 1))
    await asyncio.gather(
        *(
            update_chain(services, ChainUpdate(id=chain.id, name=f"name {number}"))
            for number in range(200)
        )
    )
    async with services.database.read() as connection:
        standing = (await stored_chains.load_chains(connection, [chain.id]))[chain.id]
    assert standing.version == chain.version + 200


async def test_of_two_that_expect_the_same_version_one_wins(services: Services) -> None:
    chain = await make_chain(services, await make_models(services, 1))
    version = chain.version
    for number in range(20):
        outcomes = await asyncio.gather(
            *(
                update_chain(
                    services,
                    ChainUpdate(id=chain.id, expected_version=version, name=f"{who} {number}"),
                )
                for who in ("one", "two")
            ),
            return_exceptions=True,
        )
        won = [outcome for outcome in outcomes if isinstance(outcome, ChainRow)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert (len(won), len(lost)) == (1, 1)
        assert problems(lost[0]) == {(ProblemCode.VERSION_CONFLICT, "expectedVersion")}
        assert lost[0].current == won[0]
        version = won[0].version


@pytest.mark.parametrize("whole_provider", [False, True])
async def test_deleting_a_model_while_a_chain_takes_it_leaves_no_broken_chain(
    services: Services, whole_provider: bool
) -> None:
    for round_ in range(15):
        model = (await make_models(services, 1, f"round-{round_}"))[0]
        deletion = (
            delete_provider(services, model.provider_id, None)
            if whole_provider
            else delete_model(services, model.id, None)
        )
        chain, deleted = await asyncio.gather(
            make_chain(services, [model]), deletion, return_exceptions=True
        )
        # One of them saw the other: both can't have happened.
        assert isinstance(chain, Refused) != isinstance(deleted, Refused), (chain, deleted)
        if isinstance(deleted, Refused):
            assert deleted.problems[0].code is ProblemCode.IN_USE
            assert [used.id for used in deleted.used_by] == [chain.id]  # type: ignore[attr-defined, union-attr]  # rows of chains
            assert isinstance(chain, ChainRow)
            await delete_chain(services, chain.id, None)
    async with services.database.read() as connection:
        page = await stored_chains.page_chains(connection, PageRequest(first=100))
        for one in page.nodes:
            wanted = [step.model_id for step in one.steps]
            assert len(await stored_models.load_models(connection, wanted)) == len(wanted)


async def test_an_unset_field_is_not_null() -> None:
    assert StepInput().model_id is UNSET
