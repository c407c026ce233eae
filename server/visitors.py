"""Who sends a request: by a token, or by the cookie of a browser that signed in here.

A cookie counts only together with our own Origin, so that no other page, not even one on another
port of this host, can use it.
"""

from collections.abc import Mapping

from starlette.requests import HTTPConnection

from resolvers.context import Viewer
from server.gate import passage_of
from trunkline.signin import SignIn

COOKIE = "trunkline_session"
ADMIN = Viewer("admin")
LONGEST_TOKEN = 512


async def visitor(connection: HTTPConnection, sign_in: SignIn) -> Viewer | None:
    """Who this is, or None."""
    authorization = connection.headers.get("authorization")
    if authorization is not None:
        return by_bearer(authorization, sign_in)
    session = connection.cookies.get(COOKIE)
    if session is None or len(session) > LONGEST_TOKEN:
        return None
    if not passage_of(connection.scope).origin_is_own:
        return None
    return ADMIN if await sign_in.knows_session(session) else None


def by_bearer(authorization: object, sign_in: SignIn) -> Viewer | None:
    """Whose token `Bearer …` holds, or None."""
    if not isinstance(authorization, str) or len(authorization) > LONGEST_TOKEN:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    return ADMIN if sign_in.knows_token(token.strip()) else None


def by_payload(payload: Mapping[str, object], sign_in: SignIn) -> Viewer | None:
    """Whose token a `connection_init` holds, as `{"Authorization": "Bearer …"}`, or None."""
    for name, value in payload.items():
        if name.lower() == "authorization":
            return by_bearer(value, sign_in)
    return None
