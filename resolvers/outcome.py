"""What a mutation answers: the object, or every reason why nothing changed."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from trunkline.errors import Problem, Refused

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[T]):
    """`subject` is the object as it stands after the mutation, or on VERSION_CONFLICT and IN_USE
    the one that stands; `deleted_id` is the id of one that is gone; `used_by` are the chains in
    the way; `detail` is a connection test that says why an upstream failed.
    """

    subject: T | None = None
    deleted_id: int | None = None
    used_by: Sequence[object] = ()
    detail: object | None = None
    user_errors: Sequence[Problem] = ()


async def outcome_of(change: Awaitable[T]) -> Outcome[T]:
    """Await a use case that returns the changed object; its refusal becomes `user_errors`."""
    try:
        return Outcome(subject=await change)
    except Refused as refusal:
        return refused(refusal)


async def deletion_of(change: Awaitable[None], deleted_id: int) -> Outcome[T]:
    """Await a use case that deletes the object with this id."""
    try:
        await change
    except Refused as refusal:
        return refused(refusal)
    return Outcome(deleted_id=deleted_id)


def refused(refusal: Refused) -> Outcome[T]:
    """The outcome of a use case that changed nothing."""
    return Outcome(
        subject=refusal.current,  # type: ignore[arg-type]  # the use case names its own object
        used_by=refusal.used_by,
        detail=refusal.detail,
        user_errors=refusal.problems,
    )
