"""The variables of one operation: read by generated code, or else by graphql-core."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, is_non_null_type
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.language import ConstValueNode
from graphql.pyutils import Undefined
from graphql.utilities.coerce_input_value import coerce_input_literal

from schema.compiled.fallback import NeedsStandard
from schema.compiled_input.coercion import Coerce, NotCompiled, compile_coercion


@dataclass(frozen=True, slots=True)
class _Variable:
    signature: GraphQLVariableSignature
    coerce: Coerce
    default: ConstValueNode | None
    required: bool


class VariableReader:
    """Coerces what a client sends for the variables that an operation declares."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        self._variables = _variables(schema, operation)

    def __call__(self, given: Mapping[str, Any]) -> VariableValues | None:
        """The values, or None where graphql-core must read them: an error is its to tell."""
        if self._variables is None:
            return None
        try:
            return self._read(self._variables, given)
        except (Exception, NeedsStandard):  # noqa: BLE001  # whatever it is, graphql-core meets it too
            return None

    def _read(self, variables: list[_Variable], given: Mapping[str, Any]) -> VariableValues:
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for variable in variables:
            signature = variable.signature
            name = signature.name
            value = given.get(name, Undefined)
            if value is not Undefined:
                sources[name] = VariableValueSource(signature, value)
                coerced[name] = variable.coerce(value)
                continue
            sources[name] = VariableValueSource(signature)
            if variable.default is not None:
                # Each time anew: it may be a list, and nobody's change of it is the next one's.
                default = coerce_input_literal(variable.default, signature.type)
                if default is Undefined:
                    raise NeedsStandard
                coerced[name] = default
            elif variable.required:
                raise NeedsStandard
        return VariableValues(sources, coerced)


def _variables(schema: GraphQLSchema, operation: OperationDefinitionNode) -> list[_Variable] | None:
    variables = []
    for node in operation.variable_definitions or ():
        signature = get_variable_signature(schema, node)
        if isinstance(signature, GraphQLError):
            return None
        try:
            coerce = compile_coercion(signature.type)
        except (NotCompiled, TypeError):  # TypeError: a default of the schema that is none.
            return None
        required = is_non_null_type(signature.type)
        variables.append(_Variable(signature, coerce, node.default_value, required))
    return variables
