"""Each fault as a client sees it: by what a raw socket reads where HTTP has no word for it."""

import asyncio
import json

import aiohttp
import pytest

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour, Fault
from server.simulated.request_log import Outcome
from server.simulated.timing import HeldTiming, SkippedTiming
from tests.server.simulated.asking import PROTOCOLS, Client, text_of

WHOLE = b"0\r\n\r\n"
"""What ends a body in chunks."""
DONE = {
    "openai": b"[DONE]",
    "anthropic": b"message_stop",
    "google": b'"finishReason"',
    "ollama": b'"done":true',
}
FINISH = {
    "openai": b'"finish_reason":"stop"',
    "anthropic": b'"stop_reason":"end_turn"',
    "google": b'"finishReason":"STOP"',
    "ollama": b'"done_reason":"stop"',
}


def tokens_in(protocol: str, raw: bytes) -> int:
    """Whole events with a token in them, in what a socket read."""
    marks = {
        "openai": b'"delta":{"content":"',
        "anthropic": b'"type":"text_delta"',
        "google": b'"parts":[{"text":"',
        "ollama": b'"content":"',
    }
    ends = {"openai": b"\n\n", "anthropic": b"\n\n", "google": b"\r\n\r\n", "ollama": b"\n"}
    # The size of each chunk stands on a line of its own.
    events = raw.partition(b"\r\n\r\n")[2].split(b"\r\n")
    whole = [one for one in events if one.endswith(ends[protocol]) or protocol == "google"]
    return sum(marks[protocol] in one and one.rstrip().endswith(b"}") for one in whole)


def missing_of_last_chunk(raw: bytes) -> int:
    """Bytes that the last chunk promised and didn't bring."""
    rest = raw.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        missing = int(size, 16) + len(b"\r\n") - len(rest)
        if missing > 0:
            return missing
        rest = rest[int(size, 16) + len(b"\r\n") :]
    return 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_reset_before_headers_is_a_reset_without_a_byte(
    client: Client, protocol: str
) -> None:
    assert await client.raw(protocol, "reset") == (b"", True)
    assert client.behaviour.requests[-1].outcome is Outcome.BROKEN


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_cut_stream_closes_within_a_chunk(client: Client, protocol: str) -> None:
    got, was_reset = await client.raw(protocol, "cut-after-5")
    assert not was_reset
    assert got.startswith(b"HTTP/1.1 200")
    assert tokens_in(protocol, got) == 5
    # Half of an event is promised, and more than the line break behind it is missing.
    assert missing_of_last_chunk(got) > 10
    assert DONE[protocol] not in got
    assert client.behaviour.requests[-1].outcome is Outcome.BROKEN


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_is_told_of_a_cut(client: Client, stream: bool) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.ask("openai", "cut-after-5", stream=stream)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_stream_is_reset_after_its_tokens(client: Client, protocol: str) -> None:
    got, was_reset = await client.raw(protocol, "reset-after-3")
    assert was_reset
    assert tokens_in(protocol, got) == 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_stream_may_end_early_as_if_whole(client: Client, protocol: str) -> None:
    got, was_reset = await client.raw(protocol, "end-after-3")
    assert not was_reset
    assert got.endswith(WHOLE)
    assert tokens_in(protocol, got) == 3
    assert FINISH[protocol] not in got


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_stream_may_leave_out_why_it_ended(client: Client, protocol: str) -> None:
    streamed = await client.ask(protocol, "no-finish-tokens-6", stream=True)
    assert text_of(protocol, streamed.events).startswith("A simulated answer.")
    assert FINISH[protocol] not in streamed.body
    assert DONE[protocol] not in streamed.body


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_a_stream_may_leave_out_its_end_alone(client: Client, protocol: str) -> None:
    streamed = await client.ask(protocol, "no-done", stream=True)
    assert FINISH[protocol] in streamed.body
    assert DONE[protocol] not in streamed.body


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_malformed_event_stands_within_a_good_stream(client: Client, protocol: str) -> None:
    got, _ = await client.raw(protocol, "malformed-after-2-tokens-6")
    assert tokens_in(protocol, got) >= 6
    assert FINISH[protocol] in got
    with pytest.raises(json.JSONDecodeError):
        _ = (await client.ask(protocol, "malformed-after-2", stream=True)).events
    with pytest.raises(ValueError):
        _ = (await client.ask(protocol, "malformed-after-2")).json


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("openai", b'data: {"error":{"message":"Overloaded","type":"server_error"'),
        ("anthropic", b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"'),
        ("google", b'data: {"error":{"code":503,'),
        ("ollama", b'{"error":"Overloaded"}\n'),
    ],
)
async def test_an_error_may_follow_a_200(client: Client, protocol: str, said: bytes) -> None:
    streamed = await client.ask(protocol, "error-after-2", stream=True)
    assert streamed.status == 200
    assert said in streamed.body
    assert DONE[protocol] not in streamed.body


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_stalled_answer_is_held_until_the_client_leaves(
    client: Client, protocol: str, stream: bool
) -> None:
    reader, writer = await client.open(protocol, "stall-after-3", stream=stream)
    await reader.readuntil(b"\r\n\r\n")
    seen = client.behaviour.requests[-1]
    while stream and seen.tokens_sent < 3:
        assert await reader.read(65_536)
    assert seen.outcome is None
    writer.close()
    assert await seen.until_ended() is Outcome.CLIENT_GONE
    assert seen.tokens_sent == 3 or not stream


