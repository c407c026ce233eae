"""The schema as text: sorted, so that a change shows as a change and nothing else."""

from graphql import lexicographic_sort_schema, print_schema

from schema.root import schema


def exported_schema() -> str:
    """The served schema in SDL, descriptions included."""
    return print_schema(lexicographic_sort_schema(schema._schema)) + "\n"  # noqa: SLF001  # Strawberry has no public name for it
