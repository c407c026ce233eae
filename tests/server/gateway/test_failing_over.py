"""What is tried after a failed attempt, by the class of the failure: each row of its table."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest

from db.vocabulary import ProviderKind
from server.simulated.script import Script
from tests.server.gateway.world import ENDPOINTS, KINDS, World, rest_of
from trunkline.catalog.changes import ModelUpdate, update_model
from trunkline.failover.steps import StepInput
from trunkline.providers.changes import ProviderUpdate, update_provider


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


async def outcomes(world: World) -> list[str | None]:
    return [one.outcome for one in await world.attempts()]


async def test_a_transient_status_is_tried_again_and_then_passed_by(world: World) -> None:
    for status in (408, 409, 425, 500, 502, 503, 504, 507, 529, 599):
        name = f"sim-status-{status}"
        await world.chain(name, "sim-ok", slug=f"of-{status}")
        reply = await world.ask(model=f"chain/of-{status}")
        assert (reply.status, reply.attempts) == (200, 4)
        assert world.seen_models[-4:] == [name, name, name, "sim-ok"]
        attempts = await world.attempts()
        assert [one.outcome for one in attempts] == ["TRANSIENT"] * 3 + [None]
        assert [one.status for one in attempts[:3]] == [status] * 3
        # When each began, by the pauses between them.
        began = [(one.started_at - attempts[0].started_at).total_seconds() for one in attempts]
        assert began == [0, 0.5, 1.5, 1.5]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_that_may_be_gone_is_tried_again_at_every_kind(
    world: World, kind: ProviderKind, stream: bool
) -> None:
    for fault in ("overloaded", "server-error", "reset", "not-json", "empty"):
        await world.model(fault, kind)
        world.behaviour.set_script(Script({fault: [fault, "ok"]}))
        reply = await world.ask(model=world.named(fault, kind), stream=stream)
        assert reply.status == 200, fault
        assert reply.text, fault
        assert world.seen_models[-2:] == [fault, fault]
        assert await outcomes(world) == ["TRANSIENT", None], fault
    assert world.time.slept == [0.5] * 5


@contextmanager
def closed_port() -> Iterator[str]:
    """A port where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_connection_and_an_unknown_host_are_tried_again(
    world: World, stream: bool
) -> None:
    with closed_port() as nobody:
        for slug, url in (("closed", nobody), ("unknown", "http://nobody.invalid/v1")):
            await world.provider(ProviderKind.OPENAI_COMPATIBLE, slug, base_url=url)
        steps = [
            StepInput(model_id=await world.model("lost", slug=slug), max_retries=1)
            for slug in ("closed", "unknown")
        ]
        await world.chain(*steps, "second")
        reply = await world.ask(stream=stream)
    assert reply.status == 200
    attempts = await world.attempts()
    assert [(one.label, one.outcome, one.status) for one in attempts[:-1]] == [
        ("closed/lost", "TRANSIENT", None)
    ] * 2 + [("unknown/lost", "TRANSIENT", None)] * 2
    assert "nothing listens there" in attempts[0].reason
    assert "host name is unknown" in attempts[2].reason


async def test_what_a_provider_asks_to_wait_counts_where_it_is_longer(world: World) -> None:
    await world.chain("first", "second")
    world.script(first=["status-503-retry-after-4", "status-503-retry-after-ms-1", "ok"])
    assert (await world.ask()).status == 200
    assert world.time.slept == [4.0, 1.0]


@pytest.mark.parametrize(
    ("wait", "slept"),
    [
        ("", [0.5]),
        ("-retry-after-3", [3.0]),
        ("-retry-after-5", [5.0]),
        ("-retry-after-ms-250", [0.25]),
        ("-retry-after-date-4s", [4.0]),
    ],
)
async def test_a_rate_limit_is_waited_for_where_it_is_short(
    world: World, wait: str, slept: list[float]
) -> None:
    await world.chain("first", "second")
    world.script(first=[f"rate-limited{wait}", "ok"])
    reply = await world.ask()
    assert reply.headers["x-trunkline-model"] == "openai-compatible/first"
    assert world.time.slept == slept
    assert await outcomes(world) == ["RATE_LIMITED", None]


