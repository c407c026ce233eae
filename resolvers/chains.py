"""Fields about failover chains."""

from collections.abc import AsyncIterator, Mapping, Sequence

from db import chains as store
from db.chains import ChainRow, StepRow
from db.paging import PageRequest, Slice
from resolvers.context import OperationContext
from resolvers.outcome import Outcome, deletion_of, outcome_of
from resolvers.watching import ChangeRow, watch_changes
from trunkline.events import FailoverChainChanged
from trunkline.failover import chains as changes
from trunkline.failover.chains import ChainUpdate, NewChain
from trunkline.services import Services


async def list_chains(context: OperationContext, page: PageRequest) -> Slice[ChainRow]:
    """A page of chains by name."""
    async with context.services.database.read() as connection:
        return await store.page_chains(connection, page)


async def chain_by_slug(context: OperationContext, slug: str) -> ChainRow | None:
    """The chain with this slug."""
    return await context.load(load_chains_by_slug, slug)


async def chain_by_id(context: OperationContext, chain_id: int) -> ChainRow | None:
    """The living chain with this id."""
    return await context.load(load_chains_by_id, chain_id)


async def step_by_id(context: OperationContext, step_id: int) -> StepRow | None:
    """The step with this id, of a living chain."""
    async with context.services.database.read() as connection:
        return await store.find_step(connection, step_id)


async def load_chains_by_id(services: Services, ids: Sequence[int]) -> Mapping[int, ChainRow]:
    """A batch for `OperationContext.load`."""
    async with services.database.read() as connection:
        return await store.load_chains(connection, ids)


async def load_chains_by_slug(services: Services, slugs: Sequence[str]) -> Mapping[str, ChainRow]:
    """A batch for `OperationContext.load`."""
    async with services.database.read() as connection:
        return await store.load_chains_by_slug(connection, slugs)


async def create_chain(context: OperationContext, new: NewChain) -> Outcome[ChainRow]:
    """`createFailoverChain`."""
    return await outcome_of(changes.create_chain(context.services, new))


async def update_chain(context: OperationContext, change: ChainUpdate) -> Outcome[ChainRow]:
    """`updateFailoverChain`."""
    return await outcome_of(changes.update_chain(context.services, change))


async def reorder_chain(
    context: OperationContext,
    chain_id: int,
    expected_version: int | None,
    step_ids: Sequence[int],
) -> Outcome[ChainRow]:
    """`reorderFailoverChain`."""
    return await outcome_of(
        changes.reorder_chain(context.services, chain_id, expected_version, step_ids)
    )


async def delete_chain(
    context: OperationContext, chain_id: int, expected_version: int | None
) -> Outcome[ChainRow]:
    """`deleteFailoverChain`."""
    return await deletion_of(
        changes.delete_chain(context.services, chain_id, expected_version), chain_id
    )


def watch_chains(
    context: OperationContext, slugs: Sequence[str] | None
) -> AsyncIterator[ChangeRow[ChainRow]]:
    """READY, then a message for each change."""
    return watch_changes(
        context,
        FailoverChainChanged,
        load_chains_by_id,
        slug_of=lambda event: event.slug,
        slugs=slugs,
    )
