"""What every protocol's adapter offers, and what it is given to ask with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from db.vocabulary import ConnectionTestStatus, ModelCapability, ProviderKind
from trunkline.errors import TrunklineError
from trunkline.providers.outgoing import Answer, Outgoing


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model as its provider lists it; None where the listing doesn't say."""

    wire_name: str
    name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[ModelCapability] | None = None


class AnswerRefused(TrunklineError):
    """The provider answered, but not with all of its models."""

    def __init__(self, status: ConnectionTestStatus, http_status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.http_status = http_status
        self.message = message


class SecretHeaders(dict[str, str]):
    """Headers with a key in them, which no repr shows."""

    def __repr__(self) -> str:
        return f"SecretHeaders({sorted(self)})"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where and as whom an adapter asks. Its repr holds no key."""

    outgoing: Outgoing
    kind: ProviderKind
    base_url: str
    headers: SecretHeaders
    timeout_seconds: float
    on_sent: Callable[[], None]

    async def get(self, path: str) -> Answer:
        """GET below the base URL."""
        return await self._request("GET", path, None)

    async def post(self, path: str, body: object) -> Answer:
        """POST JSON below the base URL."""
        return await self._request("POST", path, body)

    async def _request(self, method: str, path: str, body: object) -> Answer:
        return await self.outgoing.request(
            self.kind,
            method,
            self.base_url + path,
            headers=SecretHeaders({"Accept": "application/json", **self.headers}),
            json=body,
            timeout_seconds=self.timeout_seconds,
            on_sent=self.on_sent,
        )


class Adapter(Protocol):
    """One protocol."""

    def root(self, base_url: str) -> str:
        """The URL below which the protocol's paths lie, for a base URL as people give it."""

    def headers(self, api_key: str | None) -> SecretHeaders:
        """What signs a request."""

    def classify(self, http_status: int, body: bytes) -> ConnectionTestStatus:
        """What a failed answer says: by its body's codes first, then by its status."""

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """Every model that the provider lists, over all pages: all of them, or an error.

        Raises `AnswerRefused` or one of the `OutgoingError`s.
        """


def without_suffix(base_url: str, *suffixes: str) -> str:
    """The URL without a version path that people copy along."""
    for suffix in suffixes:
        base_url = base_url.removesuffix(suffix)
    return base_url
