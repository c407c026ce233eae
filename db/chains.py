"""Failover chains with their steps: rows, pages, changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.paging import PageRequest, Slice, after_key, decode_cursor, slice_of
from db.storable import is_storable
from db.tables import failover_chains, failover_steps, models
from db.upsert import insert_into
from db.vocabulary import Delivery

_ORDER = "failover_chains"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step: a model, how often it is tried again, how long it may take."""

    id: int
    chain_id: int
    position: int
    model_id: int
    max_retries: int
    timeout_seconds: float
    first_token_timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRow:
    """A chain with its steps in the order in which they are tried."""

    id: int
    slug: str
    name: str
    description: str | None
    enabled: bool
    delivery: Delivery
    steps: Sequence[StepRow]
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepValues:
    """A step to store; `id` is that of an existing step of the chain, None for a new one."""

    id: int | None
    model_id: int
    max_retries: int
    timeout_seconds: float
    first_token_timeout_seconds: float


async def page_chains(connection: AsyncConnection, page: PageRequest) -> Slice[ChainRow]:
    """Living chains by name."""
    living = failover_chains.c.deleted_at.is_(None)
    order = (failover_chains.c.name_folded, failover_chains.c.id)
    statement = select(failover_chains).where(living).order_by(*order).limit(page.first + 1)
    if page.after is not None:
        key = decode_cursor(_ORDER, page.after, (str, int))
        statement = statement.where(after_key(order, key))
    found = await _with_steps(connection, (await connection.execute(statement)).all())
    total = None
    if page.with_total:
        total = await connection.scalar(
            select(func.count()).select_from(failover_chains).where(living)
        )
    return slice_of(page, found, lambda row: (row.name.casefold(), row.id), _ORDER, total)


async def load_chains(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, ChainRow]:
    """The living ones among these, by id."""
    statement = select(failover_chains).where(
        failover_chains.c.id.in_(ids), failover_chains.c.deleted_at.is_(None)
    )
    rows = (await connection.execute(statement)).all()
    return {chain.id: chain for chain in await _with_steps(connection, rows)}


async def load_chains_by_slug(
    connection: AsyncConnection, slugs: Sequence[str]
) -> Mapping[str, ChainRow]:
    """The living ones among these, by slug."""
    statement = select(failover_chains).where(
        failover_chains.c.slug.in_([slug for slug in slugs if is_storable(slug)]),
        failover_chains.c.deleted_at.is_(None),
    )
    rows = (await connection.execute(statement)).all()
    return {chain.slug: chain for chain in await _with_steps(connection, rows)}


async def chain_ids_using_model(connection: AsyncConnection, model_id: int) -> Sequence[int]:
    """The living chains that have a step with this model."""
    statement = (
        select(failover_chains.c.id)
        .distinct()
        .join(failover_steps, failover_steps.c.chain_id == failover_chains.c.id)
        .where(failover_steps.c.model_id == model_id, failover_chains.c.deleted_at.is_(None))
        .order_by(failover_chains.c.id)
    )
    return list(await connection.scalars(statement))


async def chain_ids_using_provider(connection: AsyncConnection, provider_id: int) -> Sequence[int]:
    """The living chains that have a step with a model of this provider.

    Its models are held until the transaction ends: whoever was about to put one into a chain has
    done so before this looks, or finds it deleted.
    """
    held = select(models.c.id).where(models.c.provider_id == provider_id).order_by(models.c.id)
    await connection.execute(held.with_for_update())
    statement = (
        select(failover_chains.c.id)
        .distinct()
        .join(failover_steps, failover_steps.c.chain_id == failover_chains.c.id)
        .join(models, models.c.id == failover_steps.c.model_id)
        .where(models.c.provider_id == provider_id, failover_chains.c.deleted_at.is_(None))
        .order_by(failover_chains.c.id)
    )
    return list(await connection.scalars(statement))


async def find_step(connection: AsyncConnection, step_id: int) -> StepRow | None:
    """The step with this id, of a living chain."""
    return (await load_steps(connection, [step_id])).get(step_id)


async def load_steps(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, StepRow]:
    """The ones of living chains among these, by id."""
    statement = (
        select(failover_steps)
        .join(failover_chains, failover_chains.c.id == failover_steps.c.chain_id)
        .where(failover_steps.c.id.in_(ids), failover_chains.c.deleted_at.is_(None))
    )
    return {row.id: _step(row) for row in await connection.execute(statement)}


