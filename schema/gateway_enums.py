"""The names on the wire of the enumerations that are about the gateway and its circuits."""

from db.vocabulary import AttemptOutcome, Delivery, GatewayEndpoint, GatewayOutcome
from schema.enums import enum_type
from trunkline.failover.circuits import CircuitState
from trunkline.failover.classes import FailureClass

_FAILURES = {
    "TRANSIENT": "A fault that may be gone in a moment: an overload, a broken connection.",
    "RATE_LIMITED": "The provider asks to wait.",
    "TIMEOUT": "Nothing came in time.",
    "TOO_LONG": "The prompt doesn't fit the model.",
    "UNAVAILABLE": "The key, the credit or the model's name: it can't be used as configured.",
    "REJECTED": "The provider's filter refused the content.",
    "INVALID": "The request itself is wrong.",
}

enum_type(
    Delivery,
    description="When a caller gets what a model answers.",
    values={
        "STREAMED": "As it comes. An answer that breaks off half-way ends in an error.",
        "ASSURED": "When it is whole: one that breaks off is given by the next step instead.",
    },
)

enum_type(
    GatewayEndpoint,
    description="Where a request came in.",
    values={
        "CHAT_COMPLETIONS": "`POST /v1/chat/completions`.",
        "MESSAGES": "`POST /v1/messages`.",
        "EMBEDDINGS": "`POST /v1/embeddings`.",
        "RUN_FAILOVER_CHAIN": "The mutation `runFailoverChain`.",
    },
)

enum_type(
    GatewayOutcome,
    description="How a request ended.",
    values={
        "ANSWERED": "With a whole answer.",
        "REFUSED": "A provider, or a budget, refused the request for what it is.",
        "FAILED": "No step answered.",
        "CUT": "The answer broke off when the caller had a part of it.",
        "CANCELLED": "The caller left.",
    },
)

enum_type(
    FailureClass,
    description="What a failed attempt is classed as, by what may help.",
    values=_FAILURES,
)

enum_type(
    AttemptOutcome,
    description="Why a step gave no answer: how its attempt failed, or why there was none.",
    values={
        **_FAILURES,
        "DISABLED": "Skipped: the model or its provider is switched off.",
        "NO_API_KEY": "Skipped: the provider has no API key.",
        "OPEN": "Skipped: its circuit is open, as it failed a moment ago.",
        "TOO_SMALL": "Skipped: its context is no larger than one that the prompt didn't fit.",
        "UNSUPPORTED": "Skipped: it can't do what the request asks for.",
        "BUSY": "Skipped: no place came free among the requests that its provider gets at a time.",
        "OVER_BUDGET": "Skipped: a budget that it would count in is used up, and blocks.",
    },
)

enum_type(
    CircuitState,
    description="Whether requests go to a model, or to a provider, just now.",
    values={
        "CLOSED": "They do.",
        "OPEN": "It failed too often, so they don't: its steps are skipped.",
        "HALF_OPEN": "One request goes through, to see whether it works again.",
    },
)
