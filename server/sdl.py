"""The schema as a document, sorted, so that two exports differ only where the schemas do."""

from graphql import lexicographic_sort_schema, print_schema
from strawberry import Schema


def sorted_sdl(schema: Schema) -> str:
    """The SDL, sorted by name, ending in a line break."""
    core = schema._schema  # noqa: SLF001  # Strawberry's own printer can't sort
    return print_schema(lexicographic_sort_schema(core)) + "\n"
