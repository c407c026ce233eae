"""How the schema declares fields over plain rows.

Resolvers return the rows of `db/`; Strawberry reads their attributes. So a GraphQL type here is a
declaration that is never instantiated: `plain` declares an attribute, `resolved` a field that is
computed by a function of `resolvers/`. Fields of the roots name the access scope that they need,
which is checked here, before anything of theirs runs.
"""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Protocol, TypeVar

import strawberry
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionNode

import schema.audit_enums
import schema.enums
import schema.gateway_enums  # noqa: F401  # they name enumerations before any field is declared
from db.vocabulary import AccessScope
from resolvers.context import OperationContext
from trunkline.changes import UNSET, Given

T = TypeVar("T")
Held = TypeVar("Held", covariant=True)

Info = strawberry.Info[OperationContext, None]
Scope = AccessScope | tuple[AccessScope, ...] | None
"""What a field needs of whoever asks; None for fields of objects, which who got there may see."""
NEEDS = "access scopes"
"""Where a field's metadata names them."""

SHARED = "shared"
"""In a field's metadata: subscribers to it share one execution."""


def plain(description: str, *, name: str | None = None) -> Any:
    """A field that reads the row's attribute of the same name, whatever its name on the wire."""
    return strawberry.field(name=name, description=description)


def resolved(
    resolver: Callable[..., Any],
    description: str,
    *,
    graphql_type: Any = None,
    name: str | None = None,
    scope: Scope = None,
) -> Any:
    """A field computed by `resolver`; `graphql_type` names its type where it returns rows.

    A field of Query names the scope that it needs.
    """
    return strawberry.field(
        resolver=guarded(resolver, scope),
        description=description,
        graphql_type=graphql_type,
        name=name,
        metadata=_metadata(scope),
    )


def changing(
    resolver: Callable[..., Any],
    description: str,
    *,
    graphql_type: Any,
    scope: Scope,
) -> Any:
    """A field of Mutation, and the scope that it needs. It acts in the caller's name."""
    return strawberry.mutation(
        resolver=guarded(resolver, scope, acts=True),
        description=description,
        graphql_type=graphql_type,
        metadata=_metadata(scope),
    )


def watching(
    resolver: Callable[..., Any],
    description: str,
    *,
    graphql_type: Any,
    scope: Scope,
    shared: bool = True,
) -> Any:
    """A field of Subscription, and the scope that it needs; `resolver` is an async generator of
    rows.

    Equal subscriptions share it: the rows go to the context's `listeners`, each of whom begins with
    one of its own (`trunkline.listeners`). One that is not `shared` is executed for each caller.
    """
    return strawberry.subscription(
        resolver=guarded(resolver, scope),
        description=description,
        graphql_type=graphql_type,
        metadata={**_metadata(scope), SHARED: shared},
    )


def described(description: str, *, name: str | None = None) -> Any:
    """For `Annotated[T, described("…")]` on an argument."""
    return strawberry.argument(description=description, name=name)


EXPECTED_VERSION = (
    "The `version` that you last saw: the change is refused with VERSION_CONFLICT where it is "
    "another by now. Left out, the change is made whatever happened meanwhile."
)

First = Annotated[
    int | None,
    described("How many, 0 (counts only) to 100; null means the default."),
]
After = Annotated[
    str | None,
    described("Start after this cursor, from a page's `pageInfo.endCursor` or an edge."),
]


def or_none(value: T | None) -> T | None:
    """An optional argument's value; left out and null are the same to it."""
    return None if value is strawberry.UNSET else value


def guarded(
    resolver: Callable[..., Any], scope: Scope, *, acts: bool = False
) -> Callable[..., Any]:
    """The resolver, which must take `info` first, behind a check of the caller's scopes.

    Before it runs, this raises `Forbidden`, and `Unauthenticated` where nobody is signed in. With
    `acts` what it changes is changed in the caller's name.
    """
    needed = _scopes(scope)
    if not needed and not acts:
        return resolver

    @wraps(resolver)
    def check(info: Info, **arguments: Any) -> Any:
        info.context.require(*needed)
        if acts:
            info.context.act()
        return resolver(info, **arguments)

    return check


def _metadata(scope: Scope) -> dict[str, tuple[AccessScope, ...]]:
    return {NEEDS: _scopes(scope)}


def _scopes(scope: Scope) -> tuple[AccessScope, ...]:
    if scope is None:
        return ()
    return scope if isinstance(scope, tuple) else (scope,)


class _Held(Protocol[Held]):
    """What `Maybe` gives for a field that is there: `strawberry.Some`, read only."""

    @property
    def value(self) -> Held: ...


def given(maybe: _Held[T | None] | None) -> Given[T]:
    """An update's field for the work: left out, null or a value."""
    return UNSET if maybe is None else maybe.value


def selects(info: Info, field: str) -> bool:
    """Whether the caller selected `field` right below the present field.

    Each fragment is visited once, whatever `@skip` and `@include` say.
    """
    raw = info._raw_info  # noqa: SLF001  # Strawberry's own view converts the whole selection
    spread: set[str] = set()
    waiting = [node.selection_set for node in raw.field_nodes]
    while waiting:
        selection_set = waiting.pop()
        for selection in () if selection_set is None else selection_set.selections:
            if isinstance(selection, FieldNode):
                if selection.name.value == field:
                    return True
            elif isinstance(selection, InlineFragmentNode):
                waiting.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                spread.add(selection.name.value)
                waiting.append(raw.fragments[selection.name.value].selection_set)
    return False


def mentions(info: Info, *names: str) -> bool:
    """Whether a field of one of these names is selected anywhere below the present field."""
    return not mentioned(info).isdisjoint(names)


def mentioned(info: Info) -> frozenset[str]:
    """The names of all fields from the present one on down.

    Each fragment is visited once, whatever `@skip` and `@include` say.
    """
    raw = info._raw_info  # noqa: SLF001  # Strawberry's own view converts the whole selection
    found: set[str] = set()
    spread: set[str] = set()
    waiting: list[SelectionNode] = list(raw.field_nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in spread:
                spread.add(name)
                waiting += raw.fragments[name].selection_set.selections
            continue
        if isinstance(node, FieldNode):
            found.add(node.name.value)
        if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
            waiting += node.selection_set.selections
    return frozenset(found)
