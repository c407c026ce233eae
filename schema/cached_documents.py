"""Documents parsed and validated once, within the limits.

One extension for what Strawberry has four for: each that is there costs every operation some 15 µs,
whatever it does. Both caches are bounded, and keyed by all that the outcome depends on.
"""

from collections.abc import Iterator
from functools import lru_cache

from graphql import parse
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from schema.limits import MOST_TOKENS, OperationLimits

CACHED_DOCUMENTS = 256

_parsed = lru_cache(maxsize=CACHED_DOCUMENTS)(parse)
_validated = lru_cache(maxsize=CACHED_DOCUMENTS)(validate_document)


class CachedDocuments(SchemaExtension):
    """Parses with our limit of tokens, and validates with our rule."""

    def on_operation(self) -> Iterator[None]:
        """Set the limits."""
        context = self.execution_context
        context.parse_options["max_tokens"] = MOST_TOKENS
        context.validation_rules = (*context.validation_rules, OperationLimits)
        yield

    def on_parse(self) -> Iterator[None]:
        """Parse, or find what was parsed. Strawberry refuses an operation without a text."""
        context = self.execution_context
        if context.query is not None:
            context.graphql_document = _parsed(context.query, **context.parse_options)
        yield

    def on_validate(self) -> Iterator[None]:
        """Validate, or find what that gave."""
        context = self.execution_context
        if context.graphql_document is not None:
            rules = context.validation_rules
            checked = (context.schema._schema, context.graphql_document, rules)  # noqa: SLF001  # as Strawberry's own cache does
            errors = _validated(*checked)
            # Made anew: what tells of them writes each request's id into them.
            context.pre_execution_errors = validate_document(*checked) if errors else errors
        yield
