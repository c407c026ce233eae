"""Lists of models, and embeddings, as the SDKs read them."""

import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from db.vocabulary import ProviderKind
from tests.sdk.test_answers import model
from tests.server.gateway.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = ["one", "two", "größer"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def names(world: World) -> set[str]:
    """Some that may be asked for."""
    await world.model("sim-tools")
    await world.chain("sim-ok", slug="listed")
    return {"chain/listed", "openai-compatible/sim-ok", "openai-compatible/sim-tools"}


async def test_openai_lists_and_finds_models(names: set[str], openai_client: AsyncOpenAI) -> None:
    listed = [one async for one in openai_client.models.list()]
    assert names <= {one.id for one in listed}
    assert {one.object for one in listed} == {"model"}
    found = await openai_client.models.retrieve("chain/listed")
    assert found in listed
    with pytest.raises(NotFoundError):
        await openai_client.models.retrieve("chain/nobody")


async def test_anthropic_lists_and_finds_models_page_by_page(
    names: set[str], anthropic_client: AsyncAnthropic
) -> None:
    listed = [one async for one in anthropic_client.models.list(limit=1)]
    assert names <= {one.id for one in listed}
    assert len({one.id for one in listed}) == len(listed)
    assert {one.type for one in listed} == {"model"}
    assert {one.lifecycle for one in listed} == {"active"}
    found = await anthropic_client.models.retrieve("chain/listed")
    assert found in listed
    # Under which support finds it.
    assert found._request_id


async def test_a_name_with_a_percent_sign_is_found_as_it_is(
    world: World, openai_client: AsyncOpenAI, anthropic_client: AsyncAnthropic
) -> None:
    await world.model("half%2Fway")
    name = "openai-compatible/half%2Fway"
    assert (await openai_client.models.retrieve(name)).id == name
    assert (await anthropic_client.models.retrieve(name)).id == name


@pytest.mark.parametrize("kind", [one for one in ProviderKind if one is not ProviderKind.ANTHROPIC])
async def test_embeddings_come_in_order(
    world: World, openai_client: AsyncOpenAI, kind: ProviderKind
) -> None:
    """The SDK asks for base64 where nothing else is said, and decodes it."""
    name = await model(world, "sim-ok", kind)
    answer = await openai_client.embeddings.create(model=name, input=TEXTS, dimensions=8)
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert {len(one.embedding) for one in answer.data} == {8}
    floats = await openai_client.embeddings.create(
        model=name, input=TEXTS, dimensions=8, encoding_format="float"
    )
    for one, other in zip(answer.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    single = await openai_client.embeddings.create(model=name, input="two", dimensions=8)
    assert single.data[0].embedding == answer.data[1].embedding


async def test_embeddings_where_a_provider_has_none(
    world: World, openai_client: AsyncOpenAI
) -> None:
    name = await model(world, "sim-ok", ProviderKind.ANTHROPIC)
    with pytest.raises(BadRequestError, match="embeddings"):
        await openai_client.embeddings.create(model=name, input="one")
    assert world.seen == []
