"""Anthropic's errors: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

https://platform.claude.com/docs/en/api/errors
"""

from server.simulated.faults import Fault
from server.simulated.json_values import Json
from server.simulated.protocols.protocol import Failure
from server.simulated.reaction import Reaction

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_ERRORS: dict[Fault, tuple[int, str]] = {
    Fault.INVALID: (400, "The request is not valid."),
    Fault.BAD_KEY: (401, "invalid x-api-key"),
    Fault.NO_CREDIT: (
        400,
        (
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
            "Billing to upgrade or purchase credits."
        ),
    ),
    Fault.FORBIDDEN: (403, "Your API key does not have permission to use the specified resource."),
    Fault.MODEL_NOT_FOUND: (404, "model: {model}"),
    Fault.TOO_LONG: (400, "prompt is too long: 208310 tokens > 200000 maximum"),
    Fault.CONTENT_FILTER: (400, "Output blocked by content filtering policy"),
    Fault.RATE_LIMITED: (
        429,
        "This request would exceed your organization's rate limit of 50 requests per minute.",
    ),
    Fault.SERVER_ERROR: (500, "Internal server error"),
    Fault.OVERLOADED: (529, "Overloaded"),
}
_BY_STATUS = {status: fault for fault, (status, _) in reversed(_ERRORS.items())}


def error(kind: str, message: str) -> Json:
    """The body of an error."""
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_simulated",
    }


def failure(reaction: Reaction, model: str) -> Failure:
    """The error that this reaction is. A lack of credit comes as 400, 402 or 429."""
    fault = reaction.fault
    if fault is Fault.STATUS:
        fault = _BY_STATUS.get(reaction.status or 500, fault)
        if reaction.status == 400:
            fault = Fault.INVALID
    status, words = _ERRORS.get(fault, (500, "A simulated error."))
    status = reaction.status or status
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    message = reaction.message or words.replace("{model}", model)
    body = error(kind, message)
    if fault is Fault.NO_CREDIT and status == 429:
        # A limit on spending that the customer set.
        body = error(kind, "You have reached your specified API usage limits.")
        details = {"error_code": "enforced_spend_limit_reached"}
        body["error"] = {"type": kind, "message": message, "details": details}
    return Failure(status, body)