async def test_silence_lasts_until_the_client_leaves(client: Client) -> None:
    reader, writer = await client.open("openai", "silent")
    seen = await client.behaviour.requests.until(1)
    await asyncio.sleep(0)
    assert seen.status is None
    writer.close()
    assert await seen.until_ended() is Outcome.CLIENT_GONE
    assert await reader.read() == b""


async def test_a_slow_first_token_comes_after_the_role(behaviour: Behaviour) -> None:
    timing = behaviour.timing = HeldTiming()
    async with running_simulator(behaviour) as url, aiohttp.ClientSession(url) as session:
        client = Client(url, session, behaviour)
        reader, writer = await client.open("openai", "slow-first-token-3s-tokens-2")
        await timing.until_asleep()
        first = await reader.readuntil(b"\n\n")
        assert b'"role":"assistant"' in first
        assert client.behaviour.requests[-1].tokens_sent == 0
        timing.advance(2.9)
        assert client.behaviour.requests[-1].tokens_sent == 0
        timing.advance(0.1)
        assert WHOLE in await reader.read()
        writer.close()


@pytest.mark.parametrize(
    ("protocol", "ping", "pings"),
    [
        ("openai", b": simulated ping\n\n", 2),
        ("anthropic", b'event: ping\ndata: {"type":"ping"}\n\n', 3),
        ("google", b": simulated ping\r\n\r\n", 2),
    ],
)
async def test_pings_show_that_a_waiting_stream_lives(
    client: Client, protocol: str, ping: bytes, pings: int
) -> None:
    streamed = await client.ask(protocol, "slow-first-token-3s-pings", stream=True)
    assert streamed.body.count(ping) == pings
    assert text_of(protocol, streamed.events).startswith("A simulated answer.")


async def test_tokens_come_at_the_rate_of_the_name(client: Client, timing: SkippedTiming) -> None:
    await client.ask("openai", "latency-250ms-slow-first-token-2-tps-10-tokens-11", stream=True)
    assert timing.slept[:2] == [0.25, 2]
    assert timing.slept[2:] == pytest.approx([0.1] * 10)
    timing.slept.clear()
    await client.ask("openai", "latency-250ms-slow-first-token-2-tps-10-tokens-11")
    assert timing.slept == [0.25, pytest.approx(3.1)]


async def test_slow_bytes_come_one_by_one(client: Client, timing: SkippedTiming) -> None:
    streamed = await client.ask("openai", "slow-bytes-20ms-tokens-5", stream=True)
    assert text_of("openai", streamed.events).startswith("A simulated answer.")
    assert timing.slept == [0.02] * len(streamed.body)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [True, False])
async def test_the_content_type_may_be_wrong(client: Client, protocol: str, stream: bool) -> None:
    answered = await client.ask(protocol, "wrong-content-type", stream=stream)
    assert answered.headers["content-type"].startswith("text/plain")
    assert b"simulated" in answered.body


