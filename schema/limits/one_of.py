"""Variables in inputs that take exactly one of their fields.

graphql-core checks them, but misses inputs that are not null, as ours are. Strawberry's own rule
breaks on a variable that isn't declared, and on a fragment that stands before its operation.
"""

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLType,
    OperationDefinitionNode,
    ValidationRule,
    is_non_null_type,
)
from graphql.language import NonNullTypeNode


class OneOfVariables(ValidationRule):
    """Refuses variables there that may be null."""

    def leave_operation_definition(self, node: OperationDefinitionNode, *_args: object) -> None:
        """Look at each place where the operation, or a fragment of its, uses a variable."""
        declared = {one.variable.name.value: one for one in node.variable_definitions or ()}
        for usage in self.context.get_recursive_variable_usages(node):
            name = usage.node.name.value
            parent = usage.parent_type
            if name not in declared or not is_non_null_type(parent):
                continue
            if not _takes_one(parent.of_type):
                continue
            if not isinstance(declared[name].type, NonNullTypeNode):
                self.report_error(
                    GraphQLError(
                        f"Variable '${name}' must be non-nullable to be used in "
                        f"'{parent.of_type}', which takes exactly one of its fields.",
                        [declared[name], usage.node],
                    )
                )


def _takes_one(parent: GraphQLType) -> bool:
    return isinstance(parent, GraphQLInputObjectType) and parent.is_one_of