async def lock_chain(connection: AsyncConnection, chain_id: int) -> ChainRow | None:
    """The living chain, held until the transaction ends."""
    await connection.execute(
        select(failover_chains.c.id).where(failover_chains.c.id == chain_id).with_for_update()
    )
    return (await load_chains(connection, [chain_id])).get(chain_id)


async def slugs_like(connection: AsyncConnection, stem: str) -> frozenset[str]:
    """The slugs of living chains that begin with `stem`."""
    statement = select(failover_chains.c.slug).where(
        failover_chains.c.slug.startswith(stem, autoescape=True),
        failover_chains.c.deleted_at.is_(None),
    )
    return frozenset(await connection.scalars(statement))


async def insert_chain(
    connection: AsyncConnection,
    *,
    slug: str,
    name: str,
    description: str | None,
    enabled: bool,
    now: datetime,
    delivery: Delivery = Delivery.STREAMED,
) -> int | None:
    """Store a chain without steps and return its id, or None where the slug is taken."""
    inserted = await connection.scalar(
        insert_into(connection, failover_chains)
        .values(
            slug=slug,
            name=name,
            name_folded=name.casefold(),
            description=description,
            enabled=enabled,
            delivery=delivery.value,
            version=1,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing()
        .returning(failover_chains.c.id)
    )
    return None if inserted is None else int(inserted)


async def replace_steps(
    connection: AsyncConnection, chain_id: int, steps: Sequence[StepValues]
) -> None:
    """Make these the chain's steps, in this order. A step with an id keeps it."""
    await connection.execute(delete(failover_steps).where(failover_steps.c.chain_id == chain_id))
    for position, step in enumerate(steps):
        values: dict[str, Any] = {
            "chain_id": chain_id,
            "position": position,
            "model_id": step.model_id,
            "max_retries": step.max_retries,
            "timeout_seconds": step.timeout_seconds,
            "first_token_timeout_seconds": step.first_token_timeout_seconds,
        }
        if step.id is not None:
            values["id"] = step.id
        await connection.execute(insert(failover_steps).values(**values))


async def reorder_steps(connection: AsyncConnection, step_ids: Sequence[int]) -> None:
    """Give the steps the positions that their ids have in this list."""
    for position, step_id in enumerate(step_ids):
        await connection.execute(
            update(failover_steps).where(failover_steps.c.id == step_id).values(position=position)
        )


async def update_chain(
    connection: AsyncConnection, chain_id: int, changes: Mapping[str, Any], *, now: datetime
) -> None:
    """Set these columns and count one operator's change."""
    values = dict(changes)
    if "name" in values:
        values["name_folded"] = values["name"].casefold()
    await connection.execute(
        update(failover_chains)
        .where(failover_chains.c.id == chain_id)
        .values(**values, version=failover_chains.c.version + 1, updated_at=now)
    )


async def delete_chain(connection: AsyncConnection, chain_id: int, *, now: datetime) -> None:
    """Tombstone a chain; its steps go, so that its models are free."""
    await connection.execute(delete(failover_steps).where(failover_steps.c.chain_id == chain_id))
    await connection.execute(
        update(failover_chains).where(failover_chains.c.id == chain_id).values(deleted_at=now)
    )


async def _with_steps(connection: AsyncConnection, chains: Sequence[Row[Any]]) -> list[ChainRow]:
    """The chains with their steps, in one further statement."""
    steps: dict[int, list[StepRow]] = {chain.id: [] for chain in chains}
    if steps:
        statement = (
            select(failover_steps)
            .where(failover_steps.c.chain_id.in_(steps))
            .order_by(failover_steps.c.position, failover_steps.c.id)
        )
        for row in await connection.execute(statement):
            steps[row.chain_id].append(_step(row))
    return [
        ChainRow(
            id=chain.id,
            slug=chain.slug,
            name=chain.name,
            description=chain.description,
            enabled=chain.enabled,
            delivery=Delivery(chain.delivery),
            steps=steps[chain.id],
            version=chain.version,
            created_at=chain.created_at,
            updated_at=chain.updated_at,
        )
        for chain in chains
    ]


def _step(row: Row[Any]) -> StepRow:
    return StepRow(
        id=row.id,
        chain_id=row.chain_id,
        position=row.position,
        model_id=row.model_id,
        max_retries=row.max_retries,
        timeout_seconds=row.timeout_seconds,
        first_token_timeout_seconds=row.first_token_timeout_seconds,
    )
