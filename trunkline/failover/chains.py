"""The use cases that change a failover chain: create, update, reorder, delete."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from db import chains as store
from db import models as stored_models
from db.chains import ChainRow, StepValues
from db.engine import Connection
from db.vocabulary import ChangeKind, Delivery
from trunkline.audit.changes import Change, created, deleted, nothing_changed, updated
from trunkline.audit.showing import shown_chain
from trunkline.changes import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    LONGEST_SLUG,
    UNSET,
    Given,
    Problems,
    not_found,
    version_conflict,
)
from trunkline.errors import Problem, ProblemCode, Refused
from trunkline.events import FailoverChainChanged
from trunkline.failover.steps import StepInput, checked_steps
from trunkline.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChain:
    """A chain to create. Without a slug one is made from the name."""

    name: str
    slug: str | None = None
    description: str | None = None
    enabled: bool = True
    delivery: Delivery = Delivery.STREAMED
    steps: Sequence[StepInput]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainUpdate:
    """What to change of a chain. `steps`, where given, is the whole list in its order."""

    id: int
    expected_version: int | None = None
    name: Given[str] = UNSET
    description: Given[str] = UNSET
    enabled: Given[bool] = UNSET
    delivery: Given[Delivery] = UNSET
    steps: Given[Sequence[StepInput]] = UNSET


async def create_chain(services: Services, new: NewChain) -> ChainRow:
    """Create a chain with its steps. Raises `Refused` with every problem."""
    problems = Problems()
    name = problems.text(new.name, ("name",), longest=LONGEST_NAME)
    description = _description(problems, new.description)
    if new.slug is not None:
        problems.slug(new.slug, ("slug",))
    steps = checked_steps(
        problems,
        # A new chain has no steps whose ids could be named.
        new.steps,
        present=(),
    )
    noted = problems.found

    async def create(connection: Connection) -> Change[ChainRow]:
        found = Problems()
        await _check_models(connection, found, new.steps, steps)
        given = new.slug
        if (
            given is not None
            and not problems.concern("slug")
            and await store.load_chains_by_slug(connection, [given])
        ):
            found.add(ProblemCode.TAKEN, ("slug",), f"there is a chain {given!r} already")
        if noted or found.found:
            raise Refused([*noted, *found.found])
        now = services.clock()
        chain_id = None
        while chain_id is None:
            chain_id = await store.insert_chain(
                connection,
                slug=await _free_slug(connection, name) if given is None else given,
                name=name,
                description=description,
                enabled=new.enabled,
                delivery=new.delivery,
                now=now,
            )
            # Another writer took it since we looked. One that we made is seen as taken now.
            if chain_id is None and given is not None:
                raise Refused(
                    [Problem(ProblemCode.TAKEN, ("slug",), f"there is a chain {given!r} already")]
                )
        await store.replace_steps(connection, chain_id, steps)
        chain = await _present(connection, chain_id)
        changes = created(await shown_chain(connection, chain))
        return Change(chain, [_changed(ChangeKind.CREATED, chain)], changes)

    return await services.change("createFailoverChain", create)


async def update_chain(services: Services, change: ChainUpdate) -> ChainRow:
    """Change what is given. An update that changes nothing leaves the version as it is.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, and every problem of the input.
    """

    async def update(connection: Connection) -> Change[ChainRow]:
        current = await _held(connection, change.id, change.expected_version)
        problems = Problems()
        columns: dict[str, Any] = {}
        name = problems.value(change.name, "name")
        if name is not None:
            columns["name"] = problems.text(name, ("name",), longest=LONGEST_NAME)
        if change.description is not UNSET:
            columns["description"] = _description(problems, change.description)
        enabled = problems.value(change.enabled, "enabled")
        if enabled is not None:
            columns["enabled"] = enabled
        delivery = problems.value(change.delivery, "delivery")
        if delivery is not None:
            columns["delivery"] = delivery
        steps = None
        given = problems.value(change.steps, "steps")
        if given is not None:
            steps = checked_steps(problems, given, current.steps)
            await _check_models(connection, problems, given, steps)
        problems.refuse_if_any(current)
        columns = {
            name: value for name, value in columns.items() if value != getattr(current, name)
        }
        if steps is not None and steps == _values(current):
            steps = None
        if not columns and steps is None:
            return nothing_changed(current)
        before = await shown_chain(connection, current)
        if steps is not None:
            await store.replace_steps(connection, current.id, steps)
        await store.update_chain(connection, current.id, columns, now=services.clock())
        chain = await _present(connection, current.id)
        changes = updated(before, await shown_chain(connection, chain))
        return Change(chain, [_changed(ChangeKind.UPDATED, chain)], changes)

    return await services.change("updateFailoverChain", update)


async def reorder_chain(
    services: Services, chain_id: int, expected_version: int | None, step_ids: Sequence[int]
) -> ChainRow:
    """Put the chain's steps into the order of this list, which names each of them once.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, DUPLICATE, INVALID for a step that is missing.
    """

    async def reorder(connection: Connection) -> Change[ChainRow]:
        current = await _held(connection, chain_id, expected_version)
        problems = Problems()
        present = [step.id for step in current.steps]
        for place, step_id in enumerate(step_ids):
            path = ("stepIds", str(place))
            if step_id not in present:
                problems.add(ProblemCode.NOT_FOUND, path, "the chain has no step with this id")
            elif step_id in step_ids[:place]:
                problems.add(ProblemCode.DUPLICATE, path, "this step is named twice")
        missing = len(set(present) - set(step_ids))
        if missing:
            problems.invalid(
                ("stepIds",), f"{missing} step(s) of the chain are missing: name every step once"
            )
        problems.refuse_if_any(current)
        if present == list(step_ids):
            return nothing_changed(current)
        before = await shown_chain(connection, current)
        await store.reorder_steps(connection, step_ids)
        await store.update_chain(connection, current.id, {}, now=services.clock())
        chain = await _present(connection, current.id)
        changes = updated(before, await shown_chain(connection, chain))
        return Change(chain, [_changed(ChangeKind.UPDATED, chain)], changes)

    return await services.change("reorderFailoverChain", reorder)


async def delete_chain(services: Services, chain_id: int, expected_version: int | None) -> None:
    """Delete a chain; its usage history stays, under its name.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT.
    """

    async def remove(connection: Connection) -> Change[None]:
        current = await _held(connection, chain_id, expected_version)
        before = await shown_chain(connection, current)
        await store.delete_chain(connection, chain_id, now=services.clock())
        return Change(None, [_changed(ChangeKind.DELETED, current)], deleted(before))

    await services.change("deleteFailoverChain", remove)


def slug_of(name: str) -> str:
    """A slug made from a name: `Größe & Preis` becomes `grosse-preis`."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(
        character if character.isascii() and character.isalnum() else "-"
        for character in folded
        if not unicodedata.combining(character)
    )
    slug = "-".join(part for part in letters.split("-") if part)
    return slug[:LONGEST_SLUG].strip("-") or "chain"


