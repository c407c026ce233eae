"""Who is asking: the admin token, an access token, or a browser session begun with a one-use code
or a token.

A browser's cookie counts only on requests from our own page. Tokens and codes are compared and
stored as hashes; none of them is ever logged or put into an error.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from starlette.requests import HTTPConnection

from db.access_tokens import AccessTokenRow
from db.engine import Connection, Database
from db.sessions import add_code, add_session, end_session, find_session, has_code, take_code
from db.vocabulary import AccessScope, SignInMethod
from resolvers.context import Viewer
from server.access import AccessWatch
from server.answers import Rejected, unauthenticated
from server.origins import comes_from_own_page
from server.wrong_tokens import WrongTokens
from trunkline.access.allowed import Forbidden, access_of
from trunkline.access.browsers import browser_name
from trunkline.access.known import KnownTokens
from trunkline.access.sessions import SessionUses
from trunkline.clock import Clock
from trunkline.events import EventBus
from trunkline.secrets import fingerprint

COOKIE = "trunkline_session"
SESSION_LENGTH = timedelta(hours=12)
CODE_LENGTH = timedelta(minutes=10)

_LONGEST_ADDRESS = 64

ADMIN = Viewer("admin")
HOW_TO_SIGN_IN = (
    "sign in first: send `Authorization: Bearer <token>`, or open the link that "
    "`trunkline sign-in-link` prints"
)
WRONG_TOKEN = "the token is not valid: send one of Trunkline's as `Authorization: Bearer <token>`"  # noqa: S105  # a message


@dataclass(frozen=True, slots=True)
class BegunSession:
    """A session as its browser gets it; the token is shown this once."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Browser:
    """What tells a session from others: what the browser calls itself, and where it is."""

    name: str | None = None
    address: str | None = None

    @classmethod
    def of(cls, connection: HTTPConnection) -> "Browser":
        """Whoever sent this request."""
        address = connection.client.host[:_LONGEST_ADDRESS] if connection.client else None
        return cls(browser_name(connection.headers.get("user-agent")), address or None)


UNKNOWN = Browser()


