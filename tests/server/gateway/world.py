"""The world of a test: a simulated provider, a gateway before it, and time that the test sets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import orjson

from db.chains import ChainRow
from db.engine import Database
from db.gateway_request_pages import GatewayRequestRow, gateway_requests_since
from db.gateway_requests import GatewayAttemptRow
from db.vocabulary import Delivery, ProviderKind
from resolvers.context import OperationContext, Viewer
from schema.root import schema
from server.app import FrontDoor
from server.gateway_routes import GatewayRoutes
from server.serving import make_server
from server.sign_in import Gate
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.request_log import SeenRequest
from server.simulated.script import Script
from server.simulated.timing import SkippedTiming
from server.tracing.port import Traces
from server.wiring import services_on
from tests.server.gateway.set_time import SetTime
from tests.trunkline.providers.scripted import Everywhere
from trunkline.catalog.changes import NewModel, create_model
from trunkline.failover.breakers import Breakers
from trunkline.failover.chains import NewChain, create_chain
from trunkline.failover.means import Means
from trunkline.failover.steps import StepInput
from trunkline.gateway.running import running_gateway
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets
from trunkline.services import Services

TOKEN = "gateway-test-token-0123456789"
KEY = "simulated-key"
PATHS = {
    ProviderKind.OPENAI: "/v1",
    ProviderKind.OPENAI_COMPATIBLE: "/v1",
    ProviderKind.ANTHROPIC: "",
    ProviderKind.GOOGLE: "",
    ProviderKind.OLLAMA: "",
}
"""Where the simulated provider speaks each kind's protocol."""
HELLO = [{"role": "user", "content": "hello"}]
KINDS = (
    ProviderKind.OPENAI_COMPATIBLE,
    ProviderKind.ANTHROPIC,
    ProviderKind.GOOGLE,
    ProviderKind.OLLAMA,
)
"""One for each protocol of providers."""
CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
ENDPOINTS = (CHAT, MESSAGES)
"""One for each protocol of callers."""


@dataclass(frozen=True)
class Reply:
    """What a caller got: the whole of it."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)
    broken: bool = False
    """Whether the connection broke before its end."""

    def json(self) -> Any:
        """The body's JSON."""
        return orjson.loads(self.body)

    @property
    def attempts(self) -> int:
        """What the header says of them."""
        return int(self.headers["x-trunkline-attempts"])

    @property
    def error(self) -> dict[str, Any]:
        """The error in a whole answer."""
        found: dict[str, Any] = self.json()["error"]
        return found

    @property
    def events(self) -> list[Any]:
        """The JSON of a stream's events, without `[DONE]`."""
        return [orjson.loads(data) for data in self._data if data != b"[DONE]"]

    @property
    def stream_error(self) -> dict[str, Any] | None:
        """The error that ends a stream, where one does."""
        found: dict[str, Any] | None = self.events[-1].get("error")
        return found

    @property
    def is_whole(self) -> bool:
        """Whether a stream says that it is: `[DONE]`, or `message_stop`."""
        return self._data[-1:] == [b"[DONE]"] or self.events[-1].get("type") == "message_stop"

    @property
    def text(self) -> str:
        """What the model said, whichever protocol it is in, streamed or not."""
        if not self.headers["content-type"].startswith("text/event-stream"):
            answer = self.json()
            if "choices" in answer:
                return str(answer["choices"][0]["message"]["content"])
            return "".join(block.get("text", "") for block in answer["content"])
        texts = []
        for event in self.events:
            for choice in event.get("choices", ()):
                texts.append(choice["delta"].get("content") or "")
            if event.get("type") == "content_block_delta":
                texts.append(event["delta"].get("text", ""))
        return "".join(texts)

    @property
    def _data(self) -> list[bytes]:
        return [line[6:] for line in self.body.splitlines() if line.startswith(b"data: ")]


