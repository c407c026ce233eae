"""`/session`: a browser trades its one-use code or a token for a cookie, and signs out."""

from starlette.requests import Request
from starlette.responses import Response

from server.answers import Rejected, unauthenticated
from server.operation_request import Malformed, parsed_json, read_body, require_json
from server.origins import comes_from_own_page, own_origin
from server.quotas import Quotas, take_operation
from server.sign_in import COOKIE, SESSION_LENGTH, BegunSession, Browser, Gate


class SessionRoutes:
    """POST begins a session, DELETE ends it."""

    def __init__(self, gate: Gate, quotas: Quotas) -> None:
        self._gate = gate
        self._quotas = quotas

    async def serve(self, request: Request) -> Response:
        """Answer one request. Raises `Rejected`."""
        if request.method == "DELETE":
            return await self._sign_out(request)
        return await self._sign_in(request)

    async def _sign_in(self, request: Request) -> Response:
        # Another site's page could otherwise sign a visitor in with a code of its own.
        if "origin" in request.headers and not comes_from_own_page(request):
            raise Rejected(403, "sign in from our own page")
        require_json(request.headers.get("content-type"))
        try:
            body = parsed_json(await read_body(request), "the body")
        except Malformed as error:
            raise Rejected(400, str(error)) from error
        given = body if isinstance(body, dict) else {}
        token, code = given.get("token"), given.get("code")
        response = Response(status_code=204)
        if isinstance(token, str) and token and code is None:
            holder = await self._gate.holder(token, request)
            take_operation(self._quotas, holder)
            _set_cookie(
                response, request, await self._gate.begin_session_of(holder, Browser.of(request))
            )
            return response
        if not isinstance(code, str) or not code or token is not None:
            raise Rejected(
                400, 'send {"code": "…"}, with the code of a sign-in link, or {"token": "…"}'
            )
        begun = await self._gate.begin_session(code, Browser.of(request))
        if begun is None:
            self._gate.note_wrong(request)
            raise unauthenticated(
                "this sign-in link was used before or is older than ten minutes: "
                "`trunkline sign-in-link` prints another"
            )
        _set_cookie(response, request, begun)
        return response

    async def _sign_out(self, request: Request) -> Response:
        token = request.cookies.get(COOKIE)
        if token is not None:
            if not comes_from_own_page(request):
                raise Rejected(403, "sign out from our own page")
            await self._gate.end_session(token)
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response


def _set_cookie(response: Response, request: Request, begun: BegunSession) -> None:
    response.set_cookie(
        COOKIE,
        begun.token,
        max_age=int(SESSION_LENGTH.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=own_origin(request).startswith("https:"),
    )
