"""The simulated provider, asked as any client would ask."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour, Fault

KEY = "simulated-key-0123456789"
PROMPT = {"model": "simulated-large", "messages": [{"role": "user", "content": "hello"}]}
GEMINI_PATH = "/v1beta/models/simulated-large:generateContent"
BEARER = {"Authorization": f"Bearer {KEY}"}
ASKS = [
    ("/v1/chat/completions", BEARER),
    ("/v1/messages", {"x-api-key": KEY, "anthropic-version": "2023-06-01"}),
    (GEMINI_PATH, {"x-goog-api-key": KEY}),
    ("/api/chat", BEARER),
]


class Client:
    """Posts a prompt and reads the answer."""

    def __init__(self, session: aiohttp.ClientSession, behaviour: Behaviour) -> None:
        self.session = session
        self.behaviour = behaviour

    async def post(
        self, path: str, headers: dict[str, str], body: Any = PROMPT
    ) -> tuple[int, dict[str, Any]]:
        async with self.session.post(path, headers=headers, json=body) as response:
            return response.status, await response.json()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    behaviour = Behaviour(api_key=KEY, seed=7)
    async with running_simulator(behaviour) as url, aiohttp.ClientSession(url) as session:
        yield Client(session, behaviour)


async def test_usage_is_counted_in_each_protocols_own_way(client: Client) -> None:
    """The same ask costs the same tokens; the protocols tell it differently."""
    openai, anthropic, gemini, ollama = [
        (await client.post(path, headers))[1] for path, headers in ASKS
    ]
    usage = openai["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert cached <= usage["prompt_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    # Anthropic's input excludes what came from the cache, Gemini's and OpenAI's includes it.
    told = anthropic["usage"]
    assert told["input_tokens"] + told["cache_read_input_tokens"] == usage["prompt_tokens"]
    assert told["cache_read_input_tokens"] == cached
    assert told["output_tokens"] == usage["completion_tokens"]
    told = gemini["usageMetadata"]
    assert told["promptTokenCount"] == usage["prompt_tokens"]
    assert told["cachedContentTokenCount"] == cached
    assert ollama["prompt_eval_count"] == usage["prompt_tokens"]
    assert ollama["eval_count"] == usage["completion_tokens"]
    assert ollama["done"] is True


async def test_the_same_seed_counts_the_same_tokens(client: Client) -> None:
    path, headers = ASKS[0]
    first = await client.post(path, headers)
    assert await client.post(path, headers) == first
    client.behaviour.seed = 8
    assert (await client.post(path, headers))[1]["usage"] != first[1]["usage"]


@pytest.mark.parametrize(("path", "headers"), ASKS)
async def test_an_answer_says_that_it_is_simulated(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    status, answer = await client.post(path, headers)
    assert status == 200
    assert "A simulated answer." in str(answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/chat/completions", 401), ("/v1/messages", 401), (GEMINI_PATH, 400), ("/api/chat", 401)],
)
async def test_a_key_is_wanted_in_its_header(client: Client, path: str, status: int) -> None:
    assert (await client.post(path, {}))[0] == status
    # A key in a URL ends in logs: it is none.
    assert (await client.post(f"{path}?key={KEY}", {}))[0] == status


@pytest.mark.parametrize(("path", "headers"), ASKS)
async def test_faults_are_set_while_it_runs(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    client.behaviour.fault = Fault.RATE_LIMITED
    assert (await client.post(path, headers))[0] == 429
    client.behaviour.fault = Fault.NONE
    assert (await client.post(path, headers))[0] == 200


@pytest.mark.parametrize("body", [None, [], "text", 7, {"model": None}, {"model": {"a": 1}}])
@pytest.mark.parametrize(("path", "headers"), ASKS)
async def test_any_body_is_answered(
    client: Client, path: str, headers: dict[str, str], body: object
) -> None:
    assert (await client.post(path, headers, body))[0] == 200


async def test_what_was_asked_is_kept_within_bounds(client: Client) -> None:
    path, headers = ASKS[0]
    await client.post(path, headers)
    method, asked, sent = client.behaviour.seen[-1]
    assert (method, asked) == ("POST", path)
    assert sent["authorization"] == BEARER["Authorization"]
    assert client.behaviour.seen.maxlen is not None


async def test_it_serves_from_the_moment_that_its_url_is_known() -> None:
    async with (
        running_simulator(Behaviour(api_key=None)) as url,
        aiohttp.ClientSession(url) as session,
        session.get("/api/tags") as response,
    ):
        assert response.status == 200
