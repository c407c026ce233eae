"""The last connection test of each provider's saved configuration."""

from datetime import datetime

from sqlalchemy import delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.providers import lock_provider
from db.tables import connection_tests, providers
from db.vocabulary import ConnectionTestStatus


async def forget_connection_test(connection: AsyncConnection, provider_id: int) -> None:
    """Key or URL changed: what was tested is no longer what is configured."""
    await connection.execute(
        delete(connection_tests).where(connection_tests.c.provider_id == provider_id)
    )
    await connection.execute(
        update(providers)
        .where(providers.c.id == provider_id)
        .values(connection_revision=providers.c.connection_revision + 1)
    )


async def store_connection_test(
    connection: AsyncConnection,
    provider_id: int,
    *,
    revision: int,
    status: ConnectionTestStatus,
    latency_ms: int | None,
    http_status: int | None,
    message: str,
    model_count: int | None,
    tested_at: datetime,
) -> bool:
    """Store the outcome as the last one, unless the configuration changed since `revision`."""
    provider = await lock_provider(connection, provider_id)
    if provider is None or provider.connection_revision != revision:
        return False
    await connection.execute(
        delete(connection_tests).where(connection_tests.c.provider_id == provider_id)
    )
    await connection.execute(
        insert(connection_tests).values(
            provider_id=provider_id,
            status=status.value,
            latency_ms=latency_ms,
            http_status=http_status,
            message=message,
            model_count=model_count,
            tested_at=tested_at,
        )
    )
    return True
