"""What failed answers say, in the words that providers really use."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.vocabulary import ConnectionTestStatus as Status
from db.vocabulary import ProviderKind as Kind
from trunkline.providers.connection import ADAPTERS
from trunkline.providers.failures import message_of
from trunkline.providers.outgoing import Answer

ANTHROPIC_SPEND_LIMIT = {
    "type": "error",
    "error": {
        "type": "rate_limit_error",
        "message": "You have reached your specified API usage limits.",
        "details": {"error_code": "enforced_spend_limit_reached"},
    },
}
GEMINI_RATE = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "21s"}],
    }
}
GEMINI_DEPLETED = {
    "error": {
        "code": 429,
        "message": "Your prepayment credits are depleted. Please go to AI Studio.",
        "status": "RESOURCE_EXHAUSTED",
    }
}
GEMINI_BAD_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "…ErrorInfo", "reason": "API_KEY_INVALID"}],
    }
}


def anthropic(kind: str, message: str = "…") -> dict[str, object]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def openai(code: str | None, kind: str = "…", message: str = "…") -> dict[str, object]:
    return {"error": {"code": code, "type": kind, "param": None, "message": message}}


@pytest.mark.parametrize(
    ("kind", "http_status", "body", "status"),
    [
        (Kind.OPENAI, 401, openai("invalid_api_key"), Status.INVALID_KEY),
        (Kind.OPENAI, 429, openai("insufficient_quota"), Status.NO_CREDIT),
        (Kind.OPENAI, 429, openai(None, "insufficient_quota"), Status.NO_CREDIT),
        (Kind.OPENAI, 429, openai("rate_limit_exceeded"), Status.RATE_LIMITED),
        (Kind.OPENAI, 403, openai("unsupported_country_region_territory"), Status.FORBIDDEN),
        (Kind.OPENAI_COMPATIBLE, 400, [GEMINI_BAD_KEY], Status.INVALID_KEY),
        (
            Kind.OPENAI_COMPATIBLE,
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"},
            Status.INVALID_KEY,
        ),
        (Kind.OPENAI_COMPATIBLE, 401, {"detail": "Unauthorized"}, Status.INVALID_KEY),
        (Kind.OPENAI_COMPATIBLE, 402, {"error": {"code": 402}}, Status.NO_CREDIT),
        (Kind.ANTHROPIC, 401, anthropic("authentication_error"), Status.INVALID_KEY),
        (Kind.ANTHROPIC, 402, anthropic("billing_error"), Status.NO_CREDIT),
        (
            Kind.ANTHROPIC,
            400,
            anthropic("invalid_request_error", "Your credit balance is too low to access"),
            Status.NO_CREDIT,
        ),
        (Kind.ANTHROPIC, 429, ANTHROPIC_SPEND_LIMIT, Status.NO_CREDIT),
        (Kind.ANTHROPIC, 429, anthropic("rate_limit_error"), Status.RATE_LIMITED),
        (Kind.ANTHROPIC, 403, anthropic("permission_error"), Status.FORBIDDEN),
        (Kind.ANTHROPIC, 529, anthropic("overloaded_error"), Status.UPSTREAM_ERROR),
        (Kind.GOOGLE, 400, GEMINI_BAD_KEY, Status.INVALID_KEY),
        (Kind.GOOGLE, 429, GEMINI_RATE, Status.RATE_LIMITED),
        (Kind.GOOGLE, 429, GEMINI_DEPLETED, Status.NO_CREDIT),
        (Kind.GOOGLE, 403, {"error": {"status": "PERMISSION_DENIED"}}, Status.FORBIDDEN),
        (Kind.OLLAMA, 401, {"error": "unauthorized"}, Status.INVALID_KEY),
    ],
)
def test_the_body_tells_before_the_status(
    kind: Kind, http_status: int, body: object, status: Status
) -> None:
    assert ADAPTERS[kind].classify(http_status, orjson.dumps(body)) is status


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"null", b"7", b'{"error": {}}', b"\xff"])
@pytest.mark.parametrize(
    ("http_status", "status"),
    [
        (401, Status.INVALID_KEY),
        (402, Status.NO_CREDIT),
        (403, Status.FORBIDDEN),
        (404, Status.UNEXPECTED_RESPONSE),
        (408, Status.TIMEOUT),
        (418, Status.UNEXPECTED_RESPONSE),
        (429, Status.RATE_LIMITED),
        (500, Status.UPSTREAM_ERROR),
        (503, Status.UPSTREAM_ERROR),
        (504, Status.TIMEOUT),
        (529, Status.UPSTREAM_ERROR),
        (302, Status.UNEXPECTED_RESPONSE),
    ],
)
def test_a_body_without_a_known_code_leaves_the_status(
    kind: Kind, body: bytes, http_status: int, status: Status
) -> None:
    assert ADAPTERS[kind].classify(http_status, body) is status


def test_a_word_in_the_wrong_place_is_no_code() -> None:
    echoed = {"error": {"message": "no model named insufficient_quota", "model": "billing_error"}}
    body = orjson.dumps(echoed)
    assert ADAPTERS[Kind.OPENAI].classify(500, body) is Status.UPSTREAM_ERROR
    assert ADAPTERS[Kind.ANTHROPIC].classify(500, body) is Status.UPSTREAM_ERROR


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "x"]), inner),
)


@given(JSON, st.sampled_from(list(Kind)), st.integers(400, 599))
def test_any_json_is_classed(body: object, kind: Kind, http_status: int) -> None:
    encoded = orjson.dumps(body)
    status = ADAPTERS[kind].classify(http_status, encoded)
    assert message_of(status, Answer(http_status, {}, encoded))


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example/sso?token=planted", "https://login.example,"),
        ("https://user:planted@login.example:8443/x", "https://login.example:8443,"),
        ("https://[2606:4700::1]/planted", "https://[2606:4700::1],"),
        ("/planted", "another path,"),
        ("//login.example/planted", "somewhere else,"),
        ("javascript:planted", "somewhere else,"),
        ("https://[planted", "somewhere else,"),
        ("https://login.example:planted/", "somewhere else,"),
        ("", "somewhere else,"),
    ],
)
def test_a_redirect_is_told_by_its_origin_alone(location: str, shown: str) -> None:
    answer = Answer(302, {"location": location}, b"")
    message = message_of(Status.UNEXPECTED_RESPONSE, answer)
    assert shown in message
    assert "planted" not in message


def test_a_page_that_refuses_is_called_a_page() -> None:
    answer = Answer(403, {"content-type": "text/HTML"}, b"Blocked")
    assert "web page" in message_of(Status.FORBIDDEN, answer)