class Gate:
    """Lets tokens and living sessions in; gives out codes and takes them back.

    `events` tell it of access tokens that change; without them it sees that a moment later.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        admin_token: str,
        events: EventBus | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self.access = AccessWatch(database, clock)
        self._admin = fingerprint(admin_token)
        self._tokens = KnownTokens(database, clock, events)
        self._uses = SessionUses(database, clock)
        self._wrong = WrongTokens(clock)

    async def admit(self, connection: HTTPConnection, *, key: str | None = None) -> Viewer:
        """Who sent this request; `key` is a token that came in another header than Authorization.

        Raises `Rejected`: 401, 403 for a cookie from elsewhere, 429 for too many wrong tokens.
        """
        if key is not None and "authorization" not in connection.headers:
            return await self.holder(key, connection)
        viewer = await self.recognize(connection)
        if viewer is None:
            raise unauthenticated(HOW_TO_SIGN_IN)
        return viewer

    async def recognize(self, connection: HTTPConnection) -> Viewer | None:
        """Like `admit`, but None for somebody who shows nothing at all."""
        header = connection.headers.get("authorization")
        if header is not None:
            return await self.bearer(header, connection)
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

    async def bearer(self, authorization: str, connection: HTTPConnection) -> Viewer:
        """Whose token `Bearer <token>` is. Raises `Rejected`: 401, 429."""
        scheme, _, token = authorization.strip().partition(" ")
        return await self.holder(token.strip() if scheme.lower() == "bearer" else "", connection)

    async def holder(self, token: str, connection: HTTPConnection) -> Viewer:
        """Whose this token is. Raises `Rejected`: 401, or 429 where too many wrong ones came."""
        if hmac.compare_digest(_hashed(token), self._admin):
            return ADMIN
        found = await self._tokens.admit(token)
        if found is None:
            self._wrong.note(connection)
            raise unauthenticated(WRONG_TOKEN)
        return _viewer(*found)

    def note_wrong(self, connection: HTTPConnection) -> None:
        """Count a wrong code of this address. Raises `Rejected` (429) where it is one too many."""
        self._wrong.note(connection)

    async def drain(self) -> None:
        """Wait until the uses of tokens and sessions are stored, before the database is closed."""
        await self._tokens.drain()
        await self._uses.drain()

    async def issue_code(self) -> str:
        """A code that begins one session within ten minutes."""
        code = secrets.token_urlsafe(32)
        now = self._clock()

        async def store(connection: Connection) -> None:
            await add_code(connection, fingerprint(code), now=now, expires_at=now + CODE_LENGTH)

        await self._database.transact(store)
        return code

    async def begin_session(self, code: str, browser: Browser = UNKNOWN) -> BegunSession | None:
        """Use a code up for a session; None where the code is unknown, used or too old."""
        code_hash = _hashed(code)
        # Anybody may try, so a wrong one must not wait for its turn to write, nor hold up others.
        async with self._database.read() as connection:
            if not await has_code(connection, code_hash, now=self._clock()):
                return None

        async def take(connection: Connection) -> bool:
            return await take_code(connection, code_hash, now=self._clock())

        return await self._begin(browser, SignInMethod.SIGN_IN_LINK, allowed=take)

    async def begin_session_of(self, viewer: Viewer, browser: Browser = UNKNOWN) -> BegunSession:
        """A session that may do what this viewer's token may, while that is let in itself."""
        method = SignInMethod.ADMIN_TOKEN if viewer.token is None else SignInMethod.ACCESS_TOKEN
        begun = await self._begin(browser, method, of=viewer.token)
        assert begun is not None  # noqa: S101  # nothing had to be allowed
        return begun

    async def end_session(self, token: str) -> None:
        """Sign a browser out; sockets and streams of the session are told."""
        session = _hashed(token)
        async with self._database.read() as reading:
            if await find_session(reading, session, now=self._clock()) is None:
                return

        async def end(connection: Connection) -> None:
            await end_session(connection, session)

        await self._database.transact(end, after=lambda _: self.access.end(session))

    async def _begin(
        self,
        browser: Browser,
        method: SignInMethod,
        *,
        of: bytes | None = None,
        allowed: Callable[[Connection], Awaitable[bool]] | None = None,
    ) -> BegunSession | None:
        """A new token each time: nothing that a browser brought along becomes its session."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        expires_at = now + SESSION_LENGTH

        async def begin(connection: Connection) -> bool:
            if allowed is not None and not await allowed(connection):
                return False
            await add_session(
                connection,
                fingerprint(token),
                now=now,
                expires_at=expires_at,
                signed_in_with=method,
                access_token_hash=of,
                browser=browser.name,
                address=browser.address,
            )
            return True

        if not await self._database.transact(begin):
            return None
        return BegunSession(token, expires_at)

    async def _session(self, token: str) -> Viewer | None:
        session = _hashed(token)
        async with self._database.read() as connection:
            found = await find_session(connection, session, now=self._clock())
        if found is None:
            return None
        if found.access_token_hash is None:
            self._uses.note(found)
            return replace(ADMIN, session=session)
        begun_with = await self._tokens.find(found.access_token_hash)
        if begun_with is None:
            return None
        self._uses.note(found)
        return replace(_viewer(begun_with, found.access_token_hash), session=session)


def permit(viewer: Viewer, scope: AccessScope) -> None:
    """Raise `Rejected` (403) unless this viewer may do what needs the scope."""
    try:
        viewer.access.require(scope)
    except Forbidden as error:
        raise Rejected(403, str(error)) from error


def _viewer(token: AccessTokenRow, token_hash: bytes) -> Viewer:
    access = access_of(token)
    return Viewer(
        token.name,
        agent=access.unnamed_agent(token.name),
        access=access,
        token_id=token.id,
        token=token_hash,
    )


def _hashed(token: str) -> bytes:
    # A caller's text may hold lone surrogates, which no token of ours does.
    return fingerprint(token.encode(errors="replace").decode())
