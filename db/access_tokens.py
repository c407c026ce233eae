"""Access tokens: rows, pages and changes. Of a token itself only the hash is stored.

A revoked token is deleted. What it did names its agent, not the token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.advisory_lock import hold
from db.paging import PageRequest, Slice, after_key, decode_cursor, slice_of
from db.storable import is_storable
from db.tables import access_tokens, browser_sessions
from db.upsert import insert_into
from db.vocabulary import AccessScope

_ORDER = "access_tokens"
# "token" in ASCII: any number that no other lock has.
_LOCK = 0x746F6B656E


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenRow:
    """A token that was not revoked; it may have expired. `chain_ids` and `agents` are None where it
    isn't limited to any, and may name chains that were deleted.
    """

    id: int
    name: str
    masked: str
    scopes: tuple[AccessScope, ...]
    chain_ids: tuple[int, ...] | None
    agents: tuple[str, ...] | None
    expires_at: datetime | None
    created_at: datetime
    rotated_at: datetime | None
    previous_until: datetime | None
    last_used_at: datetime | None
    token_hash: bytes = field(repr=False)
    previous_hash: bytes | None = field(repr=False)

    def admits(self, token_hash: bytes, now: datetime) -> bool:
        """Whether the token of this hash is let in at `now`: the present one, or the one before it
        during its grace, and neither once it has expired.
        """
        if self.expires_at is not None and self.expires_at <= now:
            return False
        if token_hash == self.token_hash:
            return True
        return (
            token_hash == self.previous_hash
            and self.previous_until is not None
            and self.previous_until > now
        )


async def page_tokens(connection: AsyncConnection, page: PageRequest) -> Slice[AccessTokenRow]:
    """Tokens by name."""
    order = (access_tokens.c.name_folded, access_tokens.c.id)
    statement = select(access_tokens).order_by(*order).limit(page.first + 1)
    if page.after is not None:
        key = decode_cursor(_ORDER, page.after, (str, int))
        statement = statement.where(after_key(order, key))
    found = [_token(row) for row in await connection.execute(statement)]
    total = await count_tokens(connection) if page.with_total else None
    return slice_of(page, found, lambda row: (row.name.casefold(), row.id), _ORDER, total)


async def hold_tokens(connection: AsyncConnection) -> int:
    """Keep others from making tokens until the transaction ends, and count those there are."""
    await hold(connection, _LOCK)
    return await count_tokens(connection)


async def count_tokens(connection: AsyncConnection) -> int:
    """How many tokens there are."""
    return int(await connection.scalar(select(func.count()).select_from(access_tokens)) or 0)


async def load_tokens(
    connection: AsyncConnection, ids: Sequence[int]
) -> Mapping[int, AccessTokenRow]:
    """Those of these that there are, by id."""
    statement = select(access_tokens).where(access_tokens.c.id.in_(ids))
    return {row.id: _token(row) for row in await connection.execute(statement)}


async def load_tokens_by_hash(
    connection: AsyncConnection, hashes: Sequence[bytes]
) -> Mapping[bytes, AccessTokenRow]:
    """The token of each of these hashes that is one's present or former one, by hash."""
    table = access_tokens
    statement = select(table).where(
        or_(table.c.token_hash.in_(hashes), table.c.previous_hash.in_(hashes))
    )
    found = [_token(row) for row in await connection.execute(statement)]
    by_hash = {row.previous_hash: row for row in found if row.previous_hash is not None}
    return by_hash | {row.token_hash: row for row in found}


async def lock_token(connection: AsyncConnection, token_id: int) -> AccessTokenRow | None:
    """The token with this id, which nobody changes until the transaction ends."""
    statement = select(access_tokens).where(access_tokens.c.id == token_id).with_for_update()
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _token(row)


async def find_token_by_name(connection: AsyncConnection, name: str) -> AccessTokenRow | None:
    """The token of this name, however it is capitalized."""
    if not is_storable(name):
        return None
    statement = select(access_tokens).where(access_tokens.c.name_folded == name.casefold())
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _token(row)


