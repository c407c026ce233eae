"""What class a provider's failure is of, in the words that providers really use."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.vocabulary import ProviderKind
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.script import Script
from server.simulated.timing import SkippedTiming
from tests.trunkline.providers.scripted import Everywhere
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.failed_answers import MOST_BODY_BYTES, failed_answer, failed_request
from trunkline.providers.outgoing import Outgoing
from trunkline.providers.outgoing_errors import (
    AddressRefused,
    BrokenAnswer,
    ConnectTimedOut,
    HeaderRefused,
    OutgoingError,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from trunkline.retry_after import FOREVER_SECONDS, retry_after_seconds

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
Failure = FailureClass
OPENAI, ANTHROPIC = ProviderKind.OPENAI, ProviderKind.ANTHROPIC
GOOGLE, OLLAMA = ProviderKind.GOOGLE, ProviderKind.OLLAMA

_TURNS = [{"role": "user", "content": "hi"}]
REQUESTS: dict[ProviderKind, tuple[str, dict[str, Any]]] = {
    OPENAI: ("/v1/chat/completions", {"model": "m", "messages": _TURNS}),
    ANTHROPIC: ("/v1/messages", {"model": "m", "max_tokens": 10, "messages": _TURNS}),
    GOOGLE: ("/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
    OLLAMA: ("/api/chat", {"model": "m", "messages": _TURNS, "stream": False}),
}


def told(kind: ProviderKind, status: int, body: object = None, **headers: str) -> AttemptFailure:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return failed_answer(kind, status, lower, raw, NOW)


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    async with Everywhere() as made:
        yield made


async def asked(outgoing: Outgoing, kind: ProviderKind, words: str) -> AttemptFailure:
    """Ask a provider that fails as these words say."""
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    behaviour.set_script(Script({"*": [words]}))
    path, body = REQUESTS[kind]
    headers = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
    async with running_simulator(behaviour) as url:
        try:
            async with outgoing.stream(
                kind, url + path, headers=headers, body=orjson.dumps(body), timeout_seconds=20
            ) as stream:
                return failed_answer(
                    kind,
                    stream.status,
                    stream.headers,
                    await stream.beginning(MOST_BODY_BYTES),
                    NOW,
                )
        except OutgoingError as error:
            return failed_request(error)


FAILURES = [
    ("server-error", Failure.TRANSIENT, "step"),
    ("overloaded", Failure.TRANSIENT, "step"),
    ("status-502", Failure.TRANSIENT, "step"),
    ("status-408", Failure.TRANSIENT, "step"),
    ("status-409", Failure.TRANSIENT, "step"),
    ("status-425", Failure.TRANSIENT, "step"),
    ("reset", Failure.TRANSIENT, "step"),
    ("rate-limited", Failure.RATE_LIMITED, "step"),
    ("too-long", Failure.TOO_LONG, "step"),
    ("status-413", Failure.TOO_LONG, "step"),
    ("bad-key", Failure.UNAVAILABLE, "provider"),
    ("no-credit", Failure.UNAVAILABLE, "provider"),
    ("forbidden", Failure.UNAVAILABLE, "provider"),
    ("model-not-found", Failure.UNAVAILABLE, "model"),
    ("redirect", Failure.UNAVAILABLE, "step"),
    ("content-filter", Failure.REJECTED, "step"),
    ("invalid", Failure.INVALID, "step"),
    ("status-422", Failure.INVALID, "step"),
]


@pytest.mark.parametrize(
    ("kind", "words", "expected", "scope"),
    [
        (kind, *failure)
        for kind in REQUESTS
        for failure in FAILURES
        # Others refuse content within an answer.
        if failure[0] != "content-filter" or kind is OPENAI
    ],
)
async def test_each_failure_is_classed_in_every_protocol(
    outgoing: Outgoing, kind: ProviderKind, words: str, expected: FailureClass, scope: str
) -> None:
    found = await asked(outgoing, kind, words)
    assert (found.failure_class, found.scope) == (expected, scope)
    assert found.reason
    refused = expected in {Failure.REJECTED, Failure.INVALID}
    assert (found.provider_words is not None) == refused


@pytest.mark.parametrize("kind", [OPENAI, ANTHROPIC])
async def test_what_it_asks_to_wait_is_read(outgoing: Outgoing, kind: ProviderKind) -> None:
    for words, seconds in (
        ("rate-limited-retry-after-7", 7.0),
        ("overloaded-retry-after-ms-1500", 1.5),
    ):
        assert (await asked(outgoing, kind, words)).wait_seconds == seconds


def test_waits_come_in_every_form() -> None:
    later = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    assert told(OPENAI, 429, retry_after="3").wait_seconds == 3
    assert told(OPENAI, 429, retry_after=later).wait_seconds == 90
    assert told(OPENAI, 429, retry_after="3", retry_after_ms="250").wait_seconds == 0.25
    assert told(OPENAI, 429, retry_after_ms="-1", retry_after="3").wait_seconds == 3
    retry_info = {"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "21.5s"}]}}
    found = told(GOOGLE, 429, retry_info)
    assert (found.failure_class, found.wait_seconds) == (Failure.RATE_LIMITED, 21.5)
    assert told(GOOGLE, 429, {"error": {"details": [{"retryDelay": "soon"}]}}).wait_seconds is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0), (" 12 ", 12), ("1.5", 1.5), ("9" * 50, FOREVER_SECONDS), ("-3", None),
        ("1e9", None), ("٣", None), ("", None), ("soon", None),
        ("Mon, 23 Nov 2026 14:00:00 GMT", 0), ("Mon, 23 Nov 2026 15:01:00", 60),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(said: str, seconds: float | None) -> None:
    assert retry_after_seconds(said, NOW) == seconds


@pytest.mark.parametrize(
    ("kind", "status", "body", "expected"),
    [
        # By the code, whatever the status says.
        (OPENAI, 429, {"error": {"type": "insufficient_quota"}}, Failure.UNAVAILABLE),
        (GOOGLE, 400, {"error": {"details": [{"reason": "API_KEY_INVALID"}]}}, Failure.UNAVAILABLE),
        (
            ANTHROPIC,
            400,
            {"error": {"message": "Your credit balance is too low to access the API."}},
            Failure.UNAVAILABLE,
        ),
        (ANTHROPIC, 529, {"error": {"type": "overloaded_error"}}, Failure.TRANSIENT),
        # By the words, where the code tells nothing.
        (
            ANTHROPIC,
            400,
            {"error": {"type": "invalid_request_error",
                       "message": "prompt is too long: 250000 tokens > 200000 maximum"}},
            Failure.TOO_LONG,
        ),
        (
            GOOGLE,
            400,
            {"error": {"status": "INVALID_ARGUMENT", "message": "The input token count (2) "
                       "exceeds the maximum number of tokens allowed (1)."}},
            Failure.TOO_LONG,
        ),
        (
            OPENAI,
            400,
            {"error": {"code": "400", "message": "This model's maximum context length is 8192"}},
            Failure.TOO_LONG,
        ),
        # xAI's.
        (
            OPENAI,
            400,
            {"code": "Client specified an invalid argument",
             "error": "This model's maximum prompt length is 131072 but the request contains "
                      "136973 tokens."},
            Failure.TOO_LONG,
        ),
        (OLLAMA, 404, {"error": "model 'x' not found"}, Failure.UNAVAILABLE),
        # What is no JSON is told by its status.
        (OPENAI, 503, b"<html>busy</html>", Failure.TRANSIENT),
        (OPENAI, 400, b"\xff\x00", Failure.INVALID),
        (OPENAI, 200, b"<html>a portal</html>", Failure.TRANSIENT),
        # A server's own trouble is no refusal of what was asked, whatever it says.
        (OPENAI, 500, {"error": {"message": "content management policy"}}, Failure.TRANSIENT),
    ],
)  # fmt: skip
def test_codes_come_before_the_status(
    kind: ProviderKind, status: int, body: object, expected: FailureClass
) -> None:
    assert told(kind, status, body).failure_class is expected


def test_the_provider_s_words_are_one_bounded_line() -> None:
    said = "tools.0:\u202e bad\n\n" + "x" * 10_000
    found = told(OPENAI, 400, {"error": {"message": said}}).provider_words
    assert found is not None
    assert found.startswith("tools.0:� bad xxx")
    assert len(found) <= 500
    assert found.isprintable()


@pytest.mark.parametrize(
    ("error", "expected", "scope"),
    [
        (TimedOut("…"), Failure.TIMEOUT, "step"),
        (ConnectTimedOut("…"), Failure.TIMEOUT, "step"),
        (Unreachable("…"), Failure.TRANSIENT, "step"),
        (BrokenAnswer("…"), Failure.TRANSIENT, "step"),
        (AddressRefused("…"), Failure.UNAVAILABLE, "provider"),
        (HeaderRefused("…"), Failure.UNAVAILABLE, "provider"),
        (TlsFailed("…"), Failure.UNAVAILABLE, "provider"),
    ],
)
def test_errors_on_the_way_are_classed(
    error: OutgoingError, expected: FailureClass, scope: str
) -> None:
    found = failed_request(error)
    assert (found.failure_class, found.scope, found.reason) == (expected, scope, "…")


@given(kind=st.sampled_from(list(REQUESTS)), status=st.integers(300, 999), body=st.binary())
def test_any_bytes_are_some_failure(kind: ProviderKind, status: int, body: bytes) -> None:
    assert told(kind, status, body).failure_class in FailureClass


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "message", "retryDelay"]), inner
        )
    ),
)


@given(kind=st.sampled_from(list(REQUESTS)), status=st.integers(300, 599), body=_JSON)
def test_any_json_is_some_failure(kind: ProviderKind, status: int, body: object) -> None:
    found = told(kind, status, body)
    assert found.failure_class in FailureClass
    assert found.wait_seconds is None or found.wait_seconds >= 0