@pytest.mark.parametrize("stream", [True, False])
async def test_the_answer_may_be_empty(client: Client, stream: bool) -> None:
    answered = await client.ask("openai", "empty", stream=stream)
    assert (answered.status, answered.body) == (200, b"")


@pytest.mark.parametrize(
    ("model", "status", "body"),
    [
        ("web-page", 200, b"<!doctype html>"),
        ("status-502-web-page", 502, b"<!doctype html>"),
        ("not-found", 404, b'{"detail":"Not Found"}'),
        ("not-json", 200, b"not json"),
        ("other-json", 200, b'{"data"'),
    ],
)
async def test_another_server_may_answer(
    client: Client, model: str, status: int, body: bytes
) -> None:
    answered = await client.ask("anthropic", model)
    assert answered.status == status
    assert answered.body.startswith(body)


async def test_a_redirect_leads_to_where_nobody_may_go(client: Client) -> None:
    got, _ = await client.raw("openai", "redirect")
    assert got.startswith(b"HTTP/1.1 302")
    assert b"location: http://169.254.169.254/" in got


async def test_flapping_fails_and_heals_in_turns(client: Client) -> None:
    statuses = [(await client.ask("openai", "flap-3-2")).status for _ in range(11)]
    assert statuses == [503, 503, 503, 200, 200] * 2 + [503]
    with_fault = [(await client.ask("openai", "flap-1-1-status-500")).status for _ in range(4)]
    assert with_fault == [500, 200, 500, 200]


async def test_errors_at_a_rate_are_the_same_in_each_run(
    client: Client, behaviour: Behaviour
) -> None:
    first = [(await client.ask("openai", "error-rate-50")).status for _ in range(40)]
    behaviour.set_script(None)
    assert [(await client.ask("openai", "error-rate-50")).status for _ in range(40)] == first
    assert 8 < first.count(500) < 32
    behaviour.error_share = 1
    assert (await client.ask("openai", "any-model")).status == 500


@pytest.mark.parametrize(
    ("model", "statuses"),
    [
        ("error-rate-100", {500}),
        ("error-rate-0", {200}),
        ("status-503-error-rate-100", {503}),
    ],
)
async def test_a_rate_may_be_all_or_none(client: Client, model: str, statuses: set[int]) -> None:
    assert {(await client.ask("openai", model)).status for _ in range(5)} == statuses


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_faults_are_set_while_it_runs(client: Client, protocol: str) -> None:
    client.behaviour.fault = Fault.RATE_LIMITED
    answered = await client.ask(protocol, "simulated-large")
    assert answered.status == 429
    client.behaviour.fault = Fault.NONE
    assert (await client.ask(protocol, "simulated-large")).status == 200


async def test_a_client_that_leaves_within_a_stream_is_noticed(client: Client) -> None:
    timing = client.behaviour.timing = HeldTiming()
    reader, writer = await client.open("anthropic", "tps-1-tokens-50")
    await reader.readuntil(b"text_delta")
    seen = client.behaviour.requests[-1]
    await timing.until_asleep()
    writer.close()
    assert await seen.until_ended() is Outcome.CLIENT_GONE
    await asyncio.sleep(0)
    # Nobody goes on answering.
    assert timing.asleep() == 0
    assert seen.tokens_sent == 1


async def test_the_connection_is_kept_after_a_whole_answer(client: Client) -> None:
    for model in ("tokens-5", "status-503", "empty", "no-done"):
        for stream in (True, False):
            await client.ask("openai", model, stream=stream)
    connector = client.session.connector
    assert connector is not None
    assert sum(len(idle) for idle in connector._conns.values()) == 1


async def test_hundreds_of_streams_run_at_once(behaviour: Behaviour) -> None:
    """All of them are open at the same time, each with its first words."""
    behaviour.timing = timing = HeldTiming()
    async with running_simulator(behaviour) as url, aiohttp.ClientSession(url) as session:
        client = Client(url, session, behaviour)
        opened = [await client.open("openai", "tps-5-tokens-5") for _ in range(300)]
        await timing.until_asleep(300)
        assert {seen.tokens_sent for seen in behaviour.requests} == {1}
        timing.advance(60)
        for reader, writer in opened:
            assert (await reader.read()).endswith(WHOLE)
            writer.close()
