"""The simulated provider as an ASGI app, and how to run it on a free port of this machine."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from server.simulated.behaviour import Behaviour, Fault
from server.simulated.protocols import ANTHROPIC, GOOGLE, OLLAMA, OPENAI, Protocol

Handler = Callable[[Request], Awaitable[Response]]
_LARGEST_PROMPT = 2**20


def create_simulated_provider(behaviour: Behaviour) -> Starlette:
    """A provider that speaks all four protocols, each on its own paths."""

    def listing(protocol: Protocol) -> Handler:
        async def handle(request: Request) -> Response:
            refusal = await _refusal(behaviour, protocol, request)
            return refusal or JSONResponse(protocol.list_models(behaviour, request))

        return handle

    def answering(protocol: Protocol) -> Handler:
        async def handle(request: Request) -> Response:
            refusal = await _refusal(behaviour, protocol, request)
            if refusal is not None:
                return refusal
            body = await _body(request)
            model = request.path_params.get("model") or str(body.get("model", ""))
            prompt = json.dumps(body, sort_keys=True)
            return JSONResponse(protocol.answer(model, behaviour.tokens_for(model, prompt)))

        return handle

    async def show(request: Request) -> Response:
        refusal = await _refusal(behaviour, OLLAMA, request)
        return refusal or JSONResponse(
            {
                "capabilities": ["completion", "tools"],
                "model_info": {"simulated.context_length": 32_768},
            }
        )

    async def models_v1(request: Request) -> Response:
        # OpenAI and Anthropic list on the same path; the version header tells them apart.
        speaks = ANTHROPIC if "anthropic-version" in request.headers else OPENAI
        return await listing(speaks)(request)

    return Starlette(
        routes=[
            Route("/v1/models", models_v1),
            Route("/v1/chat/completions", answering(OPENAI), methods=["POST"]),
            Route("/v1/messages", answering(ANTHROPIC), methods=["POST"]),
            Route("/v1beta/models", listing(GOOGLE)),
            Route("/v1beta/models/{model}:generateContent", answering(GOOGLE), methods=["POST"]),
            Route("/api/tags", listing(OLLAMA)),
            Route("/api/show", show, methods=["POST"]),
            Route("/api/chat", answering(OLLAMA), methods=["POST"]),
        ]
    )


@asynccontextmanager
async def running_simulator(behaviour: Behaviour, port: int = 0) -> AsyncIterator[str]:
    """Serve it on loopback; gives its URL, `http://127.0.0.1:<port>`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        # From here on nobody is refused: who connects before the server runs waits for it.
        listener.listen()
        server = _Quiet(
            uvicorn.Config(
                create_simulated_provider(behaviour),
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            server.force_exit = True
            await serving


class _Quiet(uvicorn.Server):
    """Leaves signals to the program that runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _refusal(behaviour: Behaviour, protocol: Protocol, request: Request) -> Response | None:
    """The answer in place of the right one, where there is to be another."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    behaviour.seen.append((request.method, path, dict(request.headers)))
    if behaviour.api_key is not None and protocol.key_of(request) != behaviour.api_key:
        status, content = protocol.bad_key
        return JSONResponse(content, status)
    fault = behaviour.fault
    if fault in protocol.faults:
        status, content = protocol.faults[fault]
        headers = {"retry-after": "7"} if status == 429 else None
        return JSONResponse(content, status, headers)
    match fault:
        case Fault.HANG:
            await asyncio.sleep(3_600)
            return None
        case Fault.WEB_PAGE:
            return HTMLResponse("<!doctype html><title>Welcome</title>")
        case Fault.REDIRECT:
            return RedirectResponse("http://169.254.169.254/latest/meta-data", 302)
        case Fault.NOT_FOUND:
            return JSONResponse({"detail": "Not Found"}, 404)
        case Fault.NOT_JSON:
            return PlainTextResponse("not json", media_type="application/json")
        case Fault.OTHER_JSON:
            return JSONResponse({"data": {"models": 7}, "models": "none"})
        case Fault.CUT:
            return Response(b'{"data": [', headers={"content-length": "1000"})
        case Fault.HUGE:
            return StreamingResponse(_endless(), media_type="application/json")
        case _:
            return None


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(1_000):
        yield b" " * 65_536


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads((await request.body())[:_LARGEST_PROMPT] or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
