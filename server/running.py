"""Running the app under uvicorn until a signal ends it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import FrameType

import structlog
import uvicorn

from server.app import create_app
from server.logs import configure_logs
from server.settings import BadSettings, Settings
from server.state import ServerState
from server.wiring import sole_server

log = structlog.get_logger(__name__)

GRACE_SECONDS = 2
LARGEST_FRAME = 2**20


class _Server(uvicorn.Server):
    """Tells streams to end as soon as a signal comes; uvicorn would wait for them."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called in the main thread, between two steps of the event loop."""
        self._stopping.set()
        super().handle_exit(sig, frame)


def serve(
    settings: Settings,
    *,
    on_start: Callable[[ServerState], AsyncIterator[None]] | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM. `announce` gets the link that signs a browser in.

    Raises `BadSettings` where the server can't start with these settings.
    """
    configure_logs(settings.log_format)
    asyncio.run(_serve(settings, on_start, announce))


async def _serve(
    settings: Settings,
    on_start: Callable[[ServerState], AsyncIterator[None]] | None,
    announce: Callable[[str], None],
) -> None:
    stopping = asyncio.Event()

    async def started(state: ServerState) -> AsyncIterator[None]:
        link = f"{base_url(settings)}/graphiql#code={await state.sign_in.new_code()}"
        if on_start is None:
            announce(link)
            yield
            return
        async for _ in on_start(state):
            announce(link)
            yield

    async with sole_server(settings):
        app = create_app(settings, stopping=stopping, on_start=started)
        server = _Server(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http="httptools",
                ws="websockets-sansio",
                ws_max_size=LARGEST_FRAME,
                # Pings of the protocol's own do this work: its closing code lets clients come back.
                ws_ping_interval=None,
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                h11_max_incomplete_event_size=64 * 1024,
            ),
            stopping,
        )
        await server.serve()
        if not server.started:
            raise BadSettings(
                f"TRUNKLINE_PORT: the server could not start on {settings.host} port "
                f"{settings.port}; the log says why"
            )


def base_url(settings: Settings) -> str:
    """Where a browser on this machine finds the server."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::", ""} else settings.host  # noqa: S104  # compared, not bound
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.port}"



