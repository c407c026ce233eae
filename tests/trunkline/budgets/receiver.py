"""A webhook's receiver: a real server that answers as it is told, and checks each signature.

It checks by the text of the Standard Webhooks specification, with nothing of ours.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return json.loads(self.body)

    def signed_by(self, secret: str) -> bool:
        key = base64.b64decode(secret.split("_", 1)[1], validate=True)
        content = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        digest = hmac.new(key, content + self.body, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(digest).decode()
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """Each request takes the next of `answers` (status, headers); the last one stays."""

    url: str = ""
    answers: list[tuple[int, Mapping[str, str]]] = field(default_factory=lambda: [(204, {})])
    received: list[Received] = field(default_factory=list)
    # Where set, requests are taken and never answered.
    hangs: bool = False
    # Where there is one, it is waited for before an answer.
    holds: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.received.append(Received(dict(request.headers), await request.read()))
        self.arrived.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.holds is not None:
            await self.holds.wait()
        status, headers = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return web.Response(status=status, headers=headers, text="planted-in-the-answer")


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Serve it on a free port of this machine."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/{path:.*}", receiver._serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
