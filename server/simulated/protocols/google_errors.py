"""Gemini's errors: `{"error": {"code", "message", "status", "details"}}`.

https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors
"""

from server.simulated.faults import Fault
from server.simulated.json_values import Json
from server.simulated.protocols.protocol import Failure
from server.simulated.reaction import Reaction

_TYPE = "type.googleapis.com/google.rpc."
_ERRORS: dict[Fault, tuple[int, str]] = {
    Fault.INVALID: (400, "Request contains an invalid argument."),
    Fault.BAD_KEY: (400, "API key not valid. Please pass a valid API key."),
    Fault.NO_CREDIT: (402, "Your prepayment credits are depleted."),
    Fault.FORBIDDEN: (403, "The caller does not have permission"),
    Fault.MODEL_NOT_FOUND: (
        404,
        (
            "models/{model} is not found for API version v1beta, or is not supported for "
            "generateContent. Call ListModels to see the list of available models and their "
            "supported methods."
        ),
    ),
    Fault.TOO_LONG: (
        400,
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
    ),
    # The real words: they speak of billing though it is only the rate.
    Fault.RATE_LIMITED: (
        429,
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    Fault.SERVER_ERROR: (
        500,
        (
            "An internal error has occurred. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting"
        ),
    ),
    Fault.OVERLOADED: (503, "The model is overloaded. Please try again later."),
}
_BY_STATUS = {status: fault for fault, (status, _) in reversed(_ERRORS.items())}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error(code: int, status: str, message: str, details: list[Json] | None = None) -> Json:
    """The body of an error."""
    more: Json = {"details": details} if details else {}
    return {"error": {"code": code, "message": message, "status": status} | more}


def failure(reaction: Reaction, model: str) -> Failure:
    """The error that this reaction is. A blocked prompt is 200 without candidates."""
    fault = reaction.fault
    if fault is Fault.CONTENT_FILTER and reaction.status is None:
        return Failure(200, _blocked(model), wait_in_header=False)
    if fault is Fault.STATUS:
        fault = (
            Fault.INVALID
            if reaction.status == 400
            else _BY_STATUS.get(reaction.status or 500, fault)
        )
    code, words = _ERRORS.get(fault, (500, "A simulated error."))
    code = reaction.status or code
    status = _STATUSES.get(code, "INTERNAL" if code >= 500 else "UNKNOWN")
    message = reaction.message or words.replace("{model}", model)
    return Failure(
        code, error(code, status, message, _details(fault, reaction, model)), wait_in_header=False
    )


def _details(fault: Fault, reaction: Reaction, model: str) -> list[Json]:
    details: list[Json] = []
    if fault is Fault.BAD_KEY:
        service = {"service": "generativelanguage.googleapis.com"}
        reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": service}
        details.append({"@type": f"{_TYPE}ErrorInfo", **reason})
    if fault is Fault.RATE_LIMITED:
        quota: Json = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
            "quotaDimensions": {"location": "global", "model": model},
        }
        details.append({"@type": f"{_TYPE}QuotaFailure", "violations": [quota]})
    if reaction.retry_after is not None:
        delay = f"{reaction.retry_after.seconds:g}s"
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": delay})
    return details


def _blocked(model: str) -> Json:
    return {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8},
        "modelVersion": model,
    }
