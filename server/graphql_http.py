"""GraphQL over HTTP, by its specification (graphql.github.io/graphql-over-http), and over SSE.

`application/graphql-response+json` answers 400 where nothing was executed; `application/json`
answers 200 there, for clients from before that media type. A request that is none gets 4xx in both.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from resolvers.context import OperationContext
from server.accept import EVENT_STREAM, chosen_media_type
from server.answers import GRAPHQL_JSON, JSON, failure, json_answer, unauthenticated
from server.documents import BadDocument, Document, read_get, read_post
from server.execution import (
    NOT_LIVE,
    READS,
    WrongOperation,
    execute,
    formatted,
    is_request_error,
    stream,
)
from server.gate import passage_of
from server.state import state_of
from server.visitors import visitor

KEEP_ALIVE_SECONDS = 12.0


async def graphql_http(request: Request) -> Response:
    """`POST` and `GET` of /graphql."""
    media_type = chosen_media_type(request.headers.get("accept"))
    if media_type is None:
        return failure(406, f"accept one of {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}")
    error_type = JSON if media_type == EVENT_STREAM else media_type
    state = state_of(request.app)
    viewer = await visitor(request, state.sign_in)
    if viewer is None:
        return unauthenticated(error_type)
    if request.method not in {"GET", "HEAD", "POST"}:
        return failure(
            405, "use POST or GET", media_type=error_type, headers={"allow": "GET, POST"}
        )
    reading = request.method != "POST"
    try:
        document = read_get(request) if reading else await read_post(request)
    except BadDocument as error:
        return failure(error.status, str(error), media_type=error_type)
    passage = passage_of(request.scope)
    passage.operation = (document.operation_name or "")[:100] or None
    context = OperationContext(state.services, viewer, passage.request_id)
    if media_type == EVENT_STREAM:
        return _event_stream(document, context, state.stopping)
    try:
        result = await execute(document, context, READS if reading else NOT_LIVE)
    except WrongOperation as error:
        return _wrong(error, media_type)
    status = 400 if media_type == GRAPHQL_JSON and is_request_error(result) else 200
    return json_answer(formatted(result), status, media_type=media_type)


def _wrong(error: WrongOperation, media_type: str) -> Response:
    if error.kind.value == "subscription":
        return failure(
            406,
            f"a subscription needs a websocket, or `Accept: {EVENT_STREAM}`",
            media_type=media_type,
        )
    return failure(
        405, "GET only reads: send mutations by POST", media_type=media_type,
        headers={"allow": "POST"},
    )


def _event_stream(
    document: Document, context: OperationContext, stopping: asyncio.Event
) -> Response:
    """The protocol graphql-sse in its "distinct connections mode": a stream an operation."""
    return StreamingResponse(
        _events(document, context, stopping),
        media_type=EVENT_STREAM,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    document: Document, context: OperationContext, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    async with aclosing(stream(document, context)) as results:
        stopped = asyncio.ensure_future(stopping.wait())
        upcoming: asyncio.Future[object] | None = None
        try:
            yield b":\n\n"
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(results, None))
                done, _ = await asyncio.wait(
                    {upcoming, stopped},
                    timeout=KEEP_ALIVE_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if stopped in done:
                    # No "complete": the client is to come back.
                    return
                if upcoming not in done:
                    yield b":\n\n"
                    continue
                result = upcoming.result()
                upcoming = None
                if result is None:
                    break
                yield b"event: next\ndata: " + orjson.dumps(formatted(result)) + b"\n\n"  # type: ignore[arg-type]
            yield b"event: complete\ndata: \n\n"
        finally:
            for future in (stopped, upcoming):
                if future is not None:
                    future.cancel()
                    with suppress(asyncio.CancelledError, Exception):
                        await future
