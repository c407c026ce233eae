"""Runs the server: takes the database's lock and the port, opens the parts, serves, closes them.

uvicorn speaks HTTP and websockets; how it ends is in `http_server.py`.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator

import structlog
import uvicorn
import uvloop

import trunkline
from db.installation import installed_value
from resolvers.context import OperationContext, Viewer
from schema.limits.bounds import Limits
from schema.root import schema
from server.app import FrontDoor, build_app
from server.connections import ConnectionBounds
from server.credentials import ADMIN_TOKEN_FILE, Credentials, credentials, make_data_dir
from server.database_lock import sole_server
from server.failures import CannotStart
from server.gateway_routes import GatewayRoutes
from server.http_protocol import bounded
from server.http_server import LAST_WORDS_SECONDS, HttpServer
from server.logs import configure_logs
from server.open_gate import OpenGate, require_loopback
from server.operation_files import BadOperations
from server.persisted_operations import PersistedOperations
from server.quotas import Quotas
from server.settings import PREFIX, Settings
from server.sign_in import Gate
from server.socket_protocol import SocketProtocol
from server.tracing.environment import traces_of
from server.tracing.port import Traces
from server.wiring import running_services
from trunkline.processes.schema_watch import SchemaChanged, watching_schema
from trunkline.services import Services

log = structlog.get_logger("trunkline.server")

LARGEST_MESSAGE = 256 * 1024
"""Bytes of one websocket message."""
_KEYS_TO_OFFER = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")


Beside = Callable[[Services], contextlib.AbstractAsyncContextManager[None]]
"""What runs beside the server for as long as it serves."""


def run_server(settings: Settings, *, beside: Beside | None = None, no_auth: bool = False) -> None:
    """Serve until a signal comes; with `no_auth` whoever is on this machine.

    Raises `CannotStart`.
    """
    # Whatever is written, the database above all, is the owner's alone.
    os.umask(0o077)
    configure_logs(settings.log_format)
    if no_auth:
        # In every line from here on.
        structlog.contextvars.bind_contextvars(no_auth=True)
    schema.execute_compiled(compiled=settings.compiled)
    make_data_dir(settings)
    held = credentials(settings)
    with (
        sole_server(settings.database_path),
        listening_socket(settings) as listener,
        traces_of(os.environ, settings.trace_providers) as traces,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if no_auth:
            require_loopback(settings, listener)
        runner.run(_serve(settings, held, listener, beside, traces, no_auth=no_auth))


@contextlib.contextmanager
def listening_socket(settings: Settings) -> Iterator[socket.socket]:
    """The port, taken before anything slow is done. Raises `CannotStart` where it is taken."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # UnicodeError: of a name that no host can have.
        raise CannotStart(f"{PREFIX}HOST: {settings.host} is no address: {error}") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise _not_bound(settings, error) from error
        yield listener


async def _serve(
    settings: Settings,
    held: Credentials,
    listener: socket.socket,
    beside: Beside | None,
    traces: Traces | None,
    *,
    no_auth: bool,
) -> None:
    async with (
        running_services(settings, held, traces) as services,
        beside(services) if beside is not None else contextlib.nullcontext(),
    ):
        if traces is not None:
            services.database.watch.trace = traces.transaction
        door = front_door(services, settings, held.admin_token, traces, no_auth=no_auth)
        address = settings.address(listener.getsockname()[1])
        link = sign_in_link(address, await door.gate.issue_code())

        def announce() -> None:
            log.info(
                "serving",
                url=address,
                version=trunkline.__version__,
                database=services.database.dialect,
            )
            if no_auth:
                log.warning("whoever is on this machine has full access: --no-auth")
            _say_what_matters(settings, held)
            # Printed, not logged: the code in it lets one browser in.
            print(f"\nOpen GraphiQL, once and within 10 minutes:\n  {link}\n", flush=True)  # noqa: T201

        server = make_server(
            door,
            announce,
            websocket_compression=settings.websocket_compression,
            grace_seconds=settings.shutdown_seconds,
            bounds=settings.connection_bounds,
        )
        changed: list[SchemaChanged] = []

        def stop(change: SchemaChanged) -> None:
            log.error("stopping: a newer version has migrated the database")
            changed.append(change)
            server.should_exit = True

        async with watching_schema(services.database, stop):
            await server.serve([listener])
        await door.gate.drain()
    log.info("stopped")
    if changed:
        raise CannotStart(str(changed[0]))


