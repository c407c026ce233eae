"""The limits as one of Strawberry's extensions, in the place of its own parser and caches."""

from collections.abc import Iterator
from typing import Any

from graphql import GraphQLError
from strawberry.extensions import SchemaExtension

from schema.limits.bounds import MOST_TOKENS, Limits
from schema.limits.known_document import KnownDocument, known_document

# An answer is JSON, where a larger number is none.
_LARGEST_TOLD = 2**53 - 1


class OperationLimits(SchemaExtension):
    """Parses, measures, validates and prices one operation, or finds all that known.

    Its cost is told in `extensions.cost` of its answer, a subscription's with its first event.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: KnownDocument | None = None
        self._cost: int | None = None

    def on_parse(self) -> Iterator[None]:
        """Find the document."""
        context = self.execution_context
        try:
            self._known = known_document(context.query or "")
        except GraphQLError:
            # Strawberry parses it again, and says what is wrong where it looks for that.
            context.parse_options["max_tokens"] = MOST_TOKENS
        else:
            context.graphql_document = self._known.document
        yield

    def on_validate(self) -> Iterator[None]:
        """Refuse what is too large, is not valid or costs too much."""
        context = self.execution_context
        assert self._known is not None  # noqa: S101  # there was no error on_parse
        schema = context.schema._schema  # noqa: SLF001  # as Strawberry's own extensions do
        errors = self._known.errors(schema, introspection=self._limits.introspection)
        if not errors:
            self._cost = self._known.cost(schema, context.operation_name, context.variables)
            if self._cost > self._limits.most_cost:
                errors = [_too_costly(self._cost, self._limits.most_cost)]
        context.pre_execution_errors = errors
        yield

    def get_results(self) -> dict[str, Any]:
        """Tell the cost, once."""
        if self._cost is None:
            return {}
        requested, self._cost = min(self._cost, _LARGEST_TOLD), None
        return {"cost": {"requested": requested, "limit": self._limits.most_cost}}


def _too_costly(cost: int, most: int) -> GraphQLError:
    return GraphQLError(
        f"the operation costs {min(cost, _LARGEST_TOLD)}, at most {most} is allowed: about as much "
        "as the fields that it may answer with. Ask for smaller pages (`first`), fewer groups "
        "(`topGroups`), a shorter window or longer points (`granularity`), fewer fields, "
        "or in several operations"
    )
