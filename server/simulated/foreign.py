"""Answers that are none of this API: a web page, a redirect, other JSON; and no answer at all."""

import asyncio

from server.simulated.faults import Fault
from server.simulated.reaction import Reaction
from server.simulated.request_log import SeenRequest
from server.simulated.wire import Wire

_JSON = "application/json"
# Status, content type, body.
_ANSWERS = {
    Fault.WEB_PAGE: (200, "text/html; charset=utf-8", b"<!doctype html><title>Welcome</title>"),
    Fault.REDIRECT: (302, _JSON, b""),
    Fault.NOT_FOUND: (404, _JSON, b'{"detail":"Not Found"}'),
    Fault.NOT_JSON: (200, _JSON, b"not json"),
    Fault.OTHER_JSON: (200, _JSON, b'{"data":{"models":7},"models":"none"}'),
}
_ELSEWHERE = "http://169.254.169.254/latest/meta-data"
_HUGE_PIECES = 1_000
_PIECE = b" " * 65_536


async def foreign_answer(wire: Wire, reaction: Reaction, seen: SeenRequest) -> bool:
    """Give it, where the reaction is one; whether it was."""
    match reaction.fault:
        case Fault.HANG:
            await asyncio.get_running_loop().create_future()
        case Fault.RESET:
            wire.reset()
        case Fault.HUGE:
            seen.status = 200
            await wire.start(200, {"content-type": _JSON})
            for _ in range(_HUGE_PIECES):
                await wire.write(_PIECE)
            await wire.end()
        case _ if reaction.fault in _ANSWERS:
            status, content_type, body = _ANSWERS[reaction.fault]
            seen.status = reaction.status or status
            headers = {"content-type": content_type, "content-length": str(len(body))}
            if reaction.fault is Fault.REDIRECT:
                headers["location"] = _ELSEWHERE
            await wire.start(seen.status, headers)
            await wire.write(body)
            await wire.end()
        case _:
            return False
    return True