def front_door(
    services: Services,
    settings: Settings,
    admin_token: str,
    traces: Traces | None = None,
    *,
    no_auth: bool = False,
) -> FrontDoor:
    """The application's parts for these services. Raises `CannotStart`."""

    def make_context(viewer: Viewer, request_id: str) -> OperationContext:
        return OperationContext(services, viewer, request_id)

    async def check_ready() -> None:
        async with services.database.read() as connection:
            await installed_value(connection, "ready")

    limited = schema.limited(
        Limits(
            most_cost=settings.most_cost,
            operation_seconds=settings.operation_seconds,
            introspection=settings.introspection,
        )
    )
    gate = (OpenGate if no_auth else Gate)(
        services.database, services.clock, admin_token, services.events
    )
    quotas = Quotas(
        operations_per_second=settings.operations_per_second,
        gateway_requests_per_second=settings.gateway_requests_per_second,
        most_sockets=settings.most_sockets_per_viewer,
        most_streams=settings.most_streams_per_viewer,
    )
    return FrontDoor(
        schema=limited,
        make_context=make_context,
        gate=gate,
        gateway=GatewayRoutes(services, gate, quotas, body_seconds=settings.gateway_body_seconds),
        check_ready=check_ready,
        allowed_hosts=settings.hosts,
        allowed_origins=settings.allowed_origins,
        persisted=_persisted(settings),
        cutting=services.gateway.stopped,
        quotas=quotas,
        introspection=settings.introspection,
        metrics=settings.metrics,
        services=services,
        traces=traces,
    )


def _persisted(settings: Settings) -> PersistedOperations:
    """The known operations. Raises `CannotStart` where an operator's are none."""
    persisted = PersistedOperations(settings.persisted_operations, only=settings.persisted_only)
    if settings.persisted_operations is not None or settings.persisted_only:
        # Otherwise they are read when somebody asks for one.
        try:
            persisted.load(schema)
        except BadOperations as error:
            raise CannotStart(f"{PREFIX}PERSISTED_OPERATIONS: {error}") from error
    return persisted


def make_server(
    door: FrontDoor,
    when_ready: Callable[[], None],
    *,
    websocket_compression: bool = False,
    grace_seconds: float = 0,
    bounds: ConnectionBounds | None = None,
) -> HttpServer:
    """The server of this application; `when_ready` is called when it listens. Requests under way
    when it is to stop have `grace_seconds`.
    """
    bounds = bounds or ConnectionBounds()
    config = uvicorn.Config(
        build_app(door),
        http=bounded(bounds),
        timeout_keep_alive=bounds.keep_alive_seconds,  # type: ignore[arg-type]  # as call_later has it
        ws=SocketProtocol,
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=websocket_compression,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=LAST_WORDS_SECONDS,
    )
    return HttpServer(
        config,
        when_ready=when_ready,
        when_closing=door.closing.set,
        when_cutting=door.cutting.set,
        grace_seconds=grace_seconds,
    )


def sign_in_link(address: str, code: str) -> str:
    """The page's URL with a code in the fragment, which browsers never send."""
    return f"{address}/graphiql#code={code}"


def _say_what_matters(settings: Settings, held: Credentials) -> None:
    if held.generated_admin_token:
        log.info("admin token generated", file=str(settings.data_dir / ADMIN_TOKEN_FILE))
    for name in _KEYS_TO_OFFER:
        if os.environ.get(name):
            log.info(
                "API key found, not taken: give it to its provider by updateProvider", name=name
            )
    if settings.host in {"0.0.0.0", "::"} and not settings.allowed_hosts:  # noqa: S104  # a warning
        log.warning(
            "only loopback names are answered: list the names that others reach this server by",
            setting=f"{PREFIX}ALLOWED_HOSTS",
        )


def _not_bound(settings: Settings, error: OSError) -> CannotStart:
    if error.errno == errno.EADDRINUSE:
        return CannotStart(
            f"{PREFIX}PORT: {settings.port} is taken on {settings.host}: "
            "stop what listens there, or choose another"
        )
    if error.errno == errno.EACCES:
        return CannotStart(f"{PREFIX}PORT: {settings.port} may not be used: choose one above 1023")
    return CannotStart(f"{PREFIX}HOST: {settings.host} can't be listened on: {error.strerror}")
