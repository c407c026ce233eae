"""Who is signed in: the admin token, and browser sessions begun with a code that works once."""

import hmac
import secrets
from datetime import timedelta

from db import sessions as store
from db.engine import Connection, Database
from trunkline.clock import Clock
from trunkline.secrets import fingerprint

CODE_LIFETIME = timedelta(minutes=10)
SESSION_LIFETIME = timedelta(hours=12)


class SignIn:
    """Checks tokens, hands out codes, turns codes into sessions. Stores hashes only."""

    def __init__(self, database: Database, clock: Clock, admin_token: str) -> None:
        self._database = database
        self._clock = clock
        self._admin = fingerprint(admin_token)

    def knows_token(self, token: str) -> bool:
        """Whether this is the admin token; takes as long for any other."""
        return hmac.compare_digest(fingerprint(token), self._admin)

    async def knows_session(self, session: str) -> bool:
        """Whether this session stands."""
        async with self._database.read() as connection:
            return await store.has_session(connection, fingerprint(session), now=self._clock())

    async def new_code(self) -> str:
        """A code that signs one browser in, within ten minutes."""
        return await new_sign_in_code(self._database, self._clock)

    async def begin_session(self, code: str) -> str | None:
        """A new session for a code, which is used up; None where the code is not good."""
        now = self._clock()
        session = secrets.token_urlsafe(32)

        async def begin(connection: Connection) -> bool:
            if not await store.take_code(connection, fingerprint(code), now=now):
                return False
            await store.insert_session(
                connection, fingerprint(session), expires_at=now + SESSION_LIFETIME, now=now
            )
            return True

        return session if await self._database.transact(begin) else None

    async def end_session(self, session: str) -> None:
        """Sign out."""
        await self._database.transact(
            lambda connection: store.delete_session(connection, fingerprint(session))
        )


async def new_sign_in_code(database: Database, clock: Clock) -> str:
    """A code as `SignIn.new_code` makes it, also for the command line."""
    code = secrets.token_urlsafe(24)
    now = clock()
    await database.transact(
        lambda connection: store.insert_code(
            connection, fingerprint(code), expires_at=now + CODE_LIFETIME, now=now
        )
    )
    return code
