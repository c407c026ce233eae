"""Providers as rows: what they hold, how they are selected and read.

A provider's status is worked out here from what is stored, in one place, so that every list and
every change event shows the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, func, select

from db.tables import connection_tests, models, providers
from db.vocabulary import ConnectionTestStatus, ProviderKind, ProviderStatus

KINDS_WITHOUT_KEY = frozenset({ProviderKind.OLLAMA, ProviderKind.OPENAI_COMPATIBLE})
"""Kinds that work without an API key; the others are UNCONFIGURED until they have one."""


@dataclass(frozen=True, slots=True)
class ApiKeyPreviewRow:
    """What may be shown of a stored key."""

    masked: str
    set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTestRow:
    """The outcome of a connection test; one of a draft has an id that was never stored."""

    id: int
    status: ConnectionTestStatus
    latency_ms: int | None
    http_status: int | None
    message: str
    model_count: int | None
    tested_at: datetime

    @property
    def ok(self) -> bool:
        """Whether the provider answered with its models."""
        return self.status is ConnectionTestStatus.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRow:
    """A provider as stored, with its last connection test and the number of its models."""

    id: int
    slug: str
    name: str
    kind: ProviderKind
    base_url: str
    enabled: bool
    known_provider: str | None
    api_key: ApiKeyPreviewRow | None
    # Sealed, yet nothing that a log should hold.
    api_key_encrypted: bytes | None = field(repr=False)
    extra_header_names: Sequence[str]
    extra_headers_encrypted: bytes | None = field(repr=False)
    connection_revision: int
    last_connection_test: ConnectionTestRow | None
    model_count: int
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @property
    def status(self) -> ProviderStatus:
        """What is known of its health."""
        if not self.enabled:
            return ProviderStatus.DISABLED
        if self.api_key is None and self.kind not in KINDS_WITHOUT_KEY:
            return ProviderStatus.UNCONFIGURED
        if self.last_connection_test is None:
            return ProviderStatus.UNTESTED
        return ProviderStatus.CONNECTED if self.last_connection_test.ok else ProviderStatus.FAILING


_model_count = (
    select(func.count())
    .select_from(models)
    .where(
        models.c.provider_id == providers.c.id,
        models.c.deleted_at.is_(None),
        models.c.deprecated == False,  # noqa: E712  # SQL, not Python
    )
    .scalar_subquery()
    .label("model_count")
)


def select_providers() -> Select[Any]:
    """Every provider, whatever its state, with its last test and the number of its models."""
    return select(
        providers,
        _model_count,
        connection_tests.c.id.label("test_id"),
        connection_tests.c.status.label("test_status"),
        connection_tests.c.latency_ms,
        connection_tests.c.http_status,
        connection_tests.c.message,
        connection_tests.c.model_count.label("test_model_count"),
        connection_tests.c.tested_at,
    ).outerjoin(connection_tests, connection_tests.c.provider_id == providers.c.id)


def read_provider(row: Any) -> ProviderRow:
    """What a row of `select_providers` holds."""
    test = None
    if row.test_id is not None:
        test = ConnectionTestRow(
            id=row.test_id,
            status=ConnectionTestStatus(row.test_status),
            latency_ms=row.latency_ms,
            http_status=row.http_status,
            message=row.message,
            model_count=row.test_model_count,
            tested_at=row.tested_at,
        )
    preview = None
    if row.api_key_encrypted is not None:
        preview = ApiKeyPreviewRow(masked=row.api_key_masked, set_at=row.api_key_set_at)
    return ProviderRow(
        id=row.id,
        slug=row.slug,
        name=row.name,
        kind=ProviderKind(row.kind),
        base_url=row.base_url,
        enabled=row.enabled,
        known_provider=row.known_provider,
        api_key=preview,
        api_key_encrypted=row.api_key_encrypted,
        extra_header_names=tuple(orjson.loads(row.extra_header_names or "[]")),
        extra_headers_encrypted=row.extra_headers_encrypted,
        connection_revision=row.connection_revision,
        last_connection_test=test,
        model_count=row.model_count,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )
