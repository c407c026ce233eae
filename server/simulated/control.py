"""What tests and people set and read over HTTP while it runs, for this machine alone.

A key isn't asked for; instead the caller must be on loopback and name a loopback host, so that no
web page gets here under a name of its own.
"""

import ipaddress

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from server.loopback import LOOPBACK_NAMES
from server.simulated.behaviour import Behaviour
from server.simulated.script import BadScript, Script

PREFIX = "/_simulated"
_LARGEST_SCRIPT = 2**20


def control_routes(behaviour: Behaviour) -> list[BaseRoute]:
    """`PUT` and `DELETE /_simulated/script`, `GET` and `DELETE /_simulated/requests`."""

    async def script(request: Request) -> Response:
        if refusal := _refusal(request):
            return refusal
        if request.method == "DELETE":
            behaviour.set_script(None)
            return Response(status_code=204)
        try:
            behaviour.set_script(Script.from_json(await _json(request)))
        except BadScript as error:
            return JSONResponse({"error": str(error)}, 400)
        return Response(status_code=204)

    async def requests(request: Request) -> Response:
        if refusal := _refusal(request):
            return refusal
        if request.method == "DELETE":
            behaviour.requests.clear()
            return Response(status_code=204)
        shown = [seen.shown() for seen in behaviour.requests]
        return JSONResponse({"total": behaviour.requests.total, "requests": shown})

    return [
        Route(f"{PREFIX}/script", script, methods=["PUT", "DELETE"]),
        Route(f"{PREFIX}/requests", requests, methods=["GET", "DELETE"]),
    ]


async def _json(request: Request) -> object:
    """The body. Raises `BadScript`."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_SCRIPT:
            raise BadScript(f"a script has at most {_LARGEST_SCRIPT:,} bytes")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadScript(f"no JSON: {error}") from None


def _refusal(request: Request) -> Response | None:
    host = request.headers.get("host", "").lower()
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if _is_loopback(request) and name in LOOPBACK_NAMES:
        return None
    return JSONResponse({"error": f"{PREFIX} is for clients on this machine"}, 403)


def _is_loopback(request: Request) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
