"""Seals everything anew by the newest secret key, while servers run.

What is stored can be opened at every moment by whoever holds the former and the newest key: each
value is replaced in a transaction, and only where it is still the one that was read.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from db.engine import Connection, Database
from db.sealed import SealedValue, hold_sealed, replace_sealed, sealed_values
from trunkline.audit.actors import SYSTEM, Actor
from trunkline.audit.changes import leave_entries, updated
from trunkline.audit.showing import shown_secret_keys
from trunkline.clock import Clock, system_clock
from trunkline.secrets import Secrets

BATCH = 50
"""Values that one transaction replaces."""
_MOST_PASSES = 100


class KeepsChanging(Exception):
    """Somebody seals by a former key faster than it is replaced."""


@dataclass(slots=True)
class Resealing:
    """How far it is. `unreadable` is what none of the keys opens, and stays as it is."""

    resealed: int = 0
    total: int = 0
    unreadable: list[SealedValue] = field(default_factory=list)


async def reseal_everything(
    database: Database,
    secrets: Secrets,
    *,
    on_batch: Callable[[Resealing], Awaitable[None]],
    finally_do: Callable[[], None] | None = None,
    actor: Actor = SYSTEM,
    clock: Clock = system_clock,
) -> Resealing:
    """Seal anew what a former key sealed, and call `finally_do` once nothing is left.

    That is called in a transaction which holds everybody else from sealing, and which has found
    everything sealed by the newest key; where something is unreadable, it is not called. Where
    there was a former key that was still of use, that transaction leaves `actor`'s entry in the
    audit log. Killed at any moment, it may run again. Raises `KeepsChanging`.
    """

    async def note(connection: Connection) -> None:
        if done.resealed or finally_do is not None:
            before, after = secrets.key_ids[1:], secrets.key_ids[:1]
            changes = updated(shown_secret_keys(before), shown_secret_keys(after))
            await leave_entries(connection, actor, "rotateSecrets", changes, clock())

    done = Resealing()
    for _ in range(_MOST_PASSES):
        async with database.read() as connection:
            values = await sealed_values(connection)
        done.total = len(values)
        places = [(value, secrets.key_of(value.sealed)) for value in values]
        done.unreadable = [value for value, place in places if place is None]
        former = [value for value, place in places if place]
        for batch in _batches(former):
            done.resealed += await _replace(database, secrets, batch)
            await on_batch(done)
        if not former and (done.unreadable or await _finish(database, secrets, note, finally_do)):
            return done
    raise KeepsChanging


async def _replace(database: Database, secrets: Secrets, batch: Sequence[SealedValue]) -> int:
    resealed = [(value, secrets.resealed(value.sealed)) for value in batch]

    async def replace(connection: Connection) -> int:
        return sum([await replace_sealed(connection, value, new) for value, new in resealed])

    return await database.transact(replace)


async def _finish(
    database: Database,
    secrets: Secrets,
    note: Callable[[Connection], Awaitable[None]],
    finally_do: Callable[[], None] | None,
) -> bool:
    async def finish(connection: Connection) -> bool:
        await hold_sealed(connection)
        values = await sealed_values(connection)
        if any(secrets.key_of(value.sealed) != 0 for value in values):
            return False
        await note(connection)
        if finally_do is not None:
            finally_do()
        return True

    return await database.transact(finish)


def _batches(values: Sequence[SealedValue]) -> Iterator[Sequence[SealedValue]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
