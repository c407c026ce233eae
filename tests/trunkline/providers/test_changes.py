"""Providers under change: keys bound to their host, everything checked, nothing half done."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from db import providers as store
from db.provider_rows import ProviderRow
from db.vocabulary import ChangeKind, ConnectionTestStatus, ProviderKind, ProviderStatus
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour, Fault
from trunkline.errors import ProblemCode, Refused
from trunkline.events import ProviderChanged
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    delete_provider,
    remove_provider_api_key,
    stored_api_key,
    update_provider,
)
from trunkline.providers.outgoing import Answer, Outgoing
from trunkline.providers.testing import ConnectionToTest, run_connection_test
from trunkline.secrets import Secrets, SecretUnreadable, generate_secret_key
from trunkline.services import Services

KEY = "sk-planted-0123456789-4f2A"
COMPATIBLE = ProviderKind.OPENAI_COMPATIBLE


@pytest.fixture
async def behaviour() -> Behaviour:
    return Behaviour(api_key=KEY)


@pytest.fixture
async def base_url(behaviour: Behaviour) -> AsyncIterator[str]:
    async with running_simulator(behaviour) as url:
        yield f"{url}/v1"


def new(base_url: str | None, slug: str = "own", api_key: str | None = KEY) -> NewProvider:
    return NewProvider(slug=slug, name="Own", kind=COMPATIBLE, base_url=base_url, api_key=api_key)


async def standing(services: Services, provider_id: int) -> ProviderRow | None:
    async with services.database.read() as connection:
        return await store.find_provider(connection, provider_id)


def problems(refusal: Refused) -> set[tuple[str, ...]]:
    return {(problem.code, *(problem.field or ())) for problem in refusal.problems}


async def test_a_known_provider_comes_with_its_catalog(services: Services) -> None:
    by_url = await create_provider(
        services, new("https://api.groq.com/openai/v1", "fast-one", api_key=None)
    )
    by_slug = await create_provider(services, new("http://127.0.0.1:9", "mistral", api_key=None))
    unknown = await create_provider(services, new("http://127.0.0.1:9", "nobody", api_key=None))
    assert (by_url.known_provider, by_slug.known_provider) == ("groq", "mistral")
    assert by_url.model_count > 5
    assert by_slug.model_count > 5
    assert (unknown.known_provider, unknown.model_count) == (None, 0)


async def test_every_problem_of_a_new_provider_comes_at_once(services: Services) -> None:
    await create_provider(services, new("http://127.0.0.1:9"))
    with pytest.raises(Refused) as caught:
        await create_provider(
            services,
            NewProvider(
                slug="own", name=" ", kind=COMPATIBLE, base_url="ftp://x", api_key="two words"
            ),
        )
    assert problems(caught.value) == {
        (ProblemCode.INVALID, "name"),
        (ProblemCode.INVALID, "baseUrl"),
        (ProblemCode.INVALID, "apiKey"),
        (ProblemCode.TAKEN, "slug"),
    }


@pytest.mark.parametrize("slug", ["", "Own", "a b", "-a", "a--b", "é", "a" * 61, "a/b"])
async def test_a_slug_is_url_safe(services: Services, slug: str) -> None:
    with pytest.raises(Refused) as caught:
        await create_provider(services, new("http://127.0.0.1:9", slug))
    assert problems(caught.value) == {(ProblemCode.INVALID, "slug")}


async def test_of_many_that_create_the_same_slug_one_wins(services: Services) -> None:
    outcomes = await asyncio.gather(
        *(create_provider(services, new("http://127.0.0.1:9")) for _ in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, ProviderRow) for outcome in outcomes) == 1
    lost = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert len(lost) == 9
    assert all(problems(one) == {(ProblemCode.TAKEN, "slug")} for one in lost)


async def test_a_key_does_not_follow_to_another_host(services: Services) -> None:
    provider = await create_provider(services, new("http://127.0.0.1:9/v1"))
    with pytest.raises(Refused) as caught:
        await update_provider(
            services, ProviderUpdate(id=provider.id, base_url="http://127.0.0.1:10/v1")
        )
    assert problems(caught.value) == {(ProblemCode.INVALID, "baseUrl")}
    assert await standing(services, provider.id) == provider
    moved = await update_provider(
        services,
        ProviderUpdate(id=provider.id, base_url="http://127.0.0.1:10/v1", api_key=f"{KEY}B"),
    )
    assert stored_api_key(services, moved) == f"{KEY}B"
    # A path on the same host keeps the key.
    deeper = await update_provider(
        services, ProviderUpdate(id=provider.id, base_url="http://127.0.0.1:10/v2")
    )
    assert stored_api_key(services, deeper) == f"{KEY}B"


async def test_a_row_whose_host_was_changed_behind_our_back_opens_no_key(
    services: Services,
) -> None:
    provider = await create_provider(services, new("http://127.0.0.1:9/v1"))
    assert stored_api_key(services, provider) == KEY
    for forged in (
        replace(provider, base_url="http://127.0.0.1:10/v1"),
        replace(provider, id=provider.id + 1),
    ):
        with pytest.raises(SecretUnreadable):
            stored_api_key(services, forged)
    with pytest.raises(SecretUnreadable):
        stored_api_key(replace(services, secrets=Secrets([generate_secret_key()])), provider)
    assert KEY not in repr(provider)
    assert KEY not in repr(new("http://127.0.0.1:9"))


async def test_a_test_of_the_saved_configuration_is_stored_and_told(
    services: Services, base_url: str, behaviour: Behaviour
) -> None:
    provider = await create_provider(services, new(base_url))
    assert provider.status is ProviderStatus.UNTESTED
    with services.events.subscribe(ProviderChanged) as heard:
        tested = await run_connection_test(services, ConnectionToTest(provider_id=provider.id))
        assert await anext(heard) == ProviderChanged(ChangeKind.UPDATED, provider.id, "own")
    assert tested.test.status is ConnectionTestStatus.OK
    after = await standing(services, provider.id)
    assert after is not None
    assert after.last_connection_test == tested.test
    assert (after.status, after.version) == (ProviderStatus.CONNECTED, provider.version)
    behaviour.fault = Fault.SERVER_ERROR
    failed = await run_connection_test(services, ConnectionToTest(provider_id=provider.id))
    assert failed.provider is not None
    assert failed.provider.status is ProviderStatus.FAILING
    # What was tested is no longer what is configured.
    renewed = await update_provider(services, ProviderUpdate(id=provider.id, api_key=f"{KEY}B"))
    assert (renewed.status, renewed.last_connection_test) == (ProviderStatus.UNTESTED, None)


async def test_a_draft_is_tested_and_nothing_of_it_is_stored(
    services: Services, base_url: str, behaviour: Behaviour
) -> None:
    before_it_exists = await run_connection_test(
        services, ConnectionToTest(kind=COMPATIBLE, base_url=base_url, api_key=KEY)
    )
    assert before_it_exists.test.ok
    assert before_it_exists.provider is None
    provider = await create_provider(services, new(base_url))
    draft = await run_connection_test(
        services, ConnectionToTest(provider_id=provider.id, api_key="sk-wrong-0123456789")
    )
    assert draft.test.status is ConnectionTestStatus.INVALID_KEY
    assert await standing(services, provider.id) == provider


async def test_a_stored_key_is_not_sent_to_a_draft_url_elsewhere(
    services: Services, base_url: str, behaviour: Behaviour
) -> None:
    provider = await create_provider(services, new("http://127.0.0.1:9/v1"))
    with pytest.raises(Refused) as caught:
        await run_connection_test(
            services, ConnectionToTest(provider_id=provider.id, base_url=base_url)
        )
    assert problems(caught.value) == {(ProblemCode.INVALID, "apiKey")}
    assert not behaviour.seen


@pytest.mark.parametrize(
    "wanted",
    [ConnectionToTest(), ConnectionToTest(provider_id=1, kind=COMPATIBLE)],
)
async def test_exactly_one_of_provider_and_kind_is_tested(
    services: Services, wanted: ConnectionToTest
) -> None:
    with pytest.raises(Refused) as caught:
        await run_connection_test(services, wanted)
    assert problems(caught.value) == {(ProblemCode.INVALID, "providerId")}


async def test_an_outcome_of_an_older_configuration_is_not_stored(
    services: Services, base_url: str
) -> None:
    provider = await create_provider(services, new(base_url))
    answered, go_on = asyncio.Event(), asyncio.Event()

    class Held(Outgoing):
        """Keeps an answer until it is let go."""

        async def request(self, *args: Any, **kwargs: Any) -> Answer:
            answer = await super().request(*args, **kwargs)
            answered.set()
            await go_on.wait()
            return answer

    async with Held() as outgoing:
        held = replace(services, outgoing=outgoing)
        testing = asyncio.ensure_future(
            run_connection_test(held, ConnectionToTest(provider_id=provider.id))
        )
        await answered.wait()
        await update_provider(services, ProviderUpdate(id=provider.id, api_key=f"{KEY}B"))
        go_on.set()
        tested = await testing
    assert tested.test.ok
    after = await standing(services, provider.id)
    assert after is not None
    assert after.status is ProviderStatus.UNTESTED


async def test_a_removed_key_is_gone(services: Services) -> None:
    provider = await create_provider(services, new("http://127.0.0.1:9/v1"))
    removed = await remove_provider_api_key(services, provider.id, provider.version)
    assert (removed.api_key, removed.api_key_encrypted) == (None, None)
    assert removed.version == provider.version + 1
    again = await remove_provider_api_key(services, provider.id, None)
    assert again.version == removed.version


async def test_a_deleted_providers_slug_is_free_and_its_key_gone(services: Services) -> None:
    provider = await create_provider(services, new("http://127.0.0.1:9/v1"))
    with pytest.raises(Refused) as caught:
        await delete_provider(services, provider.id, provider.version + 1)
    assert problems(caught.value) == {(ProblemCode.VERSION_CONFLICT, "expectedVersion")}
    await delete_provider(services, provider.id, provider.version)
    assert await standing(services, provider.id) is None
    again = await create_provider(services, new("http://127.0.0.1:9/v1", api_key=None))
    assert again.id != provider.id
    assert again.api_key is None


async def test_nulls_are_refused_and_change_nothing(services: Services) -> None:
    provider = await create_provider(services, new("http://127.0.0.1:9/v1"))
    with pytest.raises(Refused) as caught:
        await update_provider(
            services,
            ProviderUpdate(id=provider.id, name=None, base_url=None, api_key=None, enabled=None),
        )
    assert problems(caught.value) == {
        (ProblemCode.INVALID, field) for field in ("name", "baseUrl", "apiKey", "enabled")
    }
    assert await standing(services, provider.id) == provider


async def test_two_hundred_unconditional_updates_all_count(services: Services) -> None:
    provider = await create_provider(services, new("http://127.0.0.1:9/v1"))
    await asyncio.gather(
        *(
            update_provider(services, ProviderUpdate(id=provider.id, name=f"name {number}"))
            for number in range(200)
        )
    )
    after = await standing(services, provider.id)
    assert after is not None
    assert after.version == provider.version + 200
