"""`/graphql` over HTTP: GraphQL over HTTP by its specification, and graphql-sse's event streams.

Which status goes with which failure is written down in `docs/decisions/graphql-over-http.md`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from functools import partial

from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.answers import EVENT_STREAM, GRAPHQL_RESPONSE, JSON, Rejected, error_answer, too_many
from server.compressing import compressed
from server.documents import Operation, chosen_operation
from server.execution import Executions
from server.graphql_sse import EventStream
from server.negotiation import Accepted, accepted
from server.operation_request import read_request
from server.outcomes import Outcome, SharedResult, refusal
from server.persisted_operations import PersistedOperations
from server.quotas import Quotas
from server.requests import is_stream, name_operation, request_id_of
from server.sign_in import Gate
from server.traffic import Result
from trunkline.errors import RateLimited

_METHODS = frozenset({"GET", "HEAD", "POST"})
_ALLOWED = "GET, HEAD, POST"


class GraphQLOverHTTP:
    """The ASGI endpoint. `closing` is set when the server stops: streams end then."""

    def __init__(
        self,
        executions: Executions,
        gate: Gate,
        closing: asyncio.Event,
        persisted: PersistedOperations,
        quotas: Quotas,
    ) -> None:
        self._executions = executions
        self._gate = gate
        self._closing = closing
        self._persisted = persisted
        self._quotas = quotas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        accept = accepted(",".join(request.headers.getlist("accept")))
        with ExitStack() as held:
            try:
                answer = await self._answer(request, accept, held)
            except Rejected as rejected:
                media_type = accept.whole or JSON
                answer = error_answer(rejected, request_id_of(scope), media_type=media_type)
            if isinstance(answer, Response):
                taken = ",".join(request.headers.getlist("accept-encoding"))
                answer = await compressed(answer, taken)
            await answer(scope, receive, send)

    async def _answer(
        self, request: Request, accept: Accepted, held: ExitStack
    ) -> Response | EventStream:
        viewer = await self._gate.admit(request)
        if request.method not in _METHODS:
            raise Rejected(405, "use POST, or GET for queries", headers={"Allow": _ALLOWED})
        if accept.whole is None and not accept.stream:
            raise Rejected(
                406, f"answers come as {GRAPHQL_RESPONSE}, {JSON} or {EVENT_STREAM}: accept one"
            )
        try:
            self._quotas.take_operation(viewer)
        except RateLimited as error:
            raise too_many(error) from error
        asked = await read_request(request)
        request_id = request_id_of(request.scope)
        try:
            asked = self._persisted.resolve(asked)
            operation = chosen_operation(asked.query, asked.operation_name)
        except GraphQLError as error:
            self._executions.traffic.note_operation(None, None, "refused")
            return self._refused(refusal(error, request_id), accept)
        persisted_name = self._persisted.name_of(asked)
        name_operation(request.scope, operation.name)
        _check_method(request.method, operation)
        if operation.kind == "subscription":
            if not accept.stream:
                raise Rejected(
                    400,
                    f"a subscription needs a stream: accept {EVENT_STREAM} (graphql-sse), "
                    "or open a websocket with the subprotocol graphql-transport-ws",
                )
            try:
                held.enter_context(self._quotas.stream(viewer))
            except RateLimited as error:
                raise too_many(error) from error
        elif accept.whole and not accept.prefers_stream:
            with self._executions.noting(operation, persisted_name) as noted:
                outcome = await self._executions.execute(asked, viewer, request_id)
                noted.result = outcome.result
            return _whole(outcome, accept.whole)
        is_stream(request.scope)
        held.enter_context(self._executions.traffic.event_stream())
        return EventStream(
            self._noted(
                self._executions.stream(asked, viewer, request_id), operation, persisted_name
            ),
            self._closing,
            request_id,
            watch_access=partial(self._gate.access.watching, viewer.proofs),
        )

    async def _noted(
        self,
        results: AsyncGenerator[Outcome | SharedResult, None],
        operation: Operation,
        persisted_name: str | None,
    ) -> AsyncGenerator[Outcome | SharedResult, None]:
        """The same results, of an operation that is counted when they end."""
        with self._executions.noting(operation, persisted_name) as noted:
            found: Result = "completed"
            async with aclosing(results):
                async for outcome in results:
                    if isinstance(outcome, Outcome) and outcome.result != "completed":
                        found = outcome.result
                    yield outcome
            noted.result = found

    def _refused(self, outcome: Outcome, accept: Accepted) -> Response | EventStream:
        if accept.whole and not accept.prefers_stream:
            return _whole(outcome, accept.whole)
        return EventStream.of(outcome, self._closing)


def _check_method(method: str, operation: Operation) -> None:
    if method != "POST" and operation.kind == "mutation":
        raise Rejected(405, "a mutation goes by POST", headers={"Allow": "POST"})


def _whole(outcome: Outcome, media_type: str) -> Response:
    status = 200
    # Under the older media type a client may trust only a 200 to be GraphQL's own answer.
    if outcome.refused and media_type == GRAPHQL_RESPONSE:
        status = 500 if outcome.internal else 400
    return Response(outcome.encoded(), status, {"Content-Type": f"{media_type}; charset=utf-8"})
