"""Embeddings: read, asked of every kind, answered as the official SDK takes them."""

import contextlib
import math
import struct
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from db.vocabulary import ProviderKind
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from tests.trunkline.gateway.dialects.reading import ANY_JSON, UNTIMED
from trunkline.gateway import embeddings
from trunkline.gateway.answers import Usage
from trunkline.gateway.embeddings import Embeddings, EmbeddingsAsked
from trunkline.gateway.protocols import BadRequestBody, CannotSay, UnreadableAnswer
from trunkline.providers.connection import ADAPTERS

OPENAI, COMPATIBLE = ProviderKind.OPENAI, ProviderKind.OPENAI_COMPATIBLE
GOOGLE, OLLAMA = ProviderKind.GOOGLE, ProviderKind.OLLAMA
WITH_EMBEDDINGS = (OPENAI, COMPATIBLE, GOOGLE, OLLAMA)


def asked(given: object, **more: object) -> EmbeddingsAsked:
    return embeddings.read_request({"model": "chain/x", "input": given, **more})


def body_of(kind: ProviderKind, request: EmbeddingsAsked, name: str = "embed-1") -> Any:
    return orjson.loads(embeddings.ask(kind, request, name).body)


def read(kind: ProviderKind, answer: object, request: EmbeddingsAsked) -> Embeddings:
    return embeddings.read(kind, orjson.dumps(answer), request)


def packed(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize(
    "given",
    [None, "", [], [""], ["a", ""], ["a", 1], [[]], [[1], []], [[1], "a"], [-1], [True], {}, 7,
     [None], [[1], [None]], [1.5]],
)  # fmt: skip
def test_input_that_is_empty_or_none_is_refused_by_its_name(given: object) -> None:
    with pytest.raises(BadRequestBody, match="none of them empty") as refused:
        asked(given)
    assert refused.value.param == "input"


def test_at_most_2048_inputs() -> None:
    assert asked(["a"] * 2_048).count == 2_048
    assert asked([[1]] * 2_048).count == 2_048
    for inputs in (["a"] * 2_049, [[1]] * 2_049):
        with pytest.raises(BadRequestBody, match="at most 2,048 texts"):
            asked(inputs)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "3"}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"dimensions": 10**30}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": []}, "encoding_format"),
    ],
)
def test_wrong_parameter_is_refused_by_its_name(more: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequestBody) as refused:
        asked("a", **more)
    assert refused.value.param == param


@UNTIMED
@given(st.dictionaries(st.sampled_from(["input", "dimensions", "encoding_format", "x"]), ANY_JSON))
def test_any_request_is_read_and_asked_or_refused(body: dict[str, Any]) -> None:
    try:
        request = embeddings.read_request(body)
    except BadRequestBody:
        return
    for kind in ProviderKind:
        with contextlib.suppress(CannotSay):
            assert embeddings.ask(kind, request, "m").body


@pytest.mark.parametrize("kind", [OPENAI, COMPATIBLE])
def test_openai_is_asked_what_the_caller_asked(kind: ProviderKind) -> None:
    request = asked([[1, 2], [3]], encoding_format="base64", user="me", new_field={"a": 1})
    call = embeddings.ask(kind, request, "text-embedding-3-small")
    assert call.path == "/embeddings"
    assert call.dropped == ()
    assert orjson.loads(call.body) == {
        "model": "text-embedding-3-small", "input": [[1, 2], [3]], "encoding_format": "base64",
        "user": "me", "new_field": {"a": 1},
    }  # fmt: skip


def test_google_is_asked_in_one_batch() -> None:
    call = embeddings.ask(GOOGLE, asked(["a", "b"], dimensions=8, user="me", x=1), "embed-1")
    assert call.path == "/v1beta/models/embed-1:batchEmbedContents"
    assert call.dropped == ("x",)
    assert orjson.loads(call.body) == {
        "requests": [
            {
                "model": "models/embed-1",
                "content": {"parts": [{"text": text}]},
                "outputDimensionality": 8,
            }
            for text in ("a", "b")
        ]
    }
    [request] = body_of(GOOGLE, asked("a"), "tunedModels/x")["requests"]
    assert request == {"model": "tunedModels/x", "content": {"parts": [{"text": "a"}]}}


def test_ollama_is_asked_to_cut_nothing() -> None:
    call = embeddings.ask(OLLAMA, asked("a", dimensions=8), "nomic")
    assert call.path == "/api/embed"
    assert orjson.loads(call.body) == {
        "model": "nomic", "input": ["a"], "truncate": False, "dimensions": 8,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [GOOGLE, OLLAMA])