@pytest.mark.parametrize("kind", [ProviderKind.ANTHROPIC, ProviderKind.GOOGLE])
async def test_every_kind_says_how_long_in_its_own_way(world: World, kind: ProviderKind) -> None:
    await world.chain("first", "second", kind=kind)
    world.script(first=["rate-limited-retry-after-2", "ok"])
    assert (await world.ask(stream=True)).headers["x-trunkline-model"].endswith("/first")
    assert world.time.slept == [2.0]


@pytest.mark.parametrize("wait", ["retry-after-6", "retry-after-date-90s", "retry-after-ms-5001"])
async def test_a_longer_rate_limit_makes_the_next_step_answer_at_once(
    world: World, wait: str
) -> None:
    await world.chain("first", "second")
    world.script(first=[f"rate-limited-{wait}"], second=["ok"])
    assert (await world.ask()).status == 200
    assert world.seen_models == ["first", "second"]
    assert world.time.slept == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "endpoint"), list(zip(("silent", "stall-after-0"), ENDPOINTS, strict=True))
)
async def test_a_stream_without_a_first_token_is_given_up_in_time(
    world: World, fault: str, kind: ProviderKind, endpoint: str
) -> None:
    await world.chain("first", "second", kind=kind, first_token_timeout_seconds=7)
    world.script(first=[fault], second=["ok"])
    asking = asyncio.ensure_future(world.ask(endpoint, stream=True))
    first = await world.until_seen(1)
    await world.until(lambda: first.status == 200 or fault == "silent")
    world.time.advance(6.9)
    await asyncio.sleep(0)
    assert not asking.done()
    world.time.advance(0.1)
    reply = await asking
    assert reply.is_whole
    assert reply.headers["x-trunkline-model"].endswith("/second")
    assert await first.until_ended() == "client_gone"
    assert world.seen_models == ["first", "second"]
    attempts = await world.attempts()
    assert [one.outcome for one in attempts] == ["TIMEOUT", None]
    assert attempts[0].milliseconds == 7_000


async def test_an_attempt_that_takes_all_of_its_time_is_given_up(world: World) -> None:
    await world.chain("first", "second", timeout_seconds=12)
    world.script(first=["silent"], second=["ok"])
    asking = asyncio.ensure_future(world.ask())
    await world.until_seen(1)
    world.time.advance(12)
    assert (await asking).status == 200
    assert world.seen_models == ["first", "second"]
    assert (await world.attempts())[0].milliseconds == 12_000


async def test_a_stream_that_is_silent_for_thirty_seconds_is_cut(world: World) -> None:
    await world.chain("first", "second")
    world.script(first=["stall-after-3"])
    async with world.asking(stream=True) as response:
        begun = b""
        while begun.count(b"data: ") < 4:  # The role, and three tokens.
            begun += await response.content.readany()
        world.time.advance(29.9)
        await asyncio.sleep(0.02)
        assert world.seen[0].outcome is None
        world.time.advance(0.1)
        rest = await rest_of(response)
    assert rest.stream_error is not None
    assert not rest.is_whole
    [attempt] = await world.attempts()
    assert (attempt.outcome, attempt.milliseconds) == ("TIMEOUT", 30_000)


