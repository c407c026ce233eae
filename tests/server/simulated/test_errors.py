"""Errors as each real provider words them, and what they say about coming back."""

from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from server.simulated.timing import SkippedTiming
from tests.server.simulated.asking import PROTOCOLS, Client, path_of

ERRORS: dict[str, dict[str, tuple[int, str]]] = {
    "openai": {
        "bad-key": (401, "invalid_api_key"),
        "no-credit": (429, "insufficient_quota"),
        "rate-limited": (429, "rate_limit_exceeded"),
        "model-not-found": (404, "model_not_found"),
        "too-long": (400, "context_length_exceeded"),
        "content-filter": (400, "content_filter"),
        "server-error": (500, "server_error"),
        "overloaded": (503, "server_error"),
        "status-503": (503, "overloaded"),
        "status-418": (418, "invalid_request_error"),
        "fail-504": (504, "server_error"),
    },
    "anthropic": {
        "bad-key": (401, "authentication_error"),
        "no-credit": (400, "credit balance is too low"),
        "no-credit-status-402": (402, "billing_error"),
        "no-credit-status-429": (429, "enforced_spend_limit_reached"),
        "rate-limited": (429, "rate_limit_error"),
        "model-not-found": (404, "not_found_error"),
        "too-long": (400, "prompt is too long"),
        "content-filter": (400, "content filtering policy"),
        "server-error": (500, "api_error"),
        "overloaded": (529, "overloaded_error"),
        "status-400": (400, "invalid_request_error"),
        "status-413": (413, "request_too_large"),
        "fail-529": (529, "overloaded_error"),
    },
    "google": {
        "bad-key": (400, "API_KEY_INVALID"),
        "no-credit": (402, "FAILED_PRECONDITION"),
        "rate-limited": (429, "RESOURCE_EXHAUSTED"),
        "model-not-found": (404, "NOT_FOUND"),
        "too-long": (400, "exceeds the maximum number of tokens"),
        "server-error": (500, "INTERNAL"),
        "overloaded": (503, "UNAVAILABLE"),
        "status-504": (504, "DEADLINE_EXCEEDED"),
    },
    "ollama": {
        "bad-key": (401, "unauthorized"),
        "model-not-found": (404, "not found"),
        "too-long": (400, "context length"),
        "rate-limited": (429, "too many"),
        "server-error": (500, "llama runner"),
        "overloaded": (503, "server busy"),
    },
}


@pytest.mark.parametrize(
    ("protocol", "model"), [(one, model) for one, models in ERRORS.items() for model in models]
)
async def test_an_error_has_its_status_and_words(client: Client, protocol: str, model: str) -> None:
    status, said = ERRORS[protocol][model]
    for stream in (False, True):
        answered = await client.ask(protocol, model, stream=stream)
        assert answered.status == status
        assert said in answered.body.decode()
        assert answered.headers["content-type"] == "application/json"
        assert "retry-after" not in answered.headers


async def test_each_protocol_has_its_own_shape(client: Client) -> None:
    shapes = [(await client.ask(one, "overloaded")).json for one in PROTOCOLS]
    openai, anthropic, google, ollama = shapes
    assert openai["error"].keys() == {"message", "type", "param", "code"}
    assert anthropic.keys() == {"type", "error", "request_id"}
    assert google["error"].keys() == {"code", "message", "status"}
    assert ollama.keys() == {"error"}


@pytest.mark.parametrize("stream", [False, True])
async def test_gemini_blocks_a_prompt_with_a_200(client: Client, stream: bool) -> None:
    answered = await client.ask("google", "content-filter", stream=stream)
    said = answered.events[0] if stream else answered.json
    assert answered.status == 200
    assert said["promptFeedback"]["blockReason"]
    assert "candidates" not in said


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "ollama"])
async def test_when_to_come_back_is_a_header(
    client: Client, protocol: str, timing: SkippedTiming
) -> None:
    seconds = await client.ask(protocol, "fail-429-retry-after-2")
    assert seconds.headers["retry-after"] == "2"
    millis = await client.ask(protocol, "fail-429-retry-after-ms-1500")
    assert millis.headers["retry-after-ms"] == "1500"
    date = await client.ask(protocol, "overloaded-retry-after-date-30s")
    then = parsedate_to_datetime(date.headers["retry-after"])
    assert timedelta(seconds=30) <= then - timing.now() < timedelta(seconds=31)
    told = await client.ask(protocol, "status-500-should-not-retry")
    assert told.headers["x-should-retry"] == "false"


async def test_gemini_says_it_in_the_body(client: Client) -> None:
    answered = await client.ask("google", "rate-limited-retry-after-ms-1500")
    assert "retry-after-ms" not in answered.headers
    details: list[dict[str, Any]] = answered.json["error"]["details"]
    kinds = {one["@type"].rpartition(".")[2]: one for one in details}
    assert kinds["RetryInfo"]["retryDelay"] == "1.5s"
    assert "QuotaFailure" in kinds


@pytest.mark.parametrize(
    ("protocol", "headers", "status"),
    [
        ("openai", {"authorization": "Bearer KEY"}, 401),
        ("anthropic", {"x-api-key": "KEY", "anthropic-version": "2023-06-01"}, 401),
        ("google", {"x-goog-api-key": "KEY"}, 400),
        ("ollama", {"authorization": "Bearer KEY"}, 401),
    ],
)
async def test_a_key_is_wanted_in_its_header(
    client: Client, protocol: str, headers: dict[str, str], status: int
) -> None:
    client.behaviour.api_key = "right-key-0123456789"
    path = path_of(protocol, "m")
    right = {name: value.replace("KEY", "right-key-0123456789") for name, value in headers.items()}
    wrong = {name: value.replace("KEY", "wrong-key") for name, value in headers.items()}
    # With the right one, it is the body that is wrong.
    assert b"key" not in (await client.post(path, [], **right)).body.lower()
    assert (await client.post(path, {}, **wrong)).status == status
    # A key in a URL ends in logs: it is none.
    with_key = path + "?key=right-key-0123456789"
    assert (await client.post(with_key, {})).status == status


async def test_a_prompt_over_the_models_context_is_too_long(client: Client) -> None:
    assert (await client.ask("openai", "context-100", text="x" * 380)).status == 200
    answered = await client.ask("openai", "context-100", text="x" * 400)
    assert answered.json["error"]["code"] == "context_length_exceeded"


async def test_a_huge_body_is_refused_and_not_kept(client: Client) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b"x" * 2**20

    async with client.session.post("/v1/messages", data=pieces()) as response:
        assert response.status == 413
        assert (await response.json())["error"]["type"] == "request_too_large"
    seen = client.behaviour.requests[-1]
    assert (seen.body, seen.body_bytes) == (b"", 40 * 2**20)


@pytest.mark.parametrize("host", ["[", "a b", "é", "//", ""])
async def test_any_host_is_answered(client: Client, host: str) -> None:
    for path in (path_of("google", "m", stream=True), "/v1beta/models/m:batchEmbedContents"):
        assert (await client.post(path, {}, host=host)).status == 400


async def test_a_deep_body_is_refused(client: Client) -> None:
    async with client.session.post("/v1/chat/completions", data=b"[" * 100_000) as response:
        assert response.status == 400
