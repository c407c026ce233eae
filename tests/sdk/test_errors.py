"""Requests without an answer: each SDK raises its own exception for it, and does not ask again."""

import asyncio
from dataclasses import dataclass

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from db.vocabulary import ProviderKind
from tests.sdk.asking import HELLO, AnthropicSdk, OpenAiSdk, Sdk, Way
from tests.sdk.conftest import NewName
from tests.server.gateway.world import World
from trunkline.failover.steps import DEFAULT_TIMEOUT_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

SdkError = openai.APIError | anthropic.APIError
KINDS = [ProviderKind.OPENAI_COMPATIBLE, ProviderKind.ANTHROPIC]
"""One that passes and one that is translated, for either SDK."""


@dataclass(frozen=True)
class Raised:
    """The class of the exception in both SDKs, its status and our word for it, and how often the
    provider was asked.
    """

    name: str
    status: int
    code: str
    asked: int = 1


FAILURES = {
    "sim-rate-limited": Raised("RateLimitError", 429, "rate_limited", asked=3),
    "sim-rate-limited-retry-after-60s": Raised("RateLimitError", 429, "rate_limited"),
    "sim-fail-500": Raised("InternalServerError", 502, "chain_exhausted", asked=3),
    "sim-reset": Raised("InternalServerError", 502, "chain_exhausted", asked=3),
    "sim-silent": Raised("InternalServerError", 504, "timeout"),
    "sim-bad-key": Raised("InternalServerError", 502, "chain_exhausted"),
    "sim-model-not-found": Raised("InternalServerError", 502, "chain_exhausted"),
    "sim-too-long": Raised("BadRequestError", 400, "context_length_exceeded"),
    "sim-invalid": Raised("BadRequestError", 400, "invalid_request"),
    "sim-content-filter": Raised("BadRequestError", 400, "content_filter"),
}


def classes(sdk: Sdk, name: str) -> type[SdkError]:
    """The SDK's exception of this name."""
    found: type[SdkError] = getattr(openai if isinstance(sdk, OpenAiSdk) else anthropic, name)
    return found


def code_of(error: Exception) -> object:
    """Our word for it, where the protocol has it."""
    if isinstance(error, openai.APIError):
        return error.code
    assert isinstance(error, anthropic.APIError)
    assert isinstance(error.body, dict)
    return error.body["error"]["details"]["error_code"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [Way.PLAIN, Way.STREAM])
@pytest.mark.parametrize("wire_name", FAILURES)
async def test_a_chain_that_fails_raises(
    world: World, new_name: NewName, sdk: Sdk, wire_name: str, way: Way, kind: ProviderKind
) -> None:
    expected = FAILURES[wire_name]
    slug = new_name()
    await world.model(wire_name, kind, slug=slug)
    asking = asyncio.ensure_future(sdk.ask(way, f"{slug}/{wire_name}"))
    if expected.code == "timeout":
        await world.until(lambda: len(world.seen) > 0)
        world.time.advance(DEFAULT_TIMEOUT_SECONDS)
    with pytest.raises(classes(sdk, expected.name)) as raised:
        await asking
    error = raised.value
    assert isinstance(error, openai.APIStatusError | anthropic.APIStatusError)
    assert (error.status_code, code_of(error)) == (expected.status, expected.code)
    assert world.seen_models == [wire_name] * expected.asked
    assert error.response.headers["x-should-retry"] == "false"
    if "retry-after" in wire_name:
        assert 50 <= int(error.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("way", Way)
async def test_an_unknown_model_is_not_found(world: World, sdk: Sdk, way: Way) -> None:
    with pytest.raises(classes(sdk, "NotFoundError"), match="no model 'chain/nobody'") as raised:
        await sdk.ask(way, "chain/nobody")
    assert code_of(raised.value) == "model_not_found"
    assert world.seen == []


async def test_what_is_not_there_is_told_in_the_callers_protocol(
    openai_client: AsyncOpenAI, anthropic_client: AsyncAnthropic
) -> None:
    with pytest.raises(anthropic.NotFoundError, match="nothing at this path") as raised:
        await anthropic_client.messages.count_tokens(model="chain/any", messages=[*HELLO])
    assert raised.value.type == "not_found_error"
    assert raised.value.request_id
    with pytest.raises(openai.NotFoundError, match="nothing at this path") as other:
        await openai_client.responses.create(model="chain/any", input="hello")
    assert other.value.code == "invalid_request"


@pytest.mark.parametrize("way", Way)
async def test_a_request_that_is_wrong_names_the_field(
    world: World, new_name: NewName, sdk: Sdk, way: Way
) -> None:
    slug = new_name()
    await world.model("sim-ok", ProviderKind.GOOGLE, slug=slug)
    wrong = [{"role": "nobody", "content": "hello"}]
    with pytest.raises(classes(sdk, "BadRequestError"), match=r"messages\[0\].role") as raised:
        await sdk.ask(way, f"{slug}/sim-ok", wrong)
    if isinstance(raised.value, openai.APIError):
        assert raised.value.param == "messages[0].role"
    assert world.seen == []


@pytest.mark.parametrize("way", Way)
async def test_a_wrong_token_is_refused(world: World, way: Way) -> None:
    async with AsyncOpenAI(base_url=f"{world.url}/v1", api_key="wrong") as client:
        with pytest.raises(openai.AuthenticationError) as raised:
            await OpenAiSdk(client).ask(way, "chain/any")
        assert raised.value.code == "invalid_api_key"
    async with AsyncAnthropic(base_url=world.url, api_key="wrong") as other:
        with pytest.raises(anthropic.AuthenticationError):
            await AnthropicSdk(other).ask(way, "chain/any")


@pytest.mark.parametrize(("way", "kind"), [(Way.STREAM, KINDS[0]), (Way.HELPER, KINDS[1])])
@pytest.mark.parametrize("fault", ["cut", "error", "end"])
async def test_a_stream_that_breaks_raises_and_is_never_taken_for_whole(
    world: World, new_name: NewName, sdk: Sdk, fault: str, way: Way, kind: ProviderKind
) -> None:
    slug = new_name()
    # After more than a read from a socket can hold: so tokens have been passed on.
    wire_name = f"sim-{fault}-after-2500"
    await world.model(wire_name, kind, slug=slug)
    with pytest.raises(classes(sdk, "APIError"), match="broke off") as raised:
        await sdk.ask(way, f"{slug}/{wire_name}")
    error = raised.value
    # An event told of it, behind a status of 200.
    if isinstance(error, anthropic.APIStatusError):
        assert error.response.status_code == 200
    else:
        assert not isinstance(error, openai.APIStatusError)
    assert world.seen_models == [wire_name]
