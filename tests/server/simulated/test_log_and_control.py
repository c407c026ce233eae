"""What the provider saw, and what is set and read while it runs."""

from io import BytesIO

import aiohttp
import pytest

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour, Fault
from server.simulated.request_log import LARGEST_KEPT_BODY, MOST_REQUESTS, Outcome
from server.simulated.timing import SkippedTiming
from tests.server.simulated.asking import Client

KEY = "sk-planted-0123456789-4f2A"


async def test_a_request_is_kept_with_what_came_of_it(
    client: Client, timing: SkippedTiming
) -> None:
    timing.advance(5)
    await client.ask("openai", "latency-2s-tokens-7", stream=True)
    (seen,) = client.behaviour.requests
    assert (seen.number, seen.method, seen.path) == (1, "POST", "/v1/chat/completions")
    assert (seen.model, seen.fault, seen.status) == ("latency-2s-tokens-7", Fault.NONE, 200)
    assert seen.json()["stream"] is True
    assert (seen.tokens_sent, await seen.until_ended()) == (7, Outcome.ANSWERED)
    assert (seen.began, seen.ended) == (5, 7)
    assert (timing.now() - seen.began_at).total_seconds() == 2
    await client.ask("google", "status-503", stream=True)
    assert client.behaviour.requests[-1].path.endswith(":streamGenerateContent?alt=sse")
    assert client.behaviour.requests[-1].fault is Fault.STATUS
    assert [one.number for one in client.behaviour.requests] == [1, 2]


async def test_what_was_asked_is_kept_within_bounds(client: Client) -> None:
    await client.ask("openai", "m", text="x" * 100_000)
    seen = client.behaviour.requests[-1]
    assert len(seen.body) == LARGEST_KEPT_BODY < seen.body_bytes
    with pytest.raises(ValueError):
        seen.json()
    for _ in range(MOST_REQUESTS + 5):
        await client.ask("openai", "tokens-1")
    assert len(client.behaviour.requests) == MOST_REQUESTS == len(client.behaviour.seen)
    assert client.behaviour.requests.total == MOST_REQUESTS + 6
    assert client.behaviour.seen[-1][:2] == ("POST", "/v1/chat/completions")


async def test_the_log_is_read_over_http_without_keys(client: Client) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    await client.post("/v1/chat/completions", {"model": "m"}, **headers)
    assert client.behaviour.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    async with client.session.get("/_simulated/requests") as response:
        text = await response.text()
        told = await response.json()
    assert KEY not in text
    (seen,) = told["requests"]
    assert told["total"] == 1
    assert seen["headers"]["authorization"] == "…4f2A"
    assert (seen["status"], seen["model"], seen["outcome"]) == (400, "m", "answered")
    assert seen["body"] == '{"model": "m"}'
    async with client.session.delete("/_simulated/requests") as response:
        assert response.status == 204
    assert len(client.behaviour.requests) == 0


async def test_a_script_is_put_while_it_runs(client: Client) -> None:
    script = {"models": {"m": ["status-503", "ok"]}}
    for _ in range(2):
        async with client.session.put("/_simulated/script", json=script) as response:
            assert response.status == 204
        # Each time it begins from its beginning.
        assert [(await client.ask("openai", "m")).status for _ in range(3)] == [503, 200, 200]
    async with client.session.put("/_simulated/script", json={"models": {"m": ["x"]}}) as response:
        assert response.status == 400
        assert "m: 'x' is not understood" in (await response.json())["error"]
    async with client.session.put("/_simulated/script", data=BytesIO(b" " * 2**21)) as response:
        assert response.status == 400
    async with client.session.delete("/_simulated/script") as response:
        assert response.status == 204
    assert (await client.ask("openai", "m")).status == 200
    # Nothing of this is among the requests to the provider.
    assert client.behaviour.requests.total == 7


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
async def test_a_page_under_another_name_controls_nothing(client: Client, host: str) -> None:
    headers = {"host": host}
    async with client.session.get("/_simulated/requests", headers=headers) as response:
        assert response.status == 403
    async with client.session.put("/_simulated/script", json={}, headers=headers) as response:
        assert response.status == 403


async def test_it_serves_from_the_moment_that_its_url_is_known() -> None:
    async with (
        running_simulator(Behaviour(api_key=None)) as url,
        aiohttp.ClientSession(url) as session,
        session.get("/api/tags") as response,
    ):
        assert response.status == 200


async def test_its_end_drops_who_still_waits() -> None:
    behaviour = Behaviour(api_key=None)
    async with aiohttp.ClientSession() as session:
        async with running_simulator(behaviour) as url:
            client = Client(url, session, behaviour)
            reader, writer = await client.open("openai", "silent")
            seen = await behaviour.requests.until(1)
        assert seen.outcome is Outcome.CLIENT_GONE
        assert await reader.read() == b""
        writer.close()


async def test_gemini_and_ollama_embed(client: Client) -> None:
    content = {"content": {"parts": [{"text": "one"}]}}
    one = await client.post("/v1beta/models/m:embedContent", content)
    assert len(one.json["embedding"]["values"]) == 768
    asked = {"requests": [content | {"outputDimensionality": 4}, content]}
    two = await client.post("/v1beta/models/m:batchEmbedContents", asked)
    assert [len(vector["values"]) for vector in two.json["embeddings"]] == [4, 4]
    ollama = await client.post("/api/embed", {"model": "m", "input": ["one", "two"]})
    assert len(ollama.json["embeddings"]) == 2
    assert ollama.json["prompt_eval_count"] == 2
    limited = await client.post("/api/embed", {"model": "rate-limited", "input": "one"})
    assert limited.status == 429
    huge = {"model": "m", "input": ["x"] * 2_048, "dimensions": 4_096}
    assert (await client.post("/v1/embeddings", huge)).status == 400
