"""Whether the server lives, and whether it can do its work: for those who watch it."""

import asyncio

import structlog
from starlette.requests import Request
from starlette.responses import Response

from db.health import is_reachable
from server.answers import json_answer
from server.state import state_of

log = structlog.get_logger(__name__)

READY_SECONDS = 2.0


async def healthz(_request: Request) -> Response:
    """The process answers."""
    return json_answer({"status": "ok"})


async def readyz(request: Request) -> Response:
    """The database answers, within two seconds."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await is_reachable(state_of(request.app).services.database)
    except Exception:  # Any reason at all is the same to who asks; the log has it.
        log.warning("the database is not reachable", exc_info=True)
        return json_answer({"status": "database unreachable"}, 503)
    return json_answer({"status": "ready"})