async def _free_slug(connection: Connection, name: str) -> str:
    # Room for a suffix, so that the slug stays within its length.
    stem = slug_of(name)[: LONGEST_SLUG - 5].strip("-")
    taken = await store.slugs_like(connection, stem)
    if stem not in taken:
        return stem
    number = 2
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


async def _check_models(
    connection: Connection,
    problems: Problems,
    given: Sequence[StepInput],
    steps: Sequence[StepValues],
) -> None:
    """Note each step whose model doesn't exist, and keep the others from being deleted."""
    wanted = [step.model_id for step in steps if step.model_id]
    living = await stored_models.load_models(connection, wanted, for_share=True)
    for place, step in enumerate(steps):
        if step.model_id and step.model_id not in living and given[place].model_id is not UNSET:
            problems.add(
                ProblemCode.NOT_FOUND,
                ("steps", str(place), "modelId"),
                "there is no such model",
            )


def _description(problems: Problems, text: str | None) -> str | None:
    if text is None:
        return None
    return (
        problems.text(text, ("description",), longest=LONGEST_DESCRIPTION, required=False) or None
    )


def _values(chain: ChainRow) -> list[StepValues]:
    return [
        StepValues(
            id=step.id,
            model_id=step.model_id,
            max_retries=step.max_retries,
            timeout_seconds=step.timeout_seconds,
            first_token_timeout_seconds=step.first_token_timeout_seconds,
        )
        for step in chain.steps
    ]


async def _held(connection: Connection, chain_id: int, expected_version: int | None) -> ChainRow:
    current = await store.lock_chain(connection, chain_id)
    if current is None:
        raise not_found(("id",), "failover chain")
    if expected_version is not None and expected_version != current.version:
        raise version_conflict(current, current.version)
    return current


async def _present(connection: Connection, chain_id: int) -> ChainRow:
    return (await store.load_chains(connection, [chain_id]))[chain_id]


def _changed(kind: ChangeKind, chain: ChainRow) -> FailoverChainChanged:
    return FailoverChainChanged(kind=kind, id=chain.id, slug=chain.slug)
