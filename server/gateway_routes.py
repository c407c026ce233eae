"""The gateway's endpoints: `/v1/…` in OpenAI's and Anthropic's protocols.

Plain ASGI, without the layers that pages and GraphQL need: it is the busiest way in. Every error is
in the caller's protocol.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

import structlog
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import Receive, Scope, Send

from db.failing import StoreUnavailable
from db.vocabulary import AccessScope, GatewayEndpoint
from resolvers.context import Viewer
from server.answers import Rejected, too_many
from server.caller_watch import ACCESS_ENDED, CallerWatch
from server.gateway_answers import (
    begin_stream,
    comment_of,
    declined,
    end_stream,
    headers_of,
    id_of,
    send_answer,
    send_error,
    send_piece,
)
from server.gateway_bodies import whole_body
from server.gateway_models import GatewayModels
from server.quotas import Quotas
from server.requests import has_begun, is_recorded, request_id_of
from server.settings import DEFAULT_GATEWAY_BODY_SECONDS
from server.sign_in import Gate, permit
from trunkline.access.allowed import Access, wrong_agent
from trunkline.errors import RateLimited, TrunklineError
from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.declining import STOPPING, decline
from trunkline.gateway.exchange import Caller, Exchange
from trunkline.gateway.opening import (
    agent_of,
    open_chat,
    open_embeddings,
    passing_headers,
    read_body,
    seconds_of,
)
from trunkline.gateway.protocols import CallerError, Face
from trunkline.gateway.speeches import ANTHROPIC, OPENAI
from trunkline.gateway.streaming import StreamExchange
from trunkline.gateway.wires import Speech
from trunkline.services import Services

log = structlog.get_logger("trunkline.gateway")

PREFIX = "/v1/"

_ENDPOINTS: dict[str, tuple[Speech, GatewayEndpoint]] = {
    "/v1/chat/completions": (OPENAI, GatewayEndpoint.CHAT_COMPLETIONS),
    "/v1/messages": (ANTHROPIC, GatewayEndpoint.MESSAGES),
    "/v1/embeddings": (OPENAI, GatewayEndpoint.EMBEDDINGS),
}
_MODELS = "/v1/models"
_VERSION = "anthropic-version"
_CODES = {
    401: "invalid_api_key",
    403: "forbidden",
    408: "request_timeout",
    429: "rate_limit_exceeded",
}
_ENDED = CallerError(status=401, message=ACCESS_ENDED, code=_CODES[401])


class GatewayRoutes:
    """The ASGI application below `/v1/`."""

    def __init__(
        self,
        services: Services,
        gate: Gate,
        quotas: Quotas | None = None,
        *,
        body_seconds: float = DEFAULT_GATEWAY_BODY_SECONDS,
    ) -> None:
        """`body_seconds` is for all of a request's body to come."""
        self._services = services
        self._gate = gate
        self._quotas = quotas or Quotas()
        self._body_seconds = body_seconds
        self._models = GatewayModels(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        began = self._services.gateway.means.now()
        path: str = scope["path"]
        # Read once: names are lower-case already, and are looked for a dozen times.
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        request_id = request_id_of(scope)
        speech, endpoint = _ENDPOINTS.get(path, (OPENAI, None))
        if endpoint is None and _VERSION in headers:
            speech = ANTHROPIC
        face = speech.face
        try:
            viewer = await self._gate.admit(HTTPConnection(scope), key=headers.get("x-api-key"))
            permit(viewer, AccessScope.GATEWAY)
            self._quotas.take_gateway_request(viewer)
            if endpoint is None or scope["method"] != "POST":
                await self._serve_models(scope, headers, viewer.access, face, send)
                return
            body = read_body(await whole_body(headers, receive, self._body_seconds))
            is_recorded(scope)
            caller = Caller(
                request_id=request_id,
                agent=_agent(headers, body, viewer),
                seconds=seconds_of(headers.get("x-trunkline-timeout")),
                headers=passing_headers(speech, headers),
                access=viewer.access,
            )
            proofs = viewer.proofs
            watch_access = partial(self._gate.access.watching, proofs) if proofs else None
            with CallerWatch(receive, watch_access) as watch:
                if endpoint is GatewayEndpoint.EMBEDDINGS:
                    exchange = await open_embeddings(self._services, body, caller, began=began)
                else:
                    exchange = await open_chat(
                        self._services, speech, endpoint, body, caller, began=began
                    )
                if isinstance(exchange, StreamExchange):
                    await self._stream(exchange, face, send, watch)
                else:
                    await _answer(exchange, face, send)
        except Rejected as error:
            said = declined(error, _CODES.get(error.status, "invalid_request"))
            await send_error(send, face, said, request_id)
        except ClientDisconnect:
            raise
        except asyncio.CancelledError:
            if not self._services.gateway.stopped.is_set() or has_begun(scope):
                raise
            await send_error(send, face, STOPPING, request_id)
        except RateLimited as error:
            said = declined(too_many(error), _CODES[429])
            await send_error(send, face, said, request_id)
        except (TrunklineError, StoreUnavailable) as error:
            found = decline(error)
            if found is None:
                raise
            await send_error(send, face, found, request_id)

    async def _serve_models(
        self, scope: Scope, headers: Mapping[str, str], access: Access, face: Face, send: Send
    ) -> None:
        """The models that may be asked for; or what is wrong with another path or method."""
        path: str = scope["path"]
        if path != _MODELS and not path.startswith(f"{_MODELS}/"):
            if path in _ENDPOINTS:
                raise Rejected(405, "POST is the method here")
            raise Rejected(
                404,
                f"there is nothing at this path: the gateway has {', '.join(_ENDPOINTS)} and "
                f"{_MODELS}",
            )
        if scope["method"] != "GET":
            raise Rejected(405, "GET is the method here")
        body = await self._models.answer(
            path.removeprefix(_MODELS).removeprefix("/"),
            scope["query_string"],
            access,
            anthropic=_VERSION in headers,
        )
        await send_answer(send, body, id_of(face, request_id_of(scope)))

    async def _stream(
        self, exchange: StreamExchange, face: Face, send: Send, watch: CallerWatch
    ) -> None:
        """What the exchange gives as it comes. Before the first piece an error has a status of its
        own; afterwards it is an event.
        """
        begun = waited = False
        stream = exchange.stream()
        try:
            async for piece in stream:
                if piece is None:
                    if not begun:
                        # Which model answers is not known yet.
                        await begin_stream(send, id_of(face, exchange.caller.request_id))
                    begun = waited = True
                    await send_piece(send, face.keep_alive)
                    continue
                if not begun:
                    begun = True
                    await begin_stream(send, headers_of(exchange, face))
                elif waited:
                    waited = False
                    await send_piece(send, comment_of(exchange, face))
                await send_piece(send, piece)
            if not begun:
                await begin_stream(send, headers_of(exchange, face))
            await end_stream(send)
        except TrunklineError as error:
            found = decline(error, exchange.refused)
            if found is None:
                raise
            if begun:
                await end_stream(send, face.stream_error(found.error))
            else:
                await send_error(
                    send, face, found, exchange.caller.request_id, headers_of(exchange, face)
                )
        except asyncio.CancelledError:
            stopped = self._services.gateway.stopped.is_set()
            if not begun or not (watch.ended or stopped):
                raise
            # The provider is let go first: the caller may read slowly, or not at all.
            await stream.aclose()
            await end_stream(send, face.stream_error(_ENDED if watch.ended else STOPPING.error))
            if watch.ended:
                watch.told = True
                raise
        finally:
            await stream.aclose()


def face_of(scope: Scope) -> Face:
    """The protocol of a request below `/v1/`, for an error before it is looked at."""
    path: str = scope["path"]
    speech, endpoint = _ENDPOINTS.get(path, (OPENAI, None))
    if endpoint is None and any(name == _VERSION.encode() for name, _ in scope["headers"]):
        speech = ANTHROPIC
    return speech.face


def _agent(headers: Mapping[str, str], body: JsonObject, viewer: Viewer) -> str:
    """Whose request it is. Raises `BadRequestBody`, and `Rejected` for one the token isn't for."""
    named = headers.get("x-trunkline-agent")
    if named is not None and not named.isascii():
        # Most clients send UTF-8. Browsers and Node send Latin-1, which hardly ever reads as UTF-8.
        with suppress(UnicodeDecodeError):
            named = named.encode("latin-1").decode()
    agent = agent_of(named, body, viewer.agent)
    if not viewer.access.may_name(agent):
        raise Rejected(403, f"{wrong_agent(viewer.access)}, by x-trunkline-agent or metadata.agent")
    return agent


async def _answer(exchange: Exchange[bytes], face: Face, send: Send) -> None:
    try:
        body = await exchange.answer()
    except TrunklineError as error:
        found = decline(error, exchange.refused)
        if found is None:
            raise
        await send_error(send, face, found, exchange.caller.request_id, headers_of(exchange, face))
        return
    await send_answer(send, body, headers_of(exchange, face))
