"""Who is asking: the admin token, or a browser session begun with a one-use code.

A browser's cookie counts only on requests from our own page. Tokens and codes are compared and
stored as hashes; none of them is ever logged or put into an error.
"""

import hmac
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from starlette.requests import HTTPConnection

from db.engine import Connection, Database
from db.sessions import add_code, add_session, end_session, find_session, take_code
from resolvers.context import Viewer
from server.access import AccessWatch
from server.answers import Rejected, unauthenticated
from server.origins import comes_from_own_page
from trunkline.clock import Clock
from trunkline.secrets import fingerprint

COOKIE = "trunkline_session"
SESSION_LENGTH = timedelta(hours=12)
CODE_LENGTH = timedelta(minutes=10)

ADMIN = Viewer("admin")
HOW_TO_SIGN_IN = (
    "sign in first: send `Authorization: Bearer <token>`, or open the link that "
    "`trunkline sign-in-link` prints"
)


@dataclass(frozen=True, slots=True)
class BegunSession:
    """A session as its browser gets it; the token is shown this once."""

    token: str = field(repr=False)
    expires_at: datetime


class Gate:
    """Lets the admin token and living sessions in; gives out codes and takes them back."""

    def __init__(self, database: Database, clock: Clock, admin_token: str) -> None:
        self._database = database
        self._clock = clock
        self.access = AccessWatch(database, clock)
        self._admin = fingerprint(admin_token)

    async def admit(self, connection: HTTPConnection) -> Viewer:
        """Who sent this request. Raises `Rejected`: 401, or 403 for a cookie from elsewhere."""
        viewer = await self.recognize(connection)
        if viewer is None:
            raise unauthenticated(HOW_TO_SIGN_IN)
        return viewer

    async def recognize(self, connection: HTTPConnection) -> Viewer | None:
        """Like `admit`, but None for somebody who shows nothing at all."""
        header = connection.headers.get("authorization")
        if header is not None:
            viewer = self.bearer(header)
            if viewer is None:
                raise unauthenticated(
                    "the token is not valid: send `Authorization: Bearer <token>`"
                )
            return viewer
        token = connection.cookies.get(COOKIE)
        if token is None:
            return None
        if not comes_from_own_page(connection):
            raise Rejected(
                403,
                "a session cookie counts only with the Origin of our own page: "
                "from elsewhere, send a token",
            )
        viewer = await self._session(token)
        if viewer is None:
            raise unauthenticated(f"the session has ended: {HOW_TO_SIGN_IN}")
        return viewer

    def bearer(self, authorization: str) -> Viewer | None:
        """Whose token `Bearer <token>` is."""
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        known = hmac.compare_digest(_hashed(token.strip()), self._admin)
        return ADMIN if known else None

    async def issue_code(self) -> str:
        """A code that begins one session within ten minutes."""
        code = secrets.token_urlsafe(32)
        now = self._clock()

        async def store(connection: Connection) -> None:
            await add_code(connection, fingerprint(code), now=now, expires_at=now + CODE_LENGTH)

        await self._database.transact(store)
        return code

    async def begin_session(self, code: str) -> BegunSession | None:
        """Use a code up for a session; None where the code is unknown, used or too old."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        expires_at = now + SESSION_LENGTH

        async def exchange(connection: Connection) -> bool:
            if not await take_code(connection, _hashed(code), now=now):
                return False
            await add_session(connection, fingerprint(token), now=now, expires_at=expires_at)
            return True

        if not await self._database.transact(exchange):
            return None
        return BegunSession(token, expires_at)

    async def end_session(self, token: str) -> None:
        """Sign a browser out; sockets and streams of the session are told."""
        session = _hashed(token)

        async def end(connection: Connection) -> None:
            await end_session(connection, session)

        await self._database.transact(end, after=lambda _: self.access.end(session))

    async def _session(self, token: str) -> Viewer | None:
        session = _hashed(token)
        async with self._database.read() as connection:
            found = await find_session(connection, session, now=self._clock())
        return None if found is None else replace(ADMIN, session=session)


def _hashed(token: str) -> bytes:
    # A caller's text may hold lone surrogates, which no token of ours does.
    return fingerprint(token.encode(errors="replace").decode())
