"""Load on a server as its users make it: usage in batches, imports, configuration, the gateway.

Each client goes on until it is cancelled, also while there is no server. Rates are bounded by
pauses: other things run on the same machine.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

import aiohttp
import orjson

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from tests.fault.acknowledged import Acknowledged
from tests.fault.serving import ServerProcess
from tests.fault.violations import Violation, demand

CHAIN = "chain/steady"
STEADY = ("sim-flap-1-2-tokens-30", "sim-tokens-20")
"""The chain's models: one that fails now and then, and one that answers."""
BRIEF = "sim-tokens-20-tps-20"
LONG = "sim-tokens-800-tps-20"
"""Models whose answers take a second, and forty."""
BROKEN = (aiohttp.ClientError, OSError, asyncio.IncompleteReadError)
"""What a client sees of a server that is gone. `TimeoutError` is one of them."""
MAY_COME = frozenset({"UNAVAILABLE", "TIMEOUT"})
"""Codes of errors that tell a client to try again."""

RECORD = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded duplicates userErrors { code message } } }"""
RENAME = """mutation ($id: ID!, $name: String!) { updateProvider(input: { id: $id, name: $name }) {
  userErrors { message } } }"""
ADD_PROVIDER = """mutation ($slug: String!, $url: String!) { createProvider(input: { slug: $slug,
  name: $slug, kind: OPENAI_COMPATIBLE, baseUrl: $url, apiKey: "any" }) {
  provider { id } userErrors { message } } }"""
ADD_MODEL = """mutation ($provider: ID!, $name: String!) { createModel(input: {
  providerId: $provider, wireName: $name, priceOverride: { inputPerMillion: "3",
  outputPerMillion: "15" } }) { model { id } userErrors { message } } }"""
ADD_CHAIN = """mutation ($steps: [FailoverStepInput!]!) { createFailoverChain(input: {
  name: "Steady", slug: "steady", steps: $steps }) { userErrors { message } } }"""
PROVIDERS = "{ providers(first: 50) { nodes { id slug name } } }"
_CHAT, _MESSAGES = "/v1/chat/completions", "/v1/messages"
_keys = count(1)
_PATIENCE_SECONDS = 60.0


@dataclass
class Load:
    """Clients of one server, and what it acknowledged to them."""

    server: ServerProcess
    chance: random.Random
    known: Acknowledged = field(default_factory=Acknowledged)
    errors: set[str] = field(default_factory=set)
    """The messages of errors that told to try again."""
    provider: str = ""
    clients: "list[asyncio.Task[None]]" = field(default_factory=list)

    async def set_up(self, simulator: str) -> None:
        """Make a provider, models and a chain to ask."""
        made = await self.server.ask(ADD_PROVIDER, slug="simulated", url=f"{simulator}/v1")
        demand(not made["createProvider"]["userErrors"], str(made))
        self.provider = made["createProvider"]["provider"]["id"]
        steps = []
        for name in (*STEADY, BRIEF, LONG):
            model = await self.server.ask(ADD_MODEL, provider=self.provider, name=name)
            demand(not model["createModel"]["userErrors"], str(model))
            steps.append({"modelId": model["createModel"]["model"]["id"]})
        chain = await self.server.ask(ADD_CHAIN, steps=steps[:2])
        demand(not chain["createFailoverChain"]["userErrors"], str(chain))

    @contextlib.asynccontextmanager
    async def running(
        self, *, recording: int = 3, gateway: int = 2, pause_seconds: float = 0.15
    ) -> AsyncIterator[None]:
        """So many clients of each kind, one that configures and one that imports. One that
        fails with a `Violation` fails the block.
        """
        works: list[Callable[[], Awaitable[None]]] = [
            *[self.record] * recording, *[self.ask_gateway] * gateway, self.configure, self.import_,
        ]  # fmt: skip
        self.clients = [
            asyncio.create_task(self._forever(work, pause_seconds * factor))
            for work, factor in zip(works, [1.0] * (recording + gateway) + [3.0, 8.0], strict=True)
        ]
        try:
            yield
        finally:
            for client in self.clients:
                client.cancel()
            ended = await asyncio.gather(*self.clients, return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError):
                raise one

    async def lasts(self, seconds: float) -> None:
        """Let it go on for so long; ends at once where a client has failed."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            for client in self.clients:
                if client.done() and not client.cancelled() and client.exception():
                    await client
            await asyncio.sleep(0.05)

    async def acknowledges(self, more: int) -> float:
        """Wait until so many events more are acknowledged; gives how long it took. Raises
        `Violation` where that is too long for any machine.
        """
        loop = asyncio.get_running_loop()
        began, wanted = loop.time(), len(self.known.events) + more
        while len(self.known.events) < wanted:
            demand(
                loop.time() < began + _PATIENCE_SECONDS,
                f"nothing is taken again after {_PATIENCE_SECONDS:g} s: {self.errors}\n"
                f"{self.server.log_end()}",
            )
            await self.lasts(0.05)
        return loop.time() - began

    async def record(self) -> None:
        """One batch of usage."""
        events = [self._event() for _ in range(self.chance.choice([1, 1, 5, 20]))]
        sent = {str(one["idempotencyKey"]): int(str(one["inputTokens"])) for one in events}
        self.known.unanswered_events |= sent
        body = await self.server.answer(RECORD, events=events)
        if self._is_refused(body):
            return
        done = body["data"]["recordUsage"]
        demand(
            done == {"recorded": len(events), "duplicates": 0, "userErrors": []},
            f"usage was answered with {done}",
        )
        self._acknowledge(sent)

    async def import_(self) -> None:
        """One import of a hundred lines."""
        events = [self._event() for _ in range(100)]
        sent = {str(one["idempotencyKey"]): int(str(one["inputTokens"])) for one in events}
        self.known.unanswered_events |= sent
        async with self.server.session.post(
            f"{self.server.url}/import/usage",
            data=b"\n".join(map(orjson.dumps, events)),
            headers={"Content-Type": "application/x-ndjson"},
        ) as response:
            body = await response.json()
            if response.status == 503:
                self._note(body)
                return
            demand(
                response.status == 200 and body["recorded"] == len(events),
                f"an import was answered with {response.status} {body}",
            )
        self._acknowledge(sent)

    async def configure(self) -> None:
        """Rename a provider, or make a model."""
        name = f"Name {next(_keys)}"
        if self.chance.random() < 0.3:
            body = await self.server.answer(ADD_MODEL, provider=self.provider, name=name)
            if not self._is_refused(body):
                self.known.models.add(name)
            return
        unanswered = self.known.unanswered_names.setdefault("simulated", set())
        unanswered.add(name)
        body = await self.server.answer(RENAME, id=self.provider, name=name)
        if self._is_refused(body):
            return
        demand(not body["data"]["updateProvider"]["userErrors"], f"a change failed: {body}")
        self.known.names["simulated"] = name
        # What went unanswered before was done before, or never.
        unanswered.clear()

    async def ask_gateway(self) -> None:
        """One request through the gateway, plain or streamed, in either protocol."""
        path = self.chance.choice([_CHAT, _MESSAGES])
        stream = self.chance.random() < 0.5
        body = {
            "model": CHAIN, "max_tokens": 100, "stream": stream,
            "messages": [{"role": "user", "content": f"hello {next(_keys)}"}],
        }  # fmt: skip
        async with self.server.session.post(f"{self.server.url}{path}", json=body) as response:
            answer = await response.read()
            if response.status == 503:
                self._note(orjson.loads(answer))
                return
            demand(response.status == 200, f"the gateway said {response.status} {answer!r}")
            if stream and not is_whole(answer):
                demand(b'"error"' in answer, f"a stream ended without a word: {answer[-300:]!r}")
                self.known.refused += 1
                return
            request_id = response.headers["x-trunkline-request-id"]
        self.known.requests[request_id] = asyncio.get_running_loop().time()

    async def _forever(self, work: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
        while True:
            try:
                await work()
            except BROKEN:
                self.known.refused += 1
            await asyncio.sleep(pause_seconds * (0.5 + self.chance.random()))

    def _event(self) -> dict[str, object]:
        number = next(_keys)
        return {
            "idempotencyKey": f"fault-{number}",
            "providerSlug": "anthropic",
            "modelName": "claude-sonnet-4-5",
            "agent": f"agent-{number % 7}",
            "inputTokens": self.chance.randrange(1, 5_000),
            "outputTokens": 10,
        }

    def _acknowledge(self, sent: dict[str, int]) -> None:
        self.known.events |= sent
        for key in sent:
            self.known.unanswered_events.pop(key, None)

    def _is_refused(self, body: dict[str, object]) -> bool:
        """Whether it is an error that says to try again. Any other is a `Violation`."""
        if "errors" not in body:
            return False
        self._note(body)
        return True

    def _note(self, body: object) -> None:
        self.known.refused += 1
        if isinstance(body, dict) and "errors" in body:
            for error in body["errors"]:
                if error.get("extensions", {}).get("code") not in MAY_COME:
                    raise Violation(
                        f"an error that tells nobody what to do: {error}\n{self.server.log_end()}"
                    )
                self.errors.add(error["message"])
            return
        error = body.get("error") if isinstance(body, dict) else None
        demand(isinstance(error, dict) and error.get("message"), f"no error in {body!r}")
        self.errors.add(str(error["message"]))  # type: ignore[index]  # demanded above


def is_whole(answer: bytes) -> bool:
    """Whether a stream says that it is, in either protocol."""
    return answer.rstrip().endswith(b"data: [DONE]") or b"event: message_stop" in answer


@contextlib.asynccontextmanager
async def simulated_provider() -> AsyncIterator[str]:
    """A made-up provider over real HTTP; gives its address."""
    async with running_simulator(Behaviour(api_key=None)) as url:
        yield url
