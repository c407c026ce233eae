"""`POST /v1/embeddings`: of each kind of provider, in OpenAI's shape."""

import base64
import struct

import pytest

from db.vocabulary import GatewayEndpoint, ProviderKind
from tests.server.gateway.world import KINDS, World
from trunkline.failover.steps import StepInput

EMBEDDINGS = "/v1/embeddings"
TEXTS = ["the first text", "and another one", "zażółć gęślą jaźń"]
WITH_EMBEDDINGS = [kind for kind in KINDS if kind is not ProviderKind.ANTHROPIC]


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


@pytest.mark.parametrize("kind", WITH_EMBEDDINGS)
async def test_texts_are_embedded_in_their_order(world: World, kind: ProviderKind) -> None:
    await world.chain("embedder", kind=kind)
    world.script(embedder=["ok"])
    reply = await world.ask(EMBEDDINGS, input=TEXTS)
    body = reply.json()
    assert (reply.status, body["object"]) == (200, "list")
    assert [one["index"] for one in body["data"]] == [0, 1, 2]
    vectors = [one["embedding"] for one in body["data"]]
    assert all(isinstance(number, float) for number in vectors[0])
    # Each is of its own text: asked for alone, it is the same.
    for text, vector in zip(TEXTS, vectors, strict=True):
        alone = (await world.ask(EMBEDDINGS, input=text)).json()
        assert alone["data"][0]["embedding"] == pytest.approx(vector)
    packed = (await world.ask(EMBEDDINGS, input=TEXTS[0], encoding_format="base64")).json()
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert struct.unpack(f"<{len(raw) // 4}f", raw) == pytest.approx(vectors[0], abs=1e-6)
    assert reply.headers["x-trunkline-model"].endswith("/embedder")
    stored = (await world.stored())[0]
    assert stored.endpoint is GatewayEndpoint.EMBEDDINGS
    [attempt] = stored.attempts
    assert attempt.input_tokens > 0
    assert attempt.output_tokens == 0
    assert attempt.input_tokens == body["usage"]["prompt_tokens"]
    assert attempt.estimated is (kind is ProviderKind.GOOGLE)  # Which doesn't say.


@pytest.mark.parametrize(("given", "tokens"), [(["word" * 10, "words"], 12), ([7, 8, 9], 3)])
async def test_what_a_provider_does_not_count_is_estimated_and_marked_so(
    world: World, given: list[object], tokens: int
) -> None:
    await world.chain("embedder")
    world.script(embedder=["no-usage"])
    reply = await world.ask(EMBEDDINGS, input=given)
    assert reply.json()["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    [attempt] = (await world.stored())[0].attempts
    assert (attempt.input_tokens, attempt.output_tokens) == (tokens, 0)
    assert attempt.estimated


@pytest.mark.parametrize("kind", WITH_EMBEDDINGS)
async def test_embeddings_fail_over_too(world: World, kind: ProviderKind) -> None:
    other = await world.model("embedder", kind, slug="other")
    await world.chain(
        StepInput(model_id=await world.model("first", kind), max_retries=0),
        StepInput(model_id=other),
    )
    for fault in ("status-503", "reset", "not-json", "other-json", "empty", "bad-key"):
        world.services.gateway.breakers._circuits.clear()
        world.behaviour.requests.clear()
        world.script(first=[fault], embedder=["ok"])
        reply = await world.ask(EMBEDDINGS, input=TEXTS)
        assert (reply.status, reply.attempts) == (200, 2), fault
        assert len(reply.json()["data"]) == 3
        assert world.seen_models == ["first", "embedder"]


async def test_who_has_no_embeddings_is_passed_by(world: World) -> None:
    await world.chain(
        StepInput(model_id=await world.model("claude", ProviderKind.ANTHROPIC)), "embedder"
    )
    world.script(embedder=["ok"])
    assert (await world.ask(EMBEDDINGS, input="x")).status == 200
    assert world.seen_models == ["embedder"]
    alone = await world.ask(EMBEDDINGS, model="anthropic/claude", input="x")
    assert (alone.status, alone.error["code"]) == (400, "unsupported")
    assert "Anthropic has no embeddings" in alone.error["message"]


async def test_more_texts_than_gemini_takes_go_to_another(world: World) -> None:
    gemini = await world.model("gemini", ProviderKind.GOOGLE)
    await world.chain(StepInput(model_id=gemini), "embedder")
    world.script(gemini=["ok"], embedder=["ok"])
    for count, model in ((100, "gemini"), (101, "embedder")):
        reply = await world.ask(EMBEDDINGS, input=["x"] * count)
        assert (reply.status, len(reply.json()["data"])) == (200, count)
        assert world.seen_models[-1] == model
    assert world.seen_models == ["gemini", "embedder"]
    alone = await world.ask(EMBEDDINGS, model="google/gemini", input=["x"] * 101)
    assert (alone.status, alone.error["code"]) == (400, "unsupported")
    assert "at most 100 texts" in alone.error["message"]


async def test_what_can_not_be_embedded_is_refused(world: World) -> None:
    await world.chain("embedder")
    odd: tuple[object, ...] = (None, 7, {}, [{}], [None], ["x", 7])
    for wrong in odd:
        reply = await world.ask(EMBEDDINGS, input=wrong)
        assert (reply.status, reply.error["param"]) == (400, "input"), wrong
    assert world.seen == []
