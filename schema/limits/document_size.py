"""How large a document is, before it is validated: validating itself takes time by its size.

Each fragment is looked at once and its figures reused, so that a small document of nested
fragments, each spread twice, is measured in a moment and not in 2^30 of them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
)

from schema.limits.bounds import (
    MOST_ALIASES,
    MOST_DEPTH,
    MOST_DIRECTIVES,
    MOST_FIELDS,
    MOST_FRAGMENTS,
    MOST_NESTING,
    MOST_REPEATED,
    MOST_ROOT_FIELDS,
)

NESTED_TOO_DEEPLY = "the document is nested too deeply: ask for less, or in several operations"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a selection set adds up to with its fragments expanded.

    `nesting` counts fragments as levels too, `root_fields` are the fields of its own level, and
    `repeated` those that have another's response name.
    """

    depth: int = 0
    nesting: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    root_fields: int = 0
    repeated: int = 0


def size_errors(document: DocumentNode) -> list[GraphQLError]:
    """Every bound that an operation of the document goes past."""
    fragments = {
        one.name.value: one
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    if len(fragments) > MOST_FRAGMENTS:
        return [_error("the document", len(fragments), "fragments", MOST_FRAGMENTS, None)]
    measuring = _Measuring(fragments)
    try:
        return [
            error
            for operation in document.definitions
            if isinstance(operation, OperationDefinitionNode)
            for error in _errors_of(operation, measuring)
        ]
    except RecursionError:
        return [GraphQLError(NESTED_TOO_DEEPLY)]


def _errors_of(
    operation: OperationDefinitionNode, measuring: "_Measuring"
) -> Iterator[GraphQLError]:
    figures = measuring.selections(operation.selection_set, frozenset())
    directives = figures.directives + len(operation.directives or ())
    for what, found, most in (
        ("levels of fields", figures.depth, MOST_DEPTH),
        ("levels of fields and fragments", figures.nesting, MOST_NESTING),
        ("root fields", figures.root_fields, MOST_ROOT_FIELDS),
        ("aliases", figures.aliases, MOST_ALIASES),
        ("directives", directives, MOST_DIRECTIVES),
        ("fields", figures.fields, MOST_FIELDS),
        ("fields that repeat another beside them", figures.repeated, MOST_REPEATED),
    ):
        if found > most:
            yield _error("the operation", found, what, most, operation)


def _error(
    whose: str, found: int, what: str, most: int, node: OperationDefinitionNode | None
) -> GraphQLError:
    return GraphQLError(
        f"{whose} has {_written(found)} {what}, at most {_written(most)} are allowed: "
        "ask for less, or in several operations",
        node,
    )


def _written(count: int) -> str:
    # Doubled at each of a hundred fragments it would fill the line.
    return str(count) if count < 10**9 else "over a billion"


class _Measuring:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, Figures] = {}

    def selections(self, selection_set: SelectionSetNode, above: frozenset[str]) -> Figures:
        depth = nesting = aliases = directives = fields = root_fields = repeated = 0
        names: Counter[str] = Counter()
        for selection in selection_set.selections:
            directives += _count(selection.directives)
            if isinstance(selection, FieldNode):
                inner = (
                    self.selections(selection.selection_set, above)
                    if selection.selection_set
                    else Figures()
                )
                depth = max(depth, inner.depth + 1)
                aliases += selection.alias is not None
                fields += 1
                root_fields += 1
                names[(selection.alias or selection.name).value] += 1
            else:
                inner = (
                    self._fragment(selection.name.value, above)
                    if isinstance(selection, FragmentSpreadNode)
                    else self.selections(selection.selection_set, above)  # type: ignore[attr-defined]  # what is left is an inline fragment
                )
                depth = max(depth, inner.depth)
                root_fields += inner.root_fields
            nesting = max(nesting, inner.nesting)
            aliases += inner.aliases
            directives += inner.directives
            fields += inner.fields
            repeated += inner.repeated
        repeated += names.total() - len(names)
        return Figures(depth, nesting + 1, aliases, directives, fields, root_fields, repeated)

    def _fragment(self, name: str, above: frozenset[str]) -> Figures:
        # A cycle or an unknown name is for validation to report.
        if name in above:
            return Figures()
        if name not in self._known:
            fragment = self._fragments.get(name)
            self._known[name] = (
                self.selections(fragment.selection_set, above | {name}) if fragment else Figures()
            )
        return self._known[name]


def _count(directives: tuple[DirectiveNode, ...] | None) -> int:
    return len(directives or ())
