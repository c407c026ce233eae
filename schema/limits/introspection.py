"""Introspection, which an operator may turn off."""

from graphql import FieldNode, GraphQLError, ValidationRule

_FIELDS = frozenset({"__schema", "__type"})


class NoIntrospection(ValidationRule):
    """Refuses to tell about the schema; `__typename` is data, and stays."""

    def enter_field(self, node: FieldNode, *_args: object) -> None:
        """Look at one field."""
        if node.name.value in _FIELDS:
            self.report_error(
                GraphQLError(
                    f"introspection is off on this server, so there is no {node.name.value}: "
                    "work with the schema that came with your release, or ask whoever runs the "
                    "server to set TRUNKLINE_INTROSPECTION",
                    node,
                )
            )