class World:
    """Providers are made as they are named; so are models and chains."""

    def __init__(
        self, services: Services, behaviour: Behaviour, simulator: str, time: SetTime
    ) -> None:
        self.services = services
        self.behaviour = behaviour
        self.simulator = simulator
        self.time = time
        self.url = ""
        self.session: aiohttp.ClientSession
        self._providers: dict[str, int] = {}
        self._models: dict[tuple[str, str], int] = {}

    @property
    def bearer(self) -> dict[str, str]:
        """Lets a request in."""
        return {"Authorization": f"Bearer {TOKEN}"}

    async def provider(self, kind: ProviderKind, slug: str | None = None, **fields: Any) -> int:
        """The provider of this kind at the simulator; its slug is the kind's name in lower case."""
        name = slug or slug_of(kind)
        if name not in self._providers:
            given: dict[str, Any] = {
                "slug": name, "name": name, "kind": kind, "api_key": KEY,
                "base_url": self.simulator + PATHS[kind],
            }  # fmt: skip
            made = await create_provider(self.services, NewProvider(**given | fields))
            self._providers[name] = made.id
        return self._providers[name]

    async def model(
        self, wire_name: str, kind: ProviderKind = ProviderKind.OPENAI_COMPATIBLE, **fields: Any
    ) -> int:
        """A model whose name says what its requests meet: docs/simulated-provider.md."""
        slug = fields.pop("slug", None)
        provider = await self.provider(kind, slug)
        key = (slug or kind.value, wire_name)
        if key not in self._models:
            new = NewModel(provider_id=provider, wire_name=wire_name, **fields)
            self._models[key] = (await create_model(self.services, new)).id
        return self._models[key]

    def named(self, wire_name: str, kind: ProviderKind = ProviderKind.OPENAI_COMPATIBLE) -> str:
        """What to ask for to get this model, without a chain."""
        return f"{slug_of(kind)}/{wire_name}"

    async def chain(
        self,
        *steps: str | StepInput,
        slug: str = "test",
        kind: ProviderKind = ProviderKind.OPENAI_COMPATIBLE,
        delivery: Delivery = Delivery.STREAMED,
        **every: Any,
    ) -> ChainRow:
        """A chain of these models of one kind, or of these steps; `every` step gets the fields."""
        inputs = [
            one
            if isinstance(one, StepInput)
            else StepInput(model_id=await self.model(one, kind), **every)
            for one in steps
        ]
        new = NewChain(name=slug, slug=slug, delivery=delivery, steps=inputs)
        return await create_chain(self.services, new)

    async def ask(
        self, path: str = CHAT, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> Reply:
        """POST this and read the answer whole; without a model, of the chain `test`."""
        async with self.asking(path, headers=headers, **body) as response:
            return await rest_of(response)

    @asynccontextmanager
    async def asking(
        self, path: str = CHAT, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The same, with the answer to read; left early, the caller is gone."""
        asked = {"model": "chain/test", "messages": HELLO} | body
        if path == MESSAGES:
            asked.setdefault("max_tokens", 1_000)
        async with self.session.post(
            self.url + path, json=asked, headers=self.bearer | dict(headers or {})
        ) as response:
            yield response

    def script(self, **behaviours: Any) -> None:
        """What consecutive requests of models meet, the last for all that follow; in a name `_`
        stands for `-`.
        """
        self.behaviour.set_script(
            Script({name.replace("_", "-"): said for name, said in behaviours.items()})
        )

    @property
    def seen(self) -> list[SeenRequest]:
        """What the provider saw, oldest first."""
        return list(self.behaviour.requests)

    @property
    def seen_models(self) -> list[str | None]:
        """Of which models."""
        return [one.model for one in self.seen]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what happens soon by itself."""
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.002)  # what it waits for is in other hands

    async def until_seen(self, number: int) -> SeenRequest:
        """Wait for the provider's request of this number, from 1."""
        await self.until(lambda: self.behaviour.requests.total >= number)
        return self.seen[number - 1]

    async def stored(self) -> Sequence[GatewayRequestRow]:
        """The requests in the ledger's database, oldest first, once all that ended are stored."""
        async with asyncio.timeout(20):
            await self.services.gateway.ledger.drained()
        async with self.services.database.read() as connection:
            return await gateway_requests_since(connection, 0, most=1_000)

    async def attempts(self) -> Sequence[GatewayAttemptRow]:
        """Of the last request."""
        return (await self.stored())[-1].attempts

    async def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        """Run an operation and return its data."""
        context = OperationContext(self.services, Viewer("tests"), "request-1")
        result = await schema.execute(query, variables, context_value=context)
        assert not result.errors, result.errors
        return result.data or {}


def slug_of(kind: ProviderKind) -> str:
    """Of the provider of a kind, where nothing else is said."""
    return kind.value.lower().replace("_", "-")


async def rest_of(response: aiohttp.ClientResponse, begun: bytes = b"") -> Reply:
    """An answer whose beginning was read before, to its end."""
    parts = [begun]
    broken = False
    try:
        async for part in response.content.iter_any():
            parts.append(part)
    except aiohttp.ClientPayloadError:
        broken = True
    lower = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status, lower, b"".join(parts), broken)


class NoNames(aiohttp.abc.AbstractResolver):
    """Knows no host by name: no test asks outside of this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
        """Fails."""
        raise OSError(f"{host} is unknown")

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def open_world(
    database: Database, secrets: Secrets, traces: Traces | None = None, **gateway_options: Any
) -> AsyncIterator[World]:
    """Everything is served in the test's own loop, on free ports; traced, where asked for. Options
    are those of `GatewayRoutes`.
    """
    time = SetTime()
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    async with (
        running_simulator(behaviour) as simulator,
        Everywhere(resolver=NoNames()) as outgoing,
        services_on(database, secrets, clock=time.clock, traces=traces) as made,
    ):
        breakers = Breakers(time.now, made.gateway.breakers._on_change)
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
        world = World(services, behaviour, simulator, time)
        async with (
            running_gateway(services),
            _served(services, traces, gateway_options) as world.url,
            aiohttp.ClientSession() as world.session,
        ):
            yield world


@asynccontextmanager
async def _served(
    services: Services, traces: Traces | None, gateway_options: dict[str, Any]
) -> AsyncIterator[str]:
    async def check_ready() -> None: ...

    gate = Gate(services.database, services.clock, TOKEN, services.events)
    door = FrontDoor(
        schema=schema,
        make_context=lambda viewer, request_id: OperationContext(services, viewer, request_id),
        gate=gate,
        check_ready=check_ready,
        gateway=GatewayRoutes(services, gate, **gateway_options),
        services=services,
        traces=traces,
    )
    ready = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Connections inherit it: what callers don't read mustn't vanish in the kernel's buffers.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)
        server = make_server(door, ready.set)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server.serve([listener]))
        await ready.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task
