"""Documents that came before: parsed, measured, validated and priced once.

The newest are kept, of long texts a few: a document takes some twenty times its text's length in
memory. Those that `keep` was told of stay.
"""

from collections.abc import Sequence
from functools import lru_cache

from graphql import ASTValidationRule, DocumentNode, GraphQLError, GraphQLSchema, parse
from graphql import validate as validated
from graphql.validation import specified_rules
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from schema.limits.bounds import MOST_TOKENS
from schema.limits.cost import OperationCost
from schema.limits.document_size import NESTED_TOO_DEEPLY, size_errors
from schema.limits.formula import Variables
from schema.limits.introspection import NoIntrospection
from schema.limits.one_of import OneOfVariables

MOST_KNOWN = 256
LONGEST_KNOWN = 16_384
MOST_LONG = 4
"""Longer ones: enough that one request, which looks at its document in several places, parses it
once.
"""
# Whatever else goes through a document goes less deep than parsing with these frames in reserve.
_FRAMES_IN_RESERVE = 60

_RULES: tuple[type[ASTValidationRule], ...] = (
    *specified_rules,
    MaybeNullValidationRule,
    OneOfVariables,
)


class KnownDocument:
    """What was found out about a document, for whoever comes with the same text.

    Making one raises `GraphQLError` where the text can't be parsed.
    """

    def __init__(self, text: str) -> None:
        try:
            self.document = _parsed(text, _FRAMES_IN_RESERVE)
        except RecursionError as error:
            raise GraphQLError(NESTED_TOO_DEEPLY) from error
        self._errors: dict[tuple[GraphQLSchema, bool], tuple[GraphQLError, ...]] = {}
        self._costs: dict[tuple[GraphQLSchema, str | None], OperationCost] = {}

    def errors(self, schema: GraphQLSchema, *, introspection: bool) -> list[GraphQLError]:
        """What keeps it from being executed; new errors each time, for they are written on."""
        key = (schema, introspection)
        if key not in self._errors:
            self._errors[key] = tuple(self._found_errors(schema, introspection=introspection))
        return [GraphQLError(error.message, error.nodes) for error in self._errors[key]]

    def cost(
        self, schema: GraphQLSchema, operation_name: str | None, variables: Variables | None
    ) -> int:
        """What an operation of it costs with these variables, where it has no errors."""
        key = (schema, operation_name)
        if key not in self._costs:
            self._costs[key] = OperationCost(schema, self.document, operation_name)
        return self._costs[key].of(variables)

    def _found_errors(
        self, schema: GraphQLSchema, *, introspection: bool
    ) -> Sequence[GraphQLError]:
        too_large = size_errors(self.document)
        if too_large:
            return too_large
        rules = _RULES if introspection else (*_RULES, NoIntrospection)
        return [_explained(error) for error in validated(schema, self.document, rules)]


def known_document(text: str) -> KnownDocument:
    """The document of this text. Raises `GraphQLError` where it can't be parsed."""
    kept = _kept.get(text)
    if kept is not None:
        return kept
    return _recent(text) if len(text) <= LONGEST_KNOWN else _recent_long(text)


def keep(text: str) -> KnownDocument:
    """Know this text's document for as long as the process lives. Raises like `known_document`."""
    kept = _kept.get(text)
    if kept is None:
        kept = _kept[text] = KnownDocument(text)
    return kept


_kept: dict[str, KnownDocument] = {}
_recent = lru_cache(maxsize=MOST_KNOWN)(KnownDocument)
_recent_long = lru_cache(maxsize=MOST_LONG)(KnownDocument)


def _parsed(text: str, frames: int) -> DocumentNode:
    if frames:
        return _parsed(text, frames - 1)
    return parse(text, max_tokens=MOST_TOKENS)


def _explained(error: GraphQLError) -> GraphQLError:
    if error.message != "Validation aborted.":
        return error
    return GraphQLError(
        "the document selects the same fields so often, in fragments that it spreads together, "
        "that comparing them was given up: select each once, or ask in several operations"
    )
