"""A server that does with a face and a dialect what the gateway does, without chains: it translates
each request for the simulated provider, and each answer for the caller.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
from aiohttp import web

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from trunkline.gateway.answers import AnswerHead
from trunkline.gateway.dialects.openai import OpenAiDialect
from trunkline.gateway.faces.openai import OpenAiFace
from trunkline.gateway.passing.openai import OpenAiPassing
from trunkline.gateway.protocols import BadRequestBody, CallerError, StreamCut, StreamFailed

FACE, DIALECT, PASSING = OpenAiFace(), OpenAiDialect(official=True), OpenAiPassing()
HEAD = AnswerHead(id="chatcmpl-1", model="openai/gpt-5", created=1_767_225_600)


@asynccontextmanager
async def running_relay() -> AsyncIterator[str]:
    """Its URL. Below `/translated/v1` requests are translated, below `/passed/v1` they pass."""
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    async with running_simulator(behaviour) as url, aiohttp.ClientSession(f"{url}/v1/") as session:
        relay = _Relay(session)
        app = web.Application()
        app.router.add_post("/translated/v1/chat/completions", relay.translate)
        app.router.add_post("/passed/v1/chat/completions", relay.pass_on)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()


class _Relay:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def translate(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        try:
            conversation = FACE.read(body)
        except BadRequestBody as error:
            said = CallerError(status=400, message=str(error), param=error.param)
            return web.Response(status=400, body=FACE.error(said), content_type="application/json")
        call = DIALECT.ask(conversation, body["model"])
        async with self._session.post(call.path.lstrip("/"), data=call.body) as answer:
            if not conversation.stream:
                written = FACE.write(DIALECT.read(await answer.read()), HEAD)
                return web.Response(body=written, content_type="application/json")
            reader, writer = DIALECT.stream_reader(), FACE.stream_writer(HEAD, body)
            response = await _begin(request)
            await response.write(FACE.keep_alive)
            try:
                async for some in answer.content.iter_any():
                    await response.write(writer.write(reader.feed(some)))
                await response.write(writer.write(reader.end()) + writer.end())
            except (StreamFailed, StreamCut) as error:
                await response.write(FACE.stream_error(_failed(error)))
            return response

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        call = PASSING.ask(body, body["model"])
        async with self._session.post(call.path.lstrip("/"), data=call.body) as answer:
            if not body.get("stream"):
                read = await answer.read()
                PASSING.look(read)
                return web.Response(body=read, content_type="application/json")
            stream = PASSING.stream(body)
            response = await _begin(request)
            try:
                async for some in answer.content.iter_any():
                    await response.write(stream.feed(some))
                await response.write(stream.end())
            except (StreamFailed, StreamCut) as error:
                await response.write(FACE.stream_error(_failed(error)))
            return response


async def _begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    return response


def _failed(error: Exception) -> CallerError:
    return CallerError(status=502, message=str(error), code="stream_failed")
