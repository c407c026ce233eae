"""The ways by which requests leave a server, each as its users take it and are told of its end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import aiohttp
import pytest

from db.budget_webhooks import ClaimedDelivery
from db.engine import Database
from db.vocabulary import ProviderKind
from resolvers.context import OperationContext
from schema.root import schema
from server.app import FrontDoor
from server.gateway_routes import GatewayRoutes
from server.serving import make_server
from server.sign_in import Gate
from server.wiring import services_on
from tests.conftest import SECRET_KEY
from tests.server.gateway.set_time import SetTime
from tests.server.outgoing.listening import Names
from tests.trunkline.budgets.spending import new_budget
from trunkline.budgets import inputs as budget_inputs
from trunkline.budgets.changes import create_budget
from trunkline.budgets.sending import WebhookSender
from trunkline.catalog.changes import NewModel, create_model
from trunkline.catalog.listing import sync_models
from trunkline.errors import Refused
from trunkline.failover.breakers import Breakers
from trunkline.failover.means import Means
from trunkline.gateway.running import running_gateway
from trunkline.providers import changes as provider_changes
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.providers.outgoing import Outgoing, PrivateNetworks
from trunkline.providers.proxies import Proxies
from trunkline.providers.testing import ConnectionToTest, run_connection_test
from trunkline.secrets import Secrets
from trunkline.services import Services

TOKEN = "outgoing-test-token-0123456789"
KEY = "sk-planted-key-0123456789-4f2A"
_LONG_ENOUGH = 1_000.0
"""Seconds, for every circuit to let requests through again."""


class Server:
    """A server, and a DNS server of the test's own behind it."""

    def __init__(self, services: Services, time: SetTime, names: Names) -> None:
        self.services = services
        self.time = time
        self.names = names
        self.port = 0
        self.session: aiohttp.ClientSession
        self._saved: dict[tuple[str, ProviderKind], tuple[int, str]] = {}

    async def saved(self, url: str, kind: ProviderKind, key: str = KEY) -> tuple[int, str]:
        """The provider at this very URL, as if it had been stored by a version that checked none;
        its id, and the name of its only model.
        """
        if (url, kind) not in self._saved:
            slug = f"provider-{len(self._saved) + 1}"
            new = NewProvider(slug=slug, name=slug, kind=kind, base_url=url, api_key=key)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    provider_changes, "checked_url", lambda _problems, given, _kind: given
                )
                patch.setattr(provider_changes, "seed_catalog", _nothing)
                provider = await create_provider(self.services, new)
            await create_model(self.services, NewModel(provider_id=provider.id, wire_name="m"))
            self._saved[url, kind] = provider.id, f"{slug}/m"
        return self._saved[url, kind]

    def take_for(self, url: str, kind: ProviderKind, saved: tuple[int, str]) -> None:
        """From now on this one is at the URL."""
        self._saved[url, kind] = saved

    async def post(self, path: str, **body: Any) -> str:
        """POST to the gateway; what came back is all of it."""
        self.time.advance(_LONG_ENOUGH)
        async with self.session.post(
            f"http://127.0.0.1:{self.port}{path}",
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
        ) as response:
            text = await response.text()
            assert response.status >= 400, text
            return f"{response.status} {text}"


Way = Callable[[Server, str, ProviderKind], Awaitable[str]]
"""Sends a request to what is at a URL, for a kind of provider; gives what is told of its failure,
every word of it.
"""


async def draft_test(server: Server, url: str, kind: ProviderKind) -> str:
    """A connection test of a provider that isn't saved yet."""
    wanted = ConnectionToTest(kind=kind, base_url=url, api_key=KEY)
    tested = await run_connection_test(server.services, wanted)
    assert not tested.outcome.ok
    return repr(tested)


