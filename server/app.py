"""The ASGI app: its routes, its start and its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from schema.export import exported_schema
from server.answers import failure, unauthenticated
from server.gate import Gate
from server.graphql_http import graphql_http
from server.graphql_ws import graphql_socket
from server.health import healthz, readyz
from server.pages import asset, graphiql, root
from server.session import session
from server.settings import Settings
from server.state import ServerState, state_of
from server.visitors import visitor
from server.wiring import running_services

log = structlog.get_logger(__name__)



def create_app(
    settings: Settings,
    *,
    stopping: asyncio.Event | None = None,
    on_start: Callable[[ServerState], AsyncIterator[None]] | None = None,
) -> Starlette:
    """The app for these settings. `stopping` is set when streams are to end.

    `on_start` runs beside the app: an async context manager's generator, entered after the
    services are up.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with running_services(settings) as (services, sign_in):
            state = ServerState(services, sign_in, stopping or asyncio.Event())
            app.state.server = state
            if on_start is None:
                yield
            else:
                async with asynccontextmanager(on_start)(state):
                    yield

    return Starlette(
        routes=[
            Route("/", root),
            Route("/graphql", graphql_http, methods=["GET", "POST", "PUT", "DELETE", "PATCH"]),
            WebSocketRoute("/graphql", graphql_socket),
            Route("/graphiql", graphiql),
            Route("/graphiql/assets/{path:path}", asset),
            Route("/session", session, methods=["POST", "DELETE"]),
            Route("/schema.graphql", schema_text),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ],
        middleware=[
            Middleware(Gate, hosts=settings.hosts, origins=settings.allowed_origins),
        ],
        exception_handlers={HTTPException: _http_failure},
        lifespan=lifespan,
    )


async def schema_text(request: Request) -> Response:
    """`/schema.graphql`: the schema in SDL, for tools."""
    if await visitor(request, state_of(request.app).sign_in) is None:
        return unauthenticated()
    return PlainTextResponse(exported_schema(), media_type="text/plain; charset=utf-8")


async def _http_failure(request: Request, error: Exception) -> Response:
    """404 and 405 in the shape of every other failure."""
    if not isinstance(error, HTTPException):
        raise error
    known = {
        404: "there is nothing at this path: the API is at /graphql, GraphiQL at /graphiql",
        405: "this path takes other methods",
    }
    return failure(
        error.status_code,
        known.get(error.status_code, error.detail),
        "NOT_FOUND" if error.status_code == 404 else "BAD_USER_INPUT",
        headers=error.headers,
    )
