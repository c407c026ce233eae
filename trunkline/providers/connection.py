"""The connection test: ask a provider for its models and say how that went.

The real request of each protocol, over all its pages, within one deadline. Whatever the provider
does is an outcome, never an exception.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from db.vocabulary import ConnectionTestStatus, ProviderKind
from trunkline.providers.adapter import (
    Adapter,
    AnswerRefused,
    Connection,
    ListedModel,
    SecretHeaders,
)
from trunkline.providers.anthropic import AnthropicAdapter
from trunkline.providers.google import GoogleAdapter
from trunkline.providers.kinds import InvalidUrl, check_base_url, needs_key
from trunkline.providers.ollama import OllamaAdapter
from trunkline.providers.openai import OpenAIAdapter
from trunkline.providers.outgoing import Outgoing
from trunkline.providers.outgoing_errors import (
    AddressRefused,
    HeaderRefused,
    OutgoingError,
    TimedOut,
    TlsFailed,
    Unreachable,
)

ADAPTERS: Final[dict[ProviderKind, Adapter]] = {
    ProviderKind.ANTHROPIC: AnthropicAdapter(),
    ProviderKind.OPENAI: OpenAIAdapter(),
    ProviderKind.GOOGLE: GoogleAdapter(),
    ProviderKind.OLLAMA: OllamaAdapter(),
    ProviderKind.OPENAI_COMPATIBLE: OpenAIAdapter(),
}

TEST_SECONDS = 10.0
_NO_KEY_GIVEN = "the provider wants an API key, and none is given: give one, then test again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOutcome:
    """How a test went; `models` where the provider listed them.

    `latency_ms` is wall-clock time from the first byte sent to the answer read, None where nothing
    was sent.
    """

    status: ConnectionTestStatus
    latency_ms: int | None = None
    http_status: int | None = None
    message: str
    models: tuple[ListedModel, ...] | None = None

    @property
    def ok(self) -> bool:
        """Whether the provider listed its models."""
        return self.status is ConnectionTestStatus.OK

    @property
    def model_count(self) -> int | None:
        """How many models it listed."""
        return None if self.models is None else len(self.models)


async def ask_for_models(
    outgoing: Outgoing,
    kind: ProviderKind,
    base_url: str,
    api_key: str | None,
    *,
    extra_headers: Mapping[str, str] | None = None,
    timeout_seconds: float = TEST_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> ConnectionOutcome:
    """Ask, and class the outcome. Without a key that the kind needs, nothing is sent."""
    try:
        checked = check_base_url(base_url)
    except InvalidUrl as error:
        return ConnectionOutcome(status=ConnectionTestStatus.INVALID_URL, message=str(error))
    if needs_key(kind) and not api_key:
        return ConnectionOutcome(
            status=ConnectionTestStatus.MISSING_KEY,
            message="no API key is stored: give one, then test again",
        )
    adapter = ADAPTERS[kind]
    first_sent: list[float] = []

    def sent() -> None:
        if not first_sent:
            first_sent.append(monotonic())

    def latency_ms() -> int | None:
        return max(0, round((monotonic() - first_sent[0]) * 1_000)) if first_sent else None

    headers = SecretHeaders({**(extra_headers or {}), **adapter.headers(api_key)})
    connection = Connection(outgoing, kind, adapter.root(checked), headers, timeout_seconds, sent)
    try:
        async with asyncio.timeout(timeout_seconds):
            models = tuple(await adapter.list_models(connection))
    except AnswerRefused as refusal:
        return ConnectionOutcome(
            status=refusal.status,
            latency_ms=latency_ms(),
            http_status=refusal.http_status,
            message=_NO_KEY_GIVEN
            if refusal.status is ConnectionTestStatus.INVALID_KEY and not api_key
            else refusal.message,
        )
    except (TimedOut, TimeoutError) as error:
        return ConnectionOutcome(
            status=ConnectionTestStatus.TIMEOUT,
            latency_ms=latency_ms(),
            http_status=getattr(error, "http_status", None),
            message=f"no complete answer within {timeout_seconds:g} seconds: try again, or check "
            "that the base URL is an API's",
        )
    except OutgoingError as error:
        return ConnectionOutcome(
            status=_status_of(error),
            latency_ms=latency_ms(),
            http_status=error.http_status,
            message=str(error),
        )
    return ConnectionOutcome(
        status=ConnectionTestStatus.OK,
        latency_ms=latency_ms(),
        http_status=200,
        message=f"connected: the provider lists {len(models)} "
        f"{'model' if len(models) == 1 else 'models'}",
        models=models,
    )


def _status_of(error: OutgoingError) -> ConnectionTestStatus:
    match error:
        case HeaderRefused():
            return ConnectionTestStatus.INVALID_KEY
        case AddressRefused():
            return ConnectionTestStatus.INVALID_URL
        case Unreachable():
            return ConnectionTestStatus.UNREACHABLE
        case TlsFailed():
            return ConnectionTestStatus.TLS_ERROR
        case _:
            return ConnectionTestStatus.UNEXPECTED_RESPONSE
