"""Subscriptions to changes, over a store that can't be read for a moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from db.failing import StoreUnavailable
from db.vocabulary import ProviderKind
from resolvers.context import OperationContext
from schema.root import schema
from trunkline import patience
from trunkline.events import CircuitChanged
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services

CHANGED = "subscription { providerChanged { kind provider { slug } } }"
CIRCUITS = "subscription { circuitChanged { kind provider { slug } } }"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_RETRY_SECONDS", 0)


@pytest.fixture
def away(services: Services, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """From when it is called the next three readings fail; what it gives grows with them."""

    def begin() -> list[str]:
        failed: list[str] = []

        def failing(name: str) -> None:
            real = getattr(services.database, name)

            def fail(*arguments: Any) -> Any:
                if len(failed) < 3:
                    failed.append(name)
                    raise StoreUnavailable("its server can't be reached")
                return real(*arguments)

            monkeypatch.setattr(services.database, name, fail)

        failing("ask")
        failing("read")
        return failed

    return begin


async def watching(context: OperationContext, query: str) -> Any:
    updates = await schema.subscribe(query, context_value=context)
    assert not hasattr(updates, "errors"), updates
    return updates


async def received(updates: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(10):
        result = await anext(updates)
    assert not result.errors, result.errors
    (payload,) = result.data.values()
    return payload


async def test_a_change_is_told_once_the_store_can_be_read_again(
    services: Services, context: OperationContext, away: Callable[[], list[str]]
) -> None:
    async with aclosing(await watching(context, CHANGED)) as updates:
        assert (await received(updates))["kind"] == "READY"
        await create_provider(services, NewProvider(slug="a", name="A", kind=ProviderKind.OLLAMA))
        failed = away()
        assert await received(updates) == {"kind": "CREATED", "provider": {"slug": "a"}}
        assert len(failed) == 3
        await create_provider(services, NewProvider(slug="b", name="B", kind=ProviderKind.OLLAMA))
        assert await received(updates) == {"kind": "CREATED", "provider": {"slug": "b"}}


async def test_so_is_a_circuit(
    services: Services, context: OperationContext, away: Callable[[], list[str]]
) -> None:
    new = NewProvider(slug="a", name="A", kind=ProviderKind.OLLAMA)
    provider = await create_provider(services, new)
    async with aclosing(await watching(context, CIRCUITS)) as updates:
        assert (await received(updates))["kind"] == "READY"
        failed = away()
        services.events.publish(CircuitChanged(model_id=None, provider_id=provider.id))
        assert await received(updates) == {"kind": "UPDATED", "provider": {"slug": "a"}}
        assert len(failed) == 3
