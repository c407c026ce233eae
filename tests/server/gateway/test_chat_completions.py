"""`POST /v1/chat/completions` over real HTTP: what callers get, what the provider sees, what is
counted.
"""

import orjson
import pytest

from db.vocabulary import GatewayOutcome, ProviderKind
from tests.server.gateway.world import HELLO, World


async def test_a_plain_request_is_answered_and_counted(world: World) -> None:
    await world.chain("sim-ok")
    reply = await world.ask()
    assert reply.status == 200
    answer = reply.json()
    assert answer["choices"][0]["message"]["content"]
    assert reply.headers["x-trunkline-model"] == "openai-compatible/sim-ok"
    assert reply.attempts == 1
    [stored] = await world.stored()
    assert stored.outcome is GatewayOutcome.ANSWERED
    assert stored.request_id == reply.headers["x-trunkline-request-id"]
    [attempt] = stored.attempts
    assert attempt.input_tokens == answer["usage"]["prompt_tokens"]
    assert attempt.output_tokens == answer["usage"]["completion_tokens"]
    assert world.seen[0].json()["model"] == "sim-ok"


@pytest.mark.parametrize("kind", ProviderKind)
async def test_a_stream_comes_whole_from_every_kind_of_provider(
    sqlite_world: World, kind: ProviderKind
) -> None:
    await sqlite_world.chain("sim-ok", kind=kind)
    reply = await sqlite_world.ask(stream=True, stream_options={"include_usage": True})
    assert reply.status == 200
    events = [line[6:] for line in reply.body.split(b"\n\n") if line.startswith(b"data: ")]
    assert events[-1] == b"[DONE]"
    chunks = [orjson.loads(event) for event in events[:-1]]
    text = "".join(
        chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]
    )
    plain = (await sqlite_world.ask(messages=HELLO)).json()
    assert text == plain["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"]["completion_tokens"] == plain["usage"]["completion_tokens"]


async def test_the_next_step_answers_where_the_first_fails(world: World) -> None:
    await world.chain("sim-fail-500", "sim-ok")
    reply = await world.ask()
    assert reply.status == 200
    assert reply.headers["x-trunkline-model"] == "openai-compatible/sim-ok"
    assert world.seen_models == ["sim-fail-500"] * 3 + ["sim-ok"]
    assert world.time.slept[:2] == [0.5, 1.0]
    attempts = await world.attempts()
    assert [one.outcome for one in attempts] == ["TRANSIENT"] * 3 + [None]
