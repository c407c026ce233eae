"""The spans of a request: itself, its operation or its way through the gateway, its transactions.

In a span are names, kinds, numbers and outcomes. Never: prompts, answers, variables, headers, keys,
messages of errors, or a URL.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.transaction_watch import Access
from server.documents import Operation
from server.execution import Noted
from server.tracing.environment import ProviderTraces
from server.tracing.gateway_spans import RequestSpans
from server.traffic import known_method, route_of
from trunkline.gateway.traces import RequestTrace

_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""
_CARRIED = (b"traceparent", b"tracestate")
_LONGEST_CARRIED = 512
_SOCKET = otel.create_key("trunkline-socket")
_FAILED = frozenset({"failed", "errors"})


class Spans:
    """Makes them. `continues` says whether a caller's trace is gone on with."""

    def __init__(self, tracer: Tracer, *, continues: bool, providers: ProviderTraces) -> None:
        self._tracer = tracer
        self._continues = continues
        self._providers: ProviderTraces = providers if continues else "none"
        self._propagator = TraceContextTextMapPropagator()

    def around(self, app: ASGIApp, /) -> ASGIApp:
        """A span for each request, and for each socket until it is closed."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in {"http", "websocket"} or scope["path"] in _UNTRACED:
                await app(scope, receive, send)
                return
            span, inner = self._begin_request(scope)
            token = otel.attach(inner)
            try:
                await app(scope, receive, _noting_status(span, send))
            except Exception:  # Whatever it is, the span says so and it goes on.
                span.set_status(StatusCode.ERROR)
                raise
            finally:
                otel.detach(token)
                state = scope.get("state") or {}
                span.set_attribute("trunkline.request_id", state.get("request_id", ""))
                span.end()

        return traced

    @contextmanager
    def operation(self, operation: Operation, noted: Noted, /) -> Iterator[None]:
        """A GraphQL operation. One on a socket begins a trace of its own, with a link to the
        socket's, which may last for days.
        """
        outer, links = otel.get_current(), []
        if otel.get_value(_SOCKET):
            links = [Link(get_current_span().get_span_context())]
            outer = Context()
        span = self._tracer.start_span(
            operation.kind,
            outer,
            links=links,
            attributes={
                "graphql.operation.type": operation.kind,
                "graphql.operation.name": operation.name or "",
            },
        )
        token = otel.attach(set_span_in_context(span, outer))
        try:
            yield
        except Exception:  # The same.
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            otel.detach(token)
            span.set_attribute("trunkline.result", noted.result)
            if noted.result in _FAILED:
                span.set_status(StatusCode.ERROR)
            span.end()

    def begin(self) -> RequestTrace | None:
        """A request through the gateway."""
        return RequestSpans(self._tracer, self._propagator, self._providers)

    def transaction(self, access: Access, seconds: float, failed: bool) -> None:  # noqa: FBT001  # as `Trace` has it
        """A transaction that has just ended, where it is part of something that is traced."""
        if not get_current_span().is_recording():
            return
        now = time.time_ns()
        span = self._tracer.start_span(
            f"database {access}",
            kind=SpanKind.CLIENT,
            start_time=now - int(seconds * 1e9),
            attributes={"db.operation.name": access},
        )
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(now)

    def _begin_request(self, scope: Scope) -> tuple[Span, Context]:
        method = known_method(scope["method"]) if scope["type"] == "http" else "SOCKET"
        route = route_of(scope["path"])
        outer = Context()
        if self._continues:
            outer = self._propagator.extract(_carried(scope), outer)
        span = self._tracer.start_span(
            f"{method} {route}",
            outer,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
        )
        inner = set_span_in_context(span, outer)
        return span, otel.set_value(_SOCKET, scope["type"] == "websocket", inner)


def _carried(scope: Scope) -> Mapping[str, str]:
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in _CARRIED and len(value) <= _LONGEST_CARRIED
    }


def _noting_status(span: Span, send: Send) -> Send:
    async def noting(message: Message) -> None:
        status = message.get("status")
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        await send(message)

    return noting
