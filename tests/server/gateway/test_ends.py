"""How a request ends where no step answers: the status, a line for each attempt, and no secret."""

import asyncio

import orjson
import pytest

from db.vocabulary import ProviderKind
from tests.server.gateway.world import CHAT, ENDPOINTS, KEY, KINDS, TOKEN, World
from trunkline.failover.steps import StepInput


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_all_that_failed_is_told_attempt_by_attempt(
    world: World, endpoint: str, stream: bool
) -> None:
    await world.chain("first", "second", "third", max_retries=1)
    world.script(first=["status-503"], second=["rate-limited-retry-after-9"], third=["bad-key"])
    reply = await world.ask(endpoint, stream=stream)
    assert (reply.status, reply.attempts) == (502, 4)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["retry-after"] == "9"
    assert reply.error["message"].splitlines() == [
        "every step failed:",
        "1. openai-compatible/first: TRANSIENT, status 503, 0 ms: the provider answered 503",
        "2. openai-compatible/first: TRANSIENT, status 503, 0 ms: the provider answered 503",
        "3. openai-compatible/second: RATE_LIMITED, status 429, 0 ms: the provider asks to wait",
        "4. openai-compatible/third: UNAVAILABLE, status 401, 0 ms: the provider does not know its API key",  # noqa: E501
    ]
    if endpoint == CHAT:
        assert reply.error["code"] == "chain_exhausted"
    else:
        assert reply.json()["type"] == "error"
        assert reply.error["type"] == "api_error"
    stored = (await world.stored())[-1]
    assert (stored.outcome, stored.http_status) == ("FAILED", 502)


@pytest.mark.parametrize(
    ("fault", "status", "code", "kind"),
    [
        ("rate-limited", 429, "rate_limited", "rate_limit_error"),
        ("too-long", 400, "context_length_exceeded", "invalid_request_error"),
    ],
)
async def test_where_all_fail_alike_the_status_says_so(
    world: World, fault: str, status: int, code: str, kind: str
) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=[fault], second=[fault])
    reply = await world.ask()
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.headers["x-should-retry"] == "false"
    assert "retry-after" not in reply.headers
    of_messages = await world.ask("/v1/messages")
    assert (of_messages.status, of_messages.error["type"]) == (status, kind)


async def test_the_soonest_end_of_a_rate_limit_is_told(world: World) -> None:
    await world.chain("first", "second")
    world.script(first=["rate-limited-retry-after-90"], second=["rate-limited-retry-after-ms-7200"])
    reply = await world.ask()
    assert (reply.status, reply.headers["retry-after"]) == (429, "8")


@pytest.mark.parametrize("stream", [False, True])
async def test_where_all_time_out_the_status_says_so(world: World, stream: bool) -> None:
    await world.chain("first", "second", timeout_seconds=9, first_token_timeout_seconds=9)
    world.script(first=["silent"], second=["silent"])
    asking = asyncio.ensure_future(world.ask(stream=stream))
    for number in (1, 2):
        await world.until_seen(number)
        world.time.advance(9)
    reply = await asking
    assert (reply.status, reply.error["code"]) == (504, "timeout")
    assert "2. openai-compatible/second: TIMEOUT, 9000 ms" in reply.error["message"]


async def test_a_chain_with_nothing_to_try_says_why(world: World) -> None:
    await world.provider(ProviderKind.OPENAI, "keyless", api_key=None)
    model = await world.model("some", ProviderKind.OPENAI, slug="keyless")
    await world.chain(StepInput(model_id=model))
    reply = await world.ask()
    assert (reply.status, reply.attempts) == (502, 0)
    assert reply.error["message"].endswith("1. keyless/some: NO_API_KEY")
    assert world.seen == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_caller_never_sees_a_key_or_a_header(world: World, kind: ProviderKind) -> None:
    world.behaviour.api_key = "another-key"
    faults = ("sim-status-500", "sim-reset", "sim-redirect", "sim-web-page", "sim-not-json")
    await world.chain(*faults, "sim-bad-key", kind=kind, max_retries=0)
    for stream in (False, True):
        world.behaviour.api_key = None if stream else "another-key"
        reply = await world.ask(stream=stream)
        said = reply.body + orjson.dumps(reply.headers)
        stored = repr(await world.stored()).encode()
        for secret in (KEY, TOKEN, "another-key", "169.254.169.254", "Bearer"):
            assert secret.encode() not in said
            assert secret.encode() not in stored
    # It did reach the provider.
    assert KEY in repr(world.seen[0].headers)
