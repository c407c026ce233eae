"""One request from end to end: read within bounds, noted, answered, and its end noted too."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from server.simulated.asked import Asked, InvalidAsk
from server.simulated.behaviour import Behaviour
from server.simulated.composing import compose
from server.simulated.faults import ERRORS, Fault
from server.simulated.foreign import foreign_answer
from server.simulated.json_values import Json, json_text
from server.simulated.protocols.protocol import Prompt, Protocol
from server.simulated.reaction import Reaction
from server.simulated.request_log import LARGEST_KEPT_BODY, Outcome, SeenRequest
from server.simulated.transmission import Transmission
from server.simulated.wire import Wire

LARGEST_BODY = 32 * 2**20
# Read and thrown away, so that a client gets to read why it is refused.
_MOST_READ = 4 * LARGEST_BODY
_JSON = "application/json"


class Gone(Exception):
    """The client left before its request was read."""


@dataclass(slots=True)
class Exchange:
    """A request that is being answered."""

    behaviour: Behaviour
    protocol: Protocol
    request: Request
    wire: Wire
    seen: SeenRequest
    # None where the body was larger than any may be.
    raw: bytes | None

    @property
    def headers(self) -> dict[str, str]:
        """Of each answer."""
        told = self.protocol.id_header
        named = {} if told is None else {told: f"req_simulated_{self.seen.number}"}
        # What is left of a body that is too large isn't waited for.
        closing = {"connection": "close"} if self.raw is None else {}
        return {"content-type": _JSON, **named, **closing}

    @property
    def path(self) -> str:
        """Without its query. Starlette would parse a URL for it, with whatever Host was sent."""
        return str(self.request.scope["path"])

    def body(self) -> Json:
        """The body as an object. Raises `InvalidAsk`."""
        try:
            parsed = orjson.loads(self.raw or b"")
        except orjson.JSONDecodeError:
            raise InvalidAsk("We could not parse the JSON body of your request.") from None
        if not isinstance(parsed, dict):
            raise InvalidAsk("The body of the request must be a JSON object.")
        return parsed

    def transmission(self, reaction: Reaction) -> Transmission:
        """What sends the answer."""
        return Transmission(self.wire, self.protocol, reaction, self.behaviour.timing, self.seen)

    async def send(self, content: Json, reaction: Reaction, tokens: int = 0) -> None:
        """A good answer."""
        body = orjson.dumps(content)
        await self.transmission(reaction).whole(200, self.headers, body, tokens)

    async def refuse(self, reaction: Reaction) -> None:
        """The protocol's error for this reaction."""
        self.seen.fault = reaction.fault
        failure = self.protocol.failure(reaction, self.seen.model or "")
        headers = self.headers
        if reaction.retry_after is not None and failure.wait_in_header:
            name, value = reaction.retry_after.header(self.behaviour.timing.now())
            headers[name] = value
        if reaction.should_retry is not None:
            headers["x-should-retry"] = str(reaction.should_retry).lower()
        body = orjson.dumps(failure.body)
        if failure.status == 200 and self.request.query_params.get("alt") == "sse":
            # Gemini tells of a blocked prompt where an answer would be.
            headers["content-type"] = "text/event-stream"
            body = b"data: " + body + b"\r\n\r\n"
        await self.transmission(Reaction()).whole(failure.status, headers, body)

    async def react(self, model: str | None) -> Reaction | None:
        """What this request meets; None where that was all there is to answer."""
        self.seen.model = model
        key = self.behaviour.api_key
        if key is not None and self.protocol.key_of(self.request.headers) != key:
            await self.refuse(Reaction(fault=Fault.BAD_KEY))
            return None
        if self.raw is None:
            words = f"The request is larger than {LARGEST_BODY:,} bytes."
            await self.refuse(Reaction(fault=Fault.STATUS, status=413, message=words))
            return None
        reaction = self.behaviour.next_reaction(model)
        self.seen.fault = reaction.fault
        if reaction.pace.latency_seconds:
            await self.behaviour.timing.sleep(reaction.pace.latency_seconds)
        if reaction.fault in ERRORS:
            await self.refuse(reaction)
            return None
        if await foreign_answer(self.wire, reaction, self.seen):
            return None
        return reaction

    async def generate(self) -> None:
        """Answer a prompt."""
        path_model = self.request.path_params.get("model")
        body, problem = self._body_or_problem()
        reaction = await self.react(path_model or json_text(body.get("model")))
        if reaction is None:
            return
        try:
            if problem is not None:
                raise problem
            asked = self.protocol.read(
                Prompt(
                    body,
                    self.request.headers,
                    self.request.query_params,
                    self.path,
                    path_model,
                )
            )
        except InvalidAsk as error:
            await self.refuse(Reaction(fault=Fault.INVALID, message=str(error)))
            return
        await self._answer(asked, reaction)

    async def _answer(self, asked: Asked, reaction: Reaction) -> None:
        room = reaction.content.context_tokens
        if room is not None and asked.input_tokens > room:
            await self.refuse(reaction.failing(Fault.TOO_LONG))
            return
        behaviour = self.behaviour
        answer = compose(asked, reaction, seed=behaviour.seed, lengths=behaviour.answer_lengths)
        if not asked.stream:
            whole = self.protocol.whole(answer)
            await self.send(whole, reaction, answer.usage.output_tokens)
            return
        headers = self.headers | {
            "content-type": _JSON if asked.as_array else self.protocol.stream_type,
            "cache-control": "no-cache",
        }
        frames = self.protocol.stream(answer)
        await self.transmission(reaction).stream(headers, frames)

    def _body_or_problem(self) -> tuple[Json, InvalidAsk | None]:
        """A key and a fault come before what is wrong with a body."""
        try:
            return self.body(), None
        except InvalidAsk as error:
            return {}, error


Handler = Callable[[Exchange], Coroutine[None, None, None]]


class Endpoint:
    """An ASGI app that answers one kind of request with `handle`."""

    def __init__(
        self, behaviour: Behaviour, protocol: Callable[[Request], Protocol], handle: Handler
    ) -> None:
        self._behaviour = behaviour
        self._protocol = protocol
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and stop answering when the client is gone."""
        timing = self._behaviour.timing
        began, began_at = timing.monotonic(), timing.now()
        request = Request(scope, receive)
        wire = Wire(scope, receive, send)
        try:
            raw, size = await _read(request)
        except Gone:
            return
        query = scope["query_string"].decode("latin-1")
        path = scope["path"] + (f"?{query}" if query else "")
        seen = self._behaviour.requests.add(
            request.method, path, dict(request.headers), began, began_at
        )
        seen.body, seen.body_bytes = (raw or b"")[:LARGEST_KEPT_BODY], size
        exchange = Exchange(self._behaviour, self._protocol(request), request, wire, seen, raw)
        answering = asyncio.create_task(self._handle(exchange))
        leaving = asyncio.create_task(wire.until_gone())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if wire.broken:
                # uvicorn is to know that the connection is lost before this returns.
                await leaving
        finally:
            answering.cancel()
            leaving.cancel()
            outcome = Outcome.CLIENT_GONE
            if wire.broken:
                outcome = Outcome.BROKEN
            elif wire.ended:
                outcome = Outcome.ANSWERED
            seen.end(outcome, timing.monotonic())
        if answering.done() and not answering.cancelled():
            answering.result()


async def _read(request: Request) -> tuple[bytes | None, int]:
    """The body, None where it is too large, and its size as far as it was read."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
        else:
            parts.clear()
        if not message.get("more_body", False) or size > _MOST_READ:
            return (b"".join(parts) if size <= LARGEST_BODY else None), size
