"""A request to the gateway whose answer is streamed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from db.vocabulary import GatewayEndpoint, GatewayOutcome
from trunkline.failover.attempts import AttemptFailed, Piece, ResolvedStep
from trunkline.failover.failed_answers import MOST_BODY_BYTES, failed_request
from trunkline.failover.outcomes import RunFailed
from trunkline.failover.running import KEEP_ALIVE
from trunkline.gateway.configuration import Runnable
from trunkline.gateway.exchange import (
    Caller,
    Ended,
    Exchange,
    headers_for,
    outcome_of,
    unreadable,
)
from trunkline.gateway.protocols import PassingStream, StreamCut, StreamFailed
from trunkline.gateway.wires import StreamedWire
from trunkline.providers.answer_stream import AnswerStream
from trunkline.providers.outgoing_errors import BrokenAnswer, OutgoingError, Unreachable
from trunkline.services import Services

_EVENT_STREAMS = ("text/event-stream", "application/x-ndjson")
_AFTER_THE_END_SECONDS = 0.5
"""How long a provider may keep a stream open that has said its last word."""


class StreamExchange(Exchange[bytes]):
    """One whose answer is streamed: iterate over its `stream` once, instead."""

    def __init__(
        self,
        services: Services,
        wire: StreamedWire,
        runnable: Runnable,
        caller: Caller,
        endpoint: GatewayEndpoint,
        *,
        began: float,
    ) -> None:
        super().__init__(services, wire, runnable, caller, endpoint, began=began)
        self._streamed = True
        self._streamed_wire = wire

    async def stream(self) -> AsyncGenerator[bytes | None]:
        """The answer as it comes; None says that it is still waited for, so that the caller can be
        shown that we are there. Close it. Raises a `RunFailed`, also after pieces came.
        """
        ended: Ended | None = None
        try:
            pieces = self._run.pieces(self._attempt, self._runnable.delivery)
            async with aclosing(pieces):
                async for said in pieces:
                    if said == KEEP_ALIVE:
                        yield None
                    elif said.size:
                        if self._first_token_ms is None:
                            self._first_token_ms = round(self._since_began())
                        yield said.payload
            ended = GatewayOutcome.ANSWERED, 200
        except RunFailed as error:
            ended = outcome_of(error), error.status
            raise
        finally:
            self._account(ended or self._abandoned())

    async def _attempt(self, step: ResolvedStep, _seconds: float) -> AsyncGenerator[Piece[bytes]]:
        model, call = self._call(step)
        one = self._begin(model)
        try:
            async with self._services.outgoing.stream(
                model.provider.kind,
                model.provider.root + call.path,
                headers=headers_for(model, call, one),
                body=call.body,
                timeout_seconds=None,  # the engine watches the time
            ) as answer:
                if not 200 <= answer.status < 300:
                    body = await answer.beginning(MOST_BODY_BYTES)
                    raise AttemptFailed(self._failed(model, answer.status, answer.headers, body))
                if not answer.headers.get("content-type", "").startswith(_EVENT_STREAMS):
                    raise AttemptFailed(unreadable(answer.status, "the answer is no stream"))
                one.stream = stream = self._streamed_wire.stream(model)
                while chunk := await read_on(answer, stream):
                    payload = stream.feed(chunk)
                    yield Piece(payload, is_token=stream.begun, size=len(payload))
                if rest := stream.end():
                    yield Piece(rest, is_token=stream.begun, size=len(rest))
        except OutgoingError as error:
            raise AttemptFailed(failed_request(error)) from error
        except StreamFailed as error:
            raise AttemptFailed(self._failed(model, error.status, {}, error.body)) from error
        except StreamCut as error:
            raise AttemptFailed(unreadable(200, str(error))) from error


async def read_on(answer: AnswerStream, stream: PassingStream) -> bytes:
    """The next bytes of a stream, none where there are no more to come.

    A provider that has said its last word may keep the connection open, or break it: the answer is
    whole all the same. Raises an `OutgoingError`, or `StreamCut` where the answer isn't.
    """
    if stream.done:
        if not answer.at_end:
            # Read on only so that the connection may serve others.
            with suppress(TimeoutError, OutgoingError):
                async with asyncio.timeout(_AFTER_THE_END_SECONDS):
                    while await answer.read():
                        pass
        return b""
    try:
        return await answer.read()
    except (BrokenAnswer, Unreachable):
        # Whole, where it gave its reason to end: the stream's end will tell.
        return b""
