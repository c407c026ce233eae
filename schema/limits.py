"""What an operation may ask for: bounds that keep one document from taking the server.

One rule counts depth, aliases and fields with each fragment looked at once and its figures reused,
so that a small query of nested fragments, each spread twice, costs what it looks like it costs.
Strawberry's own limiters expand a fragment at every spread, which takes seconds of CPU.
"""

from dataclasses import dataclass

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

MOST_TOKENS = 20_000
"""Of one document. The longest of a dashboard has under 2,000; variables don't count."""
MOST_DEPTH = 20
MOST_ALIASES = 100
MOST_FIELDS = 5_000
"""Of one operation, each field counted as often as its fragment is spread."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a selection set adds up to with its fragments expanded."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0


class OperationLimits(ValidationRule):
    """Refuses documents past the bounds. Introspection needs depth 15 and fits."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._known: dict[str, Figures] = {}

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: object) -> None:
        """Measure one operation."""
        figures = self._measure(node.selection_set, frozenset())
        for what, found, most in (
            ("levels deep", figures.depth, MOST_DEPTH),
            ("aliases", figures.aliases, MOST_ALIASES),
            ("fields", figures.fields, MOST_FIELDS),
        ):
            if found > most:
                self.report_error(
                    GraphQLError(
                        f"the operation has {found} {what}, at most {most} are allowed: "
                        "ask for less, or in several operations",
                        node,
                    )
                )

    def _measure(self, selection_set: SelectionSetNode, above: frozenset[str]) -> Figures:
        depth = aliases = fields = 0
        for selection in selection_set.selections:
            match selection:
                case FieldNode():
                    inner = (
                        self._measure(selection.selection_set, above)
                        if selection.selection_set
                        else Figures()
                    )
                    depth = max(depth, inner.depth + 1)
                    aliases += inner.aliases + (selection.alias is not None)
                    fields += inner.fields + 1
                case InlineFragmentNode():
                    inner = self._measure(selection.selection_set, above)
                    depth = max(depth, inner.depth)
                    aliases += inner.aliases
                    fields += inner.fields
                case FragmentSpreadNode():
                    inner = self._fragment(selection.name.value, above)
                    depth = max(depth, inner.depth)
                    aliases += inner.aliases
                    fields += inner.fields
        return Figures(depth, aliases, fields)

    def _fragment(self, name: str, above: frozenset[str]) -> Figures:
        # A cycle or an unknown name is another rule's to report.
        if name in above:
            return Figures()
        if name not in self._known:
            fragment: FragmentDefinitionNode | None = self.context.get_fragment(name)
            self._known[name] = (
                self._measure(fragment.selection_set, above | {name}) if fragment else Figures()
            )
        return self._known[name]
