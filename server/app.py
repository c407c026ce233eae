"""The ASGI application: every route, and what stands around all of them.

`FrontDoor` says what the routes need. Nothing here opens or closes anything: `wiring.py` does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry import Schema

from db.vocabulary import AccessScope
from server.answers import Rejected, error_answer, json_answer
from server.audit_routes import AuditRoutes
from server.crowding import MOST_REQUESTS, Crowding
from server.execution import Executions, MakeContext
from server.gateway_answers import GATEWAY_HEADERS
from server.gateway_routes import PREFIX
from server.graphql_http import GraphQLOverHTTP
from server.graphql_socket import INIT_SECONDS, MOST_SOCKETS, GraphQLOverSocket
from server.loopback import LOOPBACK_NAMES
from server.metrics.route import MetricsAccess, MetricsRoute
from server.origins import Perimeter
from server.page_routes import PageRoutes, built_page
from server.persisted_operations import PersistedOperations
from server.quotas import Quotas, take_operation
from server.requests import RequestLog, request_id_of
from server.sdl import sorted_sdl
from server.session_routes import SessionRoutes
from server.sign_in import Gate, permit
from server.stopping import Stopping
from server.tracing.port import Traces
from server.traffic import Traffic
from server.usage_routes import UsageRoutes
from trunkline.services import Services

log = structlog.get_logger("trunkline.request")

READY_SECONDS = 3.0
"""Less than an orchestrator waits for its probe."""

_MESSAGES = {
    404: "there is nothing at this path: GraphQL is at /graphql, the gateway below /v1",
    405: "this method is not allowed here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDoor:
    """What the application is made of.

    `check_ready` raises where the database can't be reached, and has `ready_seconds` for it.
    `closing` is set by whoever stops the server: event streams end then, and nothing new is served.
    `cutting` is set before what is still under way is cut off. `gateway` serves what is below
    `/v1/`. `services` are what `/metrics` counts beside the front door itself.
    """

    schema: Schema
    make_context: MakeContext
    gate: Gate
    check_ready: Callable[[], Awaitable[None]]
    allowed_hosts: tuple[str, ...] = LOOPBACK_NAMES
    allowed_origins: tuple[str, ...] = ()
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    cutting: asyncio.Event = field(default_factory=asyncio.Event)
    page: Path = field(default_factory=built_page)
    gateway: ASGIApp | None = None
    most_sockets: int = MOST_SOCKETS
    init_seconds: float = INIT_SECONDS
    persisted: PersistedOperations = field(default_factory=PersistedOperations)
    quotas: Quotas = field(default_factory=Quotas)
    introspection: bool = True
    most_requests: int = MOST_REQUESTS
    ready_seconds: float = READY_SECONDS
    metrics: MetricsAccess = "token"
    services: Services | None = None
    traces: Traces | None = None


def build_app(door: FrontDoor) -> ASGIApp:
    """The application: what stands around every request, then the way that it takes."""
    traffic = Traffic()
    executions = Executions(door.schema, door.make_context, traffic, door.traces)
    socket = GraphQLOverSocket(
        executions,
        door.gate,
        door.persisted,
        door.quotas,
        most_sockets=door.most_sockets,
        init_seconds=door.init_seconds,
    )
    pages = _pages(door, executions, socket)
    gateway = _with_cors(door, door.gateway) if door.gateway is not None else pages
    ways = _Ways(
        door.gate, sockets=socket, direct=door.gateway or pages, gateway=gateway, pages=pages
    )
    perimeter = Perimeter(
        ways, allowed_hosts=door.allowed_hosts, allowed_origins=door.allowed_origins
    )
    logged = RequestLog(Stopping(perimeter, door.closing), closing=door.closing, traffic=traffic)
    return logged if door.traces is None else door.traces.around(logged)


def _pages(door: FrontDoor, executions: Executions, sockets: GraphQLOverSocket) -> ASGIApp:
    """All that is neither a socket nor the gateway."""
    page = PageRoutes(door.page)
    usage = UsageRoutes(door.gate, door.make_context, door.quotas)
    audit = AuditRoutes(door.gate, door.make_context, door.quotas)
    app = Starlette(
        routes=[
            Route(
                "/graphql",
                GraphQLOverHTTP(executions, door.gate, door.closing, door.persisted, door.quotas),
            ),
            Route("/graphiql", page.index, methods=["GET"]),
            Route("/graphiql/", page.index, methods=["GET"]),
            Route("/graphiql/{name:path}", page.asset, methods=["GET"]),
            Route("/schema.graphql", _schema_route(door), methods=["GET"]),
            Route("/operations.json", _operations_route(door), methods=["GET"]),
            Route("/export/usage", usage.export, methods=["GET"]),
            Route("/export/audit", audit.export, methods=["GET"]),
            Route("/import/usage", usage.import_, methods=["POST"]),
            Route(
                "/session", SessionRoutes(door.gate, door.quotas).serve, methods=["POST", "DELETE"]
            ),
            Route("/healthz", _alive, methods=["GET"]),
            Route("/readyz", _readiness_route(door), methods=["GET"]),
            Route("/", _to_graphiql, methods=["GET"]),
            *_metrics_routes(door, executions, sockets),
        ],
        exception_handlers={HTTPException: _unserved(door.gate), Rejected: _rejected},
    )
    app.router.redirect_slashes = False
    return _with_cors(door, Crowding(app, most_requests=door.most_requests))


def _metrics_routes(
    door: FrontDoor, executions: Executions, sockets: GraphQLOverSocket
) -> list[Route]:
    if door.metrics == "off":
        return []
    metrics = MetricsRoute(
        door.gate,
        is_open=door.metrics == "open",
        executions=executions,
        sockets=sockets,
        quotas=door.quotas,
        services=door.services,
    )
    return [Route("/metrics", metrics.serve, methods=["GET"])]


def _with_cors(door: FrontDoor, app: ASGIApp) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=door.allowed_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["X-Request-Id", "Retry-After", *GATEWAY_HEADERS],
    )


class _Ways:
    """Sends each request its way: sockets and the gateway past what only pages and GraphQL need,
    which costs each of a thousand sockets 2 kB, and the gateway a tenth of its time.
    """

    def __init__(
        self, gate: Gate, *, sockets: ASGIApp, direct: ASGIApp, gateway: ASGIApp, pages: ASGIApp
    ) -> None:
        """`direct` is the gateway for whoever is no web page: they need no word about origins."""
        self._gate = gate
        self._sockets = sockets
        self._direct = direct
        self._gateway = gateway
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        path: str = scope["path"]
        if scope["type"] == "websocket":
            if path == "/graphql":
                await self._sockets(scope, receive, send)
            else:
                await _no_socket_here(self._gate, WebSocket(scope, receive, send))
        elif not path.startswith(PREFIX):
            await self._pages(scope, receive, send)
        elif any(name == b"origin" for name, _ in scope["headers"]):
            await self._gateway(scope, receive, send)
        else:
            await self._direct(scope, receive, send)


def _schema_route(door: FrontDoor) -> Callable[[Request], Awaitable[Response]]:
    async def schema_document(request: Request) -> Response:
        viewer = await door.gate.admit(request)
        permit(viewer, AccessScope.READ)
        take_operation(door.quotas, viewer)
        if not door.introspection:
            raise Rejected(
                403, "introspection is off on this server: work with your release's schema"
            )
        return PlainTextResponse(sorted_sdl(door.schema), headers={"Cache-Control": "no-cache"})

    return schema_document


def _operations_route(door: FrontDoor) -> Callable[[Request], Awaitable[Response]]:
    async def operations(request: Request) -> Response:
        take_operation(door.quotas, await door.gate.admit(request))
        return json_answer(door.persisted.manifest(), headers={"Cache-Control": "no-cache"})

    return operations


def _readiness_route(door: FrontDoor) -> Callable[[Request], Awaitable[Response]]:
    async def ready(request: Request) -> Response:
        if door.closing.is_set():
            return _unavailable("the server is stopping")
        try:
            async with asyncio.timeout(door.ready_seconds):
                await door.check_ready()
        except TimeoutError:
            log.warning("not ready", request_id=request_id_of(request.scope))
            return _unavailable(f"the database doesn't answer within {door.ready_seconds:g} s")
        except Exception:  # Drivers fail in many ways, and all of them mean: not ready.
            log.exception("not ready", request_id=request_id_of(request.scope))
            return _unavailable("the database can't be reached")
        return json_answer({"status": "ready"})

    return ready


def _unavailable(reason: str) -> Response:
    return json_answer({"status": "unavailable", "reason": reason}, 503)


async def _alive(_request: Request) -> Response:
    return json_answer({"status": "alive"})


async def _to_graphiql(_request: Request) -> Response:
    return RedirectResponse("/graphiql", 307)


async def _no_socket_here(gate: Gate, socket: WebSocket) -> None:
    try:
        await gate.admit(socket)
        rejected = Rejected(404, "there is no websocket at this path: use /graphql")
    except Rejected as error:
        rejected = error
    await socket.send_denial_response(error_answer(rejected, request_id_of(socket.scope)))


def _unserved(gate: Gate) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        """What there is and what not is for those to know who are signed in."""
        assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
        try:
            await gate.admit(request)
            message = _MESSAGES.get(error.status_code, error.detail)
            rejected = Rejected(error.status_code, message, headers=error.headers)
        except Rejected as not_in:
            rejected = not_in
        return error_answer(rejected, request_id_of(request.scope))

    return answer


async def _rejected(request: Request, error: Exception) -> Response:
    assert isinstance(error, Rejected)  # noqa: S101  # what it is registered for
    return error_answer(error, request_id_of(request.scope))
