"""What is shown of a provider's key, and of a test of its connection."""

from datetime import datetime

import strawberry

from db.provider_rows import ConnectionTestRow
from db.vocabulary import ConnectionTestStatus
from schema.fields import plain
from schema.node import Node, node_type


@strawberry.type(description="What may be shown of a stored API key.")
class ApiKeyPreview:
    """Read from `ApiKeyPreviewRow`."""

    masked: str = plain(
        "For example `sk-ant-…4f2A`: at most a known public prefix and the last four characters."
    )
    set_at: datetime = plain("When the key was stored.")


@node_type(ConnectionTestRow, description="One attempt to list a provider's models.")
class ConnectionTest(Node):
    """Read from `ConnectionTestRow`."""

    status: ConnectionTestStatus = plain("How it ended.")
    ok: bool = plain("Whether the provider answered with its models.")
    latency_ms: int | None = plain(
        "Wall-clock milliseconds from the first byte sent to the answer read; "
        "null where nothing was sent."
    )
    http_status: int | None = plain("The answer's HTTP status; null where there was no answer.")
    message: str = plain(
        "What went wrong and what to do, for a person. Never holds a key, nor the answer's body."
    )
    model_count: int | None = plain("How many models the provider listed.")
    tested_at: datetime = plain("When it ended.")