async def saved_test(server: Server, url: str, kind: ProviderKind) -> str:
    """A connection test of a provider that is."""
    provider, _ = await server.saved(url, kind)
    try:
        tested = await run_connection_test(server.services, ConnectionToTest(provider_id=provider))
    except Refused as refused:
        return f"{refused}"
    assert not tested.outcome.ok
    return f"{tested.test!r} {tested.outcome!r}"


async def sync(server: Server, url: str, kind: ProviderKind) -> str:
    """A catalog sync."""
    provider, _ = await server.saved(url, kind)
    with pytest.raises(Refused) as refused:
        await sync_models(server.services, provider)
    return f"{refused.value} {refused.value.detail!r}"


async def plain(server: Server, url: str, kind: ProviderKind) -> str:
    """A chat through the gateway."""
    _, model = await server.saved(url, kind)
    return await server.post("/v1/chat/completions", model=model, messages=_HELLO)


async def streamed(server: Server, url: str, kind: ProviderKind) -> str:
    """The same as a stream."""
    _, model = await server.saved(url, kind)
    return await server.post("/v1/chat/completions", model=model, messages=_HELLO, stream=True)


async def embeddings(server: Server, url: str, kind: ProviderKind) -> str:
    """Embeddings through the gateway."""
    _, model = await server.saved(url, kind)
    return await server.post("/v1/embeddings", model=model, input="hello")


async def webhook(server: Server, url: str, _kind: ProviderKind) -> str:
    """A budget's alert, as if its URL had been stored by a version that checked none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget_inputs, "check_webhook_url", lambda given, **_: given)
        saved = await create_budget(server.services, new_budget(webhook_url=url))
    message = ClaimedDelivery(
        id=1, budget_id=saved.budget.id, message_id="msg_1", body="{}", attempts=1
    )
    assert saved.budget.webhook is not None
    attempt = await WebhookSender(server.services)._attempt(message, saved.budget.webhook)
    assert attempt.error is not None
    return repr(attempt)


_HELLO = [{"role": "user", "content": "hello"}]
OF_PROVIDERS: Final = (draft_test, saved_test, sync, plain, streamed, embeddings)
ALL: Final = (*OF_PROVIDERS, webhook)


async def _nothing(*_arguments: object, **_options: object) -> None:
    """A catalog would take longer to store than all that is asked for."""


@asynccontextmanager
async def open_server(
    database: Database,
    private_networks: PrivateNetworks = "default",
    *,
    proxies: Proxies | None = None,
    trust: Any = None,
) -> AsyncIterator[Server]:
    """A server on a free port, with this setting. Pauses before retries are over at once."""
    time, names = SetTime(), Names()
    async with (
        Outgoing(private_networks, proxies=proxies, trust=trust, resolver=names) as outgoing,
        services_on(database, Secrets([SECRET_KEY]), clock=time.clock) as made,
    ):
        breakers = Breakers(time.now)
        means = Means(
            breakers=breakers,
            now=time.now,
            clock=time.clock,
            sleep=time.sleep,
            chance=lambda: 1.0,
            call_later=time.call_later,
        )
        gateway = replace(made.gateway, breakers=breakers, means=means)
        services = replace(made, outgoing=outgoing, gateway=gateway)
        server = Server(services, time, names)
        async with (
            running_gateway(services),
            _served(services) as server.port,
            aiohttp.ClientSession() as server.session,
        ):
            yield server


@asynccontextmanager
async def _served(services: Services) -> AsyncIterator[int]:
    async def check_ready() -> None: ...

    gate = Gate(services.database, services.clock, TOKEN, services.events)
    door = FrontDoor(
        schema=schema,
        make_context=lambda viewer, request_id: OperationContext(services, viewer, request_id),
        gate=gate,
        check_ready=check_ready,
        gateway=GatewayRoutes(services, gate),
    )
    ready = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = make_server(door, ready.set)
        task = asyncio.create_task(server.serve([listener]))
        await ready.wait()
        yield listener.getsockname()[1]
        server.should_exit = True
        await task