def test_tokens_are_refused_by_who_takes_texts(kind: ProviderKind) -> None:
    with pytest.raises(CannotSay, match="send each input as a text"):
        embeddings.ask(kind, asked([1, 2, 3]), "m")


def test_anthropic_has_no_embeddings() -> None:
    with pytest.raises(CannotSay, match="Anthropic has no embeddings"):
        embeddings.ask(ProviderKind.ANTHROPIC, asked("a"), "claude")


def test_text_that_json_cannot_carry_is_refused() -> None:
    for kind in WITH_EMBEDDINGS:
        with pytest.raises(CannotSay, match="surrogate"):
            embeddings.ask(kind, asked("\ud800"), "m")


def openai_answer(*vectors: object, **more: object) -> dict[str, object]:
    data = [
        {"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)
    ]
    return {"object": "list", "data": data, "model": "m", **more}


def answer_of(kind: ProviderKind, *vectors: object) -> dict[str, object]:
    match kind:
        case ProviderKind.GOOGLE:
            values = [{"values": one} for one in vectors]
            return {"embeddings": values, "usageMetadata": {"promptTokenCount": 5}}
        case ProviderKind.OLLAMA:
            return {"embeddings": list(vectors), "prompt_eval_count": 5}
        case _:
            return openai_answer(*vectors, usage={"prompt_tokens": 5})


@pytest.mark.parametrize("kind", WITH_EMBEDDINGS)
def test_vectors_come_as_numbers_or_base64_as_asked(kind: ProviderKind) -> None:
    answer = answer_of(kind, [0.5, -1, 2.25], [1, 0, 0])
    floats = read(kind, answer, asked(["a", "b"]))
    assert list(floats.vectors) == [[0.5, -1, 2.25], [1, 0, 0]]
    assert floats.usage == Usage(input=5)
    assert not floats.is_estimated
    small = read(kind, answer, asked(["a", "b"], encoding_format="base64"))
    assert list(small.vectors) == [packed(0.5, -1, 2.25), packed(1, 0, 0)]


def test_openai_vectors_in_base64_pass_or_are_unpacked() -> None:
    answer = openai_answer(packed(0.5, -1))
    assert read(OPENAI, answer, asked("a", encoding_format="base64")).vectors == (packed(0.5, -1),)
    assert read(OPENAI, answer, asked("a")).vectors == ([0.5, -1.0],)


def test_openai_vectors_are_put_in_order() -> None:
    answer = {"data": [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0]}]}
    assert read(OPENAI, answer, asked(["a", "b"])).vectors == ([0], [1])
    answer = {"data": [{"embedding": [0]}, {"embedding": [1]}]}
    assert read(COMPATIBLE, answer, asked(["a", "b"])).vectors == ([0], [1])


@pytest.mark.parametrize("indices", [(0, 0), (0, 2), (0, -1), (0, "1"), (0, True)])
def test_openai_vectors_numbered_wrongly_are_unreadable(indices: tuple[object, ...]) -> None:
    answer = {"data": [{"index": index, "embedding": [1]} for index in indices]}
    with pytest.raises(UnreadableAnswer, match="numbered"):
        read(OPENAI, answer, asked(["a", "b"]))


@pytest.mark.parametrize("kind", WITH_EMBEDDINGS)
@pytest.mark.parametrize("vectors", [(), ([1],), ([1], [1], [1])])
def test_more_or_fewer_vectors_than_inputs_are_unreadable(
    kind: ProviderKind, vectors: tuple[object, ...]
) -> None:
    with pytest.raises(UnreadableAnswer, match="for 2 inputs"):
        read(kind, answer_of(kind, *vectors), asked(["a", "b"]))


@pytest.mark.parametrize("kind", WITH_EMBEDDINGS)
@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("vector", [None, [], {}, 7, [None], ["1"], [[1]]])
def test_vector_of_something_else_is_unreadable(
    kind: ProviderKind, encoding: str, vector: object
) -> None:
    with pytest.raises(UnreadableAnswer, match="vector"):
        read(kind, answer_of(kind, vector), asked("a", encoding_format=encoding))


@pytest.mark.parametrize("text", ["", "x", "!!!!", b64encode(b"12345").decode(), "\u00e9" * 4])
def test_base64_of_something_else_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableAnswer, match="base64"):
        read(OPENAI, openai_answer(text), asked("a"))


