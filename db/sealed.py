"""Everything that is sealed by a secret key, wherever it is: to be checked and sealed anew."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Select, literal, null, select, text, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import budgets, providers


class SealedKind(StrEnum):
    """What a sealed value is, in a person's words."""

    API_KEY = "API key"
    EXTRA_HEADERS = "extra headers"
    WEBHOOK_SECRET = "webhook secret"  # noqa: S105  # a name
    FORMER_WEBHOOK_SECRET = "former webhook secret"  # noqa: S105  # a name

    @property
    def is_of_provider(self) -> bool:
        """Whether a provider has it; a budget has it otherwise."""
        return self in {SealedKind.API_KEY, SealedKind.EXTRA_HEADERS}


COLUMNS: dict[SealedKind, Column[Any]] = {
    SealedKind.API_KEY: providers.c.api_key_encrypted,
    SealedKind.EXTRA_HEADERS: providers.c.extra_headers_encrypted,
    SealedKind.WEBHOOK_SECRET: budgets.c.webhook_secret_encrypted,
    SealedKind.FORMER_WEBHOOK_SECRET: budgets.c.webhook_previous_secret_encrypted,
}
"""Every column that holds sealed values; a test holds it against the tables."""


@dataclass(frozen=True, slots=True)
class SealedValue:
    """One of them. `owner` is the provider's slug or the budget's name; `base_url` a provider's."""

    kind: SealedKind
    row_id: int
    owner: str
    base_url: str | None
    sealed: bytes = field(repr=False)

    @property
    def label(self) -> str:
        """What a person calls it: nothing of it is secret."""
        if self.kind.is_of_provider:
            return f"the {self.kind} of provider {self.owner!r}"
        return f"the {self.kind} of budget {self.owner!r}"


async def sealed_values(connection: AsyncConnection) -> Sequence[SealedValue]:
    """All that is sealed, in one statement: providers and then budgets, by id."""
    every = union_all(*(_values(kind, column) for kind, column in COLUMNS.items()))
    found = [
        SealedValue(SealedKind(row.kind), row.id, row.owner, row.base_url, bytes(row.sealed))
        for row in await connection.execute(every)
    ]
    return sorted(found, key=lambda one: (not one.kind.is_of_provider, one.row_id))


async def replace_sealed(connection: AsyncConnection, value: SealedValue, resealed: bytes) -> bool:
    """Put `resealed` in the value's place; False where somebody has changed it since it was read.

    It is the same secret, so nothing else of the row changes and nobody needs to hear of it.
    """
    column = COLUMNS[value.kind]
    done = await connection.execute(
        update(column.table)
        .where(column.table.c.id == value.row_id, column == value.sealed)
        .values({column.name: resealed})
    )
    return bool(done.rowcount)


async def hold_sealed(connection: AsyncConnection) -> None:
    """Keep everybody else from sealing until the transaction ends.

    On SQLite the transaction's own write lock does that.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE providers, budgets IN SHARE MODE"))


def _values(kind: SealedKind, column: Column[Any]) -> Select[Any]:
    table = column.table
    is_provider = kind.is_of_provider
    return select(
        literal(kind.value).label("kind"),
        table.c.id.label("id"),
        (table.c.slug if is_provider else table.c.name).label("owner"),
        (table.c.base_url if is_provider else null()).label("base_url"),
        column.label("sealed"),
    ).where(column.is_not(None))
