"""The four protocols as a provider speaks them: lists, answers, and each one's own errors.

Sources: platform.openai.com/docs/api-reference, docs.anthropic.com/en/api,
ai.google.dev/api, docs.ollama.com/api.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from server.simulated.behaviour import Behaviour, Fault

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one protocol reads a key, fails, lists and answers."""

    key_of: Callable[[Request], str | None]
    bad_key: tuple[int, Json]
    faults: dict[Fault, tuple[int, Json]]
    list_models: Callable[[Behaviour, Request], Json]
    answer: Callable[[str, tuple[int, int, int]], Json]


def _bearer(request: Request) -> str | None:
    return request.headers.get("authorization", "").removeprefix("Bearer ") or None


def _openai_error(kind: str, message: str, code: str | None = None) -> Json:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _list_openai(behaviour: Behaviour, _request: Request) -> Json:
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulated"}
            for name in behaviour.models
        ],
    }


def _answer_openai(model: str, tokens: tuple[int, int, int]) -> Json:
    input_tokens, cached, output_tokens = tokens
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A simulated answer."},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _anthropic_error(kind: str, message: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _list_anthropic(behaviour: Behaviour, request: Request) -> Json:
    after = request.query_params.get("after_id")
    begin = behaviour.models.index(after) + 1 if after in behaviour.models else 0
    page = behaviour.models[begin : begin + behaviour.page_size]
    return {
        "data": [
            {
                "type": "model",
                "id": name,
                "display_name": name.title(),
                "created_at": "2026-01-01T00:00:00Z",
                "max_input_tokens": 200_000,
                "max_tokens": 64_000,
                "capabilities": {
                    "image_input": {"supported": True},
                    "thinking": {"supported": False},
                },
            }
            for name in page
        ],
        "has_more": begin + behaviour.page_size < len(behaviour.models),
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }


def _answer_anthropic(model: str, tokens: tuple[int, int, int]) -> Json:
    input_tokens, cached, output_tokens = tokens
    return {
        "id": "msg_simulated",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "A simulated answer."}],
        "stop_reason": "end_turn",
        # This protocol counts cached tokens beside the input.
        "usage": {
            "input_tokens": input_tokens - cached,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": output_tokens,
        },
    }


def _google_error(code: int, status: str, message: str, reason: str | None = None) -> Json:
    details = (
        [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    )
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


def _list_google(behaviour: Behaviour, request: Request) -> Json:
    token = request.query_params.get("pageToken", "")
    begin = int(token) if token.isdecimal() else 0
    end = begin + behaviour.page_size
    listed: Json = {
        "models": [
            {
                "name": f"models/{name}",
                "displayName": name.title(),
                "inputTokenLimit": 1_000_000,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }
            for name in behaviour.models[begin:end]
        ]
    }
    if end < len(behaviour.models):
        listed["nextPageToken"] = str(end)
    return listed


def _answer_google(_model: str, tokens: tuple[int, int, int]) -> Json:
    input_tokens, cached, output_tokens = tokens
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "A simulated answer."}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": input_tokens,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": output_tokens,
            "thoughtsTokenCount": 0,
            "totalTokenCount": input_tokens + output_tokens,
        },
    }


def _list_ollama(behaviour: Behaviour, _request: Request) -> Json:
    return {"models": [{"name": name, "model": name, "size": 1} for name in behaviour.models]}


def _answer_ollama(model: str, tokens: tuple[int, int, int]) -> Json:
    return {
        "model": model,
        "message": {"role": "assistant", "content": "A simulated answer."},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": tokens[0],
        "eval_count": tokens[2],
    }


OPENAI = Protocol(
    key_of=_bearer,
    bad_key=(
        401,
        _openai_error("invalid_request_error", "Incorrect API key provided.", "invalid_api_key"),
    ),
    faults={
        Fault.NO_CREDIT: (
            429,
            _openai_error("insufficient_quota", "You exceeded your quota.", "insufficient_quota"),
        ),
        Fault.FORBIDDEN: (403, _openai_error("invalid_request_error", "Not allowed.")),
        Fault.RATE_LIMITED: (
            429,
            _openai_error("requests", "Rate limit reached.", "rate_limit_exceeded"),
        ),
        Fault.SERVER_ERROR: (500, _openai_error("server_error", "It failed.")),
        Fault.OVERLOADED: (503, _openai_error("server_error", "Overloaded.")),
    },
    list_models=_list_openai,
    answer=_answer_openai,
)
ANTHROPIC = Protocol(
    key_of=lambda request: request.headers.get("x-api-key"),
    bad_key=(401, _anthropic_error("authentication_error", "invalid x-api-key")),
    faults={
        Fault.NO_CREDIT: (
            400,
            _anthropic_error("invalid_request_error", "Your credit balance is too low."),
        ),
        Fault.FORBIDDEN: (403, _anthropic_error("permission_error", "Not allowed.")),
        Fault.RATE_LIMITED: (429, _anthropic_error("rate_limit_error", "Slow down.")),
        Fault.SERVER_ERROR: (500, _anthropic_error("api_error", "It failed.")),
        Fault.OVERLOADED: (529, _anthropic_error("overloaded_error", "Overloaded.")),
    },
    list_models=_list_anthropic,
    answer=_answer_anthropic,
)
GOOGLE = Protocol(
    key_of=lambda request: request.headers.get("x-goog-api-key"),
    bad_key=(
        400,
        _google_error(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID"),
    ),
    faults={
        Fault.NO_CREDIT: (402, _google_error(402, "FAILED_PRECONDITION", "No credit is left.")),
        Fault.FORBIDDEN: (403, _google_error(403, "PERMISSION_DENIED", "Not allowed.")),
        Fault.RATE_LIMITED: (
            429,
            # The real words: they speak of billing though it is only the rate.
            _google_error(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
            ),
        ),
        Fault.SERVER_ERROR: (500, _google_error(500, "INTERNAL", "It failed.")),
        Fault.OVERLOADED: (503, _google_error(503, "UNAVAILABLE", "Overloaded.")),
    },
    list_models=_list_google,
    answer=_answer_google,
)
OLLAMA = Protocol(
    key_of=_bearer,
    bad_key=(401, {"error": "unauthorized"}),
    faults={
        Fault.NO_CREDIT: (402, {"error": "no credit is left"}),
        Fault.FORBIDDEN: (403, {"error": "not allowed"}),
        Fault.RATE_LIMITED: (429, {"error": "slow down"}),
        Fault.SERVER_ERROR: (500, {"error": "it failed"}),
        Fault.OVERLOADED: (503, {"error": "server busy"}),
    },
    list_models=_list_ollama,
    answer=_answer_ollama,
)