def test_number_beyond_32_bits_cannot_be_packed() -> None:
    with pytest.raises(UnreadableAnswer):
        read(OLLAMA, {"embeddings": [[1e300]]}, asked("a", encoding_format="base64"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":7}', b'{"data":[7]}', b"<html>"])
def test_body_that_is_no_answer_is_unreadable(body: bytes) -> None:
    for kind in WITH_EMBEDDINGS:
        with pytest.raises(UnreadableAnswer):
            embeddings.read(kind, body, asked("a"))


@UNTIMED
@given(ANY_JSON)
def test_any_json_is_an_answer_or_none(value: object) -> None:
    for kind in WITH_EMBEDDINGS:
        for answer in (value, {"data": value, "embeddings": value, "usage": value}):
            with contextlib.suppress(UnreadableAnswer):
                embeddings.write(read(kind, answer, asked("a")), "m")


@pytest.mark.parametrize("tokens", [None, -5, 10**10, "5"])
def test_tokens_that_are_not_told_are_estimated_from_the_request(tokens: object) -> None:
    answer = openai_answer([1], usage={"prompt_tokens": tokens, "total_tokens": tokens})
    got = read(OPENAI, answer, asked("word" * 10))
    assert (got.usage, got.is_estimated) == (Usage(input=10), True)
    usage = orjson.loads(embeddings.write(got, "m"))["usage"]
    assert usage == {"prompt_tokens": 10, "total_tokens": 10}
    assert read(OPENAI, answer, asked([7, 8, 9])).usage == Usage(input=3)


def test_what_else_an_openai_provider_says_stays() -> None:
    usage = {"prompt_tokens": 5, "total_tokens": 5, "cost": 0.1}
    got = read(COMPATIBLE, openai_answer([1.5], usage=usage, id="e1"), asked("a"))
    assert orjson.loads(embeddings.write(got, "acme/embed-1")) == {
        "object": "list", "id": "e1", "model": "acme/embed-1", "usage": usage,
        "data": [{"object": "embedding", "index": 0, "embedding": [1.5]}],
    }  # fmt: skip


def test_answer_nested_deeper_than_can_be_written_keeps_its_vectors() -> None:
    deep = b'{"data":[{"embedding":[1.5]}],"usage":{"prompt_tokens":5},"x":%s}' % (
        b"[" * 400 + b"]" * 400
    )
    got = embeddings.read(OPENAI, deep, asked("a"))
    assert orjson.loads(embeddings.write(got, "m"))["data"][0]["embedding"] == [1.5]


@pytest.fixture
async def simulator() -> AsyncIterator[aiohttp.ClientSession]:
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    async with running_simulator(behaviour) as url, aiohttp.ClientSession(url) as session:
        yield session


@pytest.mark.parametrize("kind", WITH_EMBEDDINGS)
async def test_official_sdk_gets_vectors_of_every_kind(
    kind: ProviderKind, simulator: aiohttp.ClientSession
) -> None:
    version = "/v1" if kind in {OPENAI, COMPATIBLE} else ""

    async def answer(request: web.Request) -> web.Response:
        wanted = embeddings.read_request(await request.json())
        call = embeddings.ask(kind, wanted, "embed-1")
        root = ADAPTERS[kind].root(version)
        async with simulator.post(root + call.path, data=call.body) as got:
            assert got.status == 200, await got.text()
            vectors = embeddings.read(kind, await got.read(), wanted)
        body = embeddings.write(vectors, "acme/embed-1")
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/embeddings", answer)
    async with (
        TestServer(app) as server,
        AsyncOpenAI(base_url=str(server.make_url("/")), api_key="x") as client,
    ):
        texts = ["the first", "and the second"]
        # Its own default is base64, which it unpacks.
        small = await client.embeddings.create(model="chain/x", input=texts, dimensions=64)
        floats = await client.embeddings.create(
            model="chain/x", input=texts, dimensions=64, encoding_format="float"
        )
    assert small.model == "acme/embed-1"
    assert small.usage.prompt_tokens == small.usage.total_tokens > 0
    assert [one.index for one in small.data] == [0, 1]
    for one, other in zip(small.data, floats.data, strict=True):
        assert len(one.embedding) == 64
        assert one.embedding == pytest.approx(other.embedding, rel=1e-6)
        assert math.hypot(*one.embedding) == pytest.approx(1, rel=1e-4)
    assert small.data[0].embedding != small.data[1].embedding
