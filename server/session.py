"""Signing a browser in and out: a code for a cookie.

The code comes in the fragment of a link, which no browser sends to a server and no server logs.
"""

import orjson
from starlette.requests import Request
from starlette.responses import Response

from server.answers import failure, json_answer
from server.documents import BadDocument, read_body
from server.gate import passage_of
from server.state import state_of
from server.visitors import COOKIE, LONGEST_TOKEN
from trunkline.signin import SESSION_LIFETIME


async def session(request: Request) -> Response:
    """`POST /session` with `{"code": "…"}` signs in; `DELETE /session` signs out."""
    if not passage_of(request.scope).origin_is_own:
        return failure(403, "a browser signs in from our own page only", "FORBIDDEN")
    sign_in = state_of(request.app).sign_in
    if request.method == "DELETE":
        present = request.cookies.get(COOKIE)
        if present is not None and len(present) <= LONGEST_TOKEN:
            await sign_in.end_session(present)
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response
    try:
        code = _code(await read_body(request))
    except BadDocument as error:
        return failure(error.status, str(error))
    begun = await sign_in.begin_session(code)
    if begun is None:
        return failure(
            401,
            "this code was used or has expired: run `trunkline sign-in-link` for another",
            "UNAUTHENTICATED",
        )
    response = json_answer({"signedIn": True})
    response.set_cookie(
        COOKIE,
        begun,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


def _code(body: bytes) -> str:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadDocument(400, "the body is not valid JSON") from None
    code = parsed.get("code") if isinstance(parsed, dict) else None
    if not isinstance(code, str) or not 0 < len(code) <= LONGEST_TOKEN:
        raise BadDocument(400, 'send {"code": "…"} with the code of a sign-in link')
    return code