async def find_token(connection: AsyncConnection, token_hash: bytes) -> AccessTokenRow | None:
    """The token of this hash, its present one or the one before; ask it whether it `admits`."""
    table = access_tokens
    statement = select(table).where(
        or_(table.c.token_hash == token_hash, table.c.previous_hash == token_hash)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _token(row)


async def insert_token(
    connection: AsyncConnection,
    *,
    name: str,
    token_hash: bytes,
    masked: str,
    scopes: Sequence[AccessScope],
    chain_ids: Sequence[int] | None,
    agents: Sequence[str] | None,
    expires_at: datetime | None,
    now: datetime,
) -> int | None:
    """Store a token and return its id; None where another has its name."""
    inserted: int | None = await connection.scalar(
        insert_into(connection, access_tokens)
        .values(
            name=name,
            name_folded=name.casefold(),
            token_hash=token_hash,
            masked=masked,
            scopes=orjson.dumps([scope.value for scope in scopes]).decode(),
            chain_ids=None if chain_ids is None else orjson.dumps(list(chain_ids)).decode(),
            agents=None if agents is None else orjson.dumps(list(agents)).decode(),
            expires_at=expires_at,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(access_tokens.c.id)
    )
    return inserted


async def replace_token(
    connection: AsyncConnection,
    token: AccessTokenRow,
    token_hash: bytes,
    masked: str,
    *,
    previous_until: datetime,
    now: datetime,
) -> None:
    """Let in the token of this hash, and the present one until `previous_until`; none before it."""
    await connection.execute(
        update(access_tokens)
        .where(access_tokens.c.id == token.id)
        .values(
            token_hash=token_hash,
            masked=masked,
            previous_hash=token.token_hash,
            previous_until=previous_until,
            rotated_at=now,
        )
    )


async def delete_token(connection: AsyncConnection, token: AccessTokenRow) -> None:
    """Delete a token and the browser sessions that were begun with it."""
    hashes = [token.token_hash, *([token.previous_hash] if token.previous_hash else ())]
    await connection.execute(
        delete(browser_sessions).where(browser_sessions.c.access_token_hash.in_(hashes))
    )
    await connection.execute(delete(access_tokens).where(access_tokens.c.id == token.id))


async def note_use(
    connection: AsyncConnection, token_id: int, *, now: datetime, every: timedelta
) -> None:
    """Store when a token was last used, unless that was stored within `every`."""
    table = access_tokens
    await connection.execute(
        update(table)
        .where(
            table.c.id == token_id,
            or_(table.c.last_used_at.is_(None), table.c.last_used_at <= now - every),
        )
        .values(last_used_at=now)
    )


async def living_access(
    connection: AsyncConnection, hashes: Sequence[bytes], *, now: datetime
) -> frozenset[bytes]:
    """Those of these hashes that are of a session or an access token that lets in now."""
    tokens, sessions = access_tokens, browser_sessions
    unexpired = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)
    present = select(tokens.c.token_hash).where(tokens.c.token_hash.in_(hashes), unexpired)
    previous = select(tokens.c.previous_hash).where(
        and_(tokens.c.previous_hash.in_(hashes), tokens.c.previous_until > now, unexpired)
    )
    begun = select(sessions.c.token_hash).where(
        sessions.c.token_hash.in_(hashes), sessions.c.expires_at > now
    )
    return frozenset(await connection.scalars(begun.union_all(present, previous)))


def _token(row: Row[Any]) -> AccessTokenRow:
    return AccessTokenRow(
        id=row.id,
        name=row.name,
        masked=row.masked,
        scopes=tuple(AccessScope(one) for one in orjson.loads(row.scopes)),
        chain_ids=None if row.chain_ids is None else tuple(orjson.loads(row.chain_ids)),
        agents=None if row.agents is None else tuple(orjson.loads(row.agents)),
        expires_at=row.expires_at,
        created_at=row.created_at,
        rotated_at=row.rotated_at,
        previous_until=row.previous_until,
        last_used_at=row.last_used_at,
        token_hash=row.token_hash,
        previous_hash=row.previous_hash,
    )