@pytest.mark.slow
async def test_no_connection_in_time_is_a_timeout(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.providers.outgoing._CONNECT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # Nobody takes them, and so there is no place for another one.
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        await world.provider(ProviderKind.OPENAI_COMPATIBLE, "full", base_url=url)
        lost = StepInput(model_id=await world.model("lost", slug="full"))
        await world.chain(lost, "second")
        assert (await world.ask()).status == 200
        for one in waiting:
            one.close()
    assert await outcomes(world) == ["TIMEOUT", None]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_prompt_that_is_too_long_goes_where_there_is_more_room(
    world: World, kind: ProviderKind
) -> None:
    windows = {"first": 8_000, "as-small": 8_000, "larger": 9_000, "unknown": None}
    steps = [
        StepInput(model_id=await world.model(name, kind, context_window=window))
        for name, window in windows.items()
    ]
    await world.chain(*steps)
    world.script(first=["too-long"], larger=["too-long"], unknown=["ok"])
    for number, stream in enumerate((False, True), 1):
        reply = await world.ask(stream=stream)
        assert reply.status == 200
        assert world.seen_models == ["first", "larger", "unknown"] * number
        assert await outcomes(world) == ["TOO_LONG", "TOO_SMALL", "TOO_LONG", None]


async def test_a_body_that_a_provider_finds_too_large_goes_to_the_next(world: World) -> None:
    await world.chain("first", "second")
    world.script(first=["status-413"], second=["ok"])
    assert (await world.ask()).status == 200
    assert await outcomes(world) == ["TOO_LONG", None]


UNAVAILABLE = {
    ProviderKind.OPENAI_COMPATIBLE: ("status-401",),
    ProviderKind.ANTHROPIC: ("no-credit-status-402", "no-credit-status-429"),
    ProviderKind.GOOGLE: ("no-credit-status-429",),
    ProviderKind.OLLAMA: ("status-401",),
}
OF_ALL = ("bad-key", "forbidden", "no-credit", "model-not-found", "redirect", "status-402")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_unavailable_is_not_tried_again(world: World, kind: ProviderKind) -> None:
    for fault in (*OF_ALL, *UNAVAILABLE[kind]):
        # A provider each, as its circuit opens.
        first = StepInput(model_id=await world.model(f"sim-{fault}", kind, slug=fault))
        await world.chain(first, "sim-ok", slug=fault, kind=kind)
        reply = await world.ask(model=f"chain/{fault}")
        assert reply.status == 200, fault
        assert world.seen_models[-2:] == [f"sim-{fault}", "sim-ok"]
        assert await outcomes(world) == ["UNAVAILABLE", None], fault
    assert world.time.slept == []


async def test_steps_that_can_not_be_used_are_skipped_without_a_request(world: World) -> None:
    off = await world.provider(ProviderKind.OPENAI_COMPATIBLE, "off")
    await world.provider(ProviderKind.OPENAI, "keyless", api_key=None)
    await world.model("of-a-provider-that-is-off", slug="off")
    await update_provider(world.services, ProviderUpdate(id=off, enabled=False))
    disabled = await world.model("disabled")
    await update_model(world.services, ModelUpdate(id=disabled, enabled=False))
    await world.chain(
        StepInput(model_id=await world.model("of-a-provider-that-is-off", slug="off")),
        StepInput(model_id=await world.model("without-a-key", ProviderKind.OPENAI, slug="keyless")),
        StepInput(model_id=disabled),
        "second",
    )
    reply = await world.ask()
    assert (reply.status, reply.attempts) == (200, 1)
    assert world.seen_models == ["second"]
    assert await outcomes(world) == ["DISABLED", "NO_API_KEY", "DISABLED", None]


REFUSED = [("content-filter", "REJECTED"), ("invalid", "INVALID")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "outcome"), REFUSED)
async def test_a_refused_request_ends_with_the_providers_words(
    world: World, fault: str, outcome: str, kind: ProviderKind
) -> None:
    await world.chain("first", "second", kind=kind)
    world.script(first=[fault])
    for number, (endpoint, stream) in enumerate(product(ENDPOINTS, (False, True)), 1):
        reply = await world.ask(endpoint, stream=stream)
        assert world.seen_models == ["first"] * number
        if kind is ProviderKind.GOOGLE and fault == "content-filter":
            # Gemini says so in an answer, which is delivered.
            assert reply.status == 200
            continue
        assert reply.status == 400
        assert reply.error["message"]
        assert "Trunkline" not in reply.error["message"]
        assert reply.headers["x-should-retry"] == "false"
        [attempt] = await world.attempts()
        assert (attempt.outcome, attempt.status) == (outcome, 400)
        stored = (await world.stored())[-1]
        assert (stored.outcome, stored.http_status) == ("REFUSED", 400)


async def test_any_other_refusal_is_by_its_status(world: World) -> None:
    for status in (405, 418, 422, 451):
        await world.chain(f"sim-status-{status}", "sim-ok", slug=f"of-{status}")
        reply = await world.ask(model=f"chain/of-{status}")
        assert (reply.status, await outcomes(world)) == (status, ["INVALID"])
        assert world.seen_models[-1] == f"sim-status-{status}"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_within_an_answer_is_delivered(world: World, kind: ProviderKind) -> None:
    await world.chain("first", "second", kind=kind)
    world.script(first=["refusal"])
    for number, (endpoint, stream) in enumerate(product(ENDPOINTS, (False, True)), 1):
        reply = await world.ask(endpoint, stream=stream)
        assert reply.status == 200
        assert world.seen_models == ["first"] * number
        assert await outcomes(world) == [None]
        if kind is not ProviderKind.OLLAMA:  # Which has no word for it.
            assert b"refusal" in reply.body or b"content_filter" in reply.body
