"""OpenAI's errors: `{"error": {"message", "type", "param", "code"}}`.

https://platform.openai.com/docs/guides/error-codes
"""

from server.simulated.faults import Fault
from server.simulated.json_values import Json
from server.simulated.protocols.protocol import Failure
from server.simulated.reaction import Reaction

_INVALID = "invalid_request_error"
# Status, type, code, field, message. `{model}` is filled in.
_ERRORS: dict[Fault, tuple[int, str, str | None, str | None, str]] = {
    Fault.INVALID: (400, _INVALID, None, None, "The request is not valid."),
    Fault.BAD_KEY: (401, _INVALID, "invalid_api_key", None, "Incorrect API key provided."),
    Fault.NO_CREDIT: (
        429, "insufficient_quota", "insufficient_quota", None,
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    Fault.FORBIDDEN: (
        403, _INVALID, "unsupported_country_region_territory", None,
        "Country, region, or territory not supported",
    ),
    Fault.MODEL_NOT_FOUND: (
        404, _INVALID, "model_not_found", None,
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    Fault.TOO_LONG: (
        400, _INVALID, "context_length_exceeded", "messages",
        ("This model's maximum context length is 8192 tokens. However, your messages resulted in "
        "9000 tokens. Please reduce the length of the messages."),
    ),
    Fault.CONTENT_FILTER: (
        400, _INVALID, "content_filter", "prompt",
        ("The response was filtered due to the prompt triggering the content management policy. "
        "Please modify your prompt and retry."),
    ),
    Fault.RATE_LIMITED: (
        429, "requests", "rate_limit_exceeded", None,
        "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, Requested 1.",
    ),
    Fault.SERVER_ERROR: (
        500, "server_error", None, None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    Fault.OVERLOADED: (
        503, "server_error", None, None,
        "The engine is currently overloaded, please try again later.",
    ),
}  # fmt: skip
_BY_STATUS = {
    400: Fault.INVALID,
    401: Fault.BAD_KEY,
    403: Fault.FORBIDDEN,
    404: Fault.MODEL_NOT_FOUND,
    429: Fault.RATE_LIMITED,
    500: Fault.SERVER_ERROR,
    503: Fault.OVERLOADED,
}


def error(kind: str, message: str, code: str | None = None, field: str | None = None) -> Json:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": field, "code": code}}


def failure(reaction: Reaction, model: str) -> Failure:
    """The error that this reaction is."""
    fault, wanted = reaction.fault, reaction.status
    if fault is Fault.STATUS:
        found = _BY_STATUS.get(wanted or 500)
        if found is None:
            kind = "server_error" if (wanted or 500) >= 500 else _INVALID
            words = reaction.message or f"A simulated error with status {wanted}."
            return Failure(wanted or 500, error(kind, words))
        fault = found
    status, kind, code, field, words = _ERRORS[fault]
    message = reaction.message or words.replace("{model}", model)
    return Failure(wanted or status, error(kind, message, code, field))
