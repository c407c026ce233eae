"""The three roots and the schema: the table of contents of the API."""

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError, GraphQLInputObjectType
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types import ExecutionContext

from db.vocabulary import AccessScope
from resolvers import node as nodes
from resolvers.context import OperationContext
from resolvers.node import ServerInfoRow
from schema.access_tokens import AccessTokenMutation, AccessTokenQuery
from schema.audit_log import AuditQuery
from schema.budgets import BudgetMutation, BudgetQuery, BudgetSubscription
from schema.chains import ChainMutation, ChainQuery, ChainSubscription
from schema.connection_tests import ConnectionTest
from schema.errors import present
from schema.execution import CompiledExecutor, Executor
from schema.fields import Info, described, plain, resolved
from schema.gateway import GatewayMutation, GatewayQuery, GatewaySubscription
from schema.limits.bounds import Limits
from schema.limits.deadline import Deadlines, executor_within
from schema.limits.extension import OperationLimits
from schema.models import ModelMutation, ModelQueries, ModelSubscription
from schema.node import Node
from schema.provider_changes import ProviderMutation
from schema.providers import ProviderQuery, ProviderSubscription
from schema.scalars import SCALARS
from schema.sessions import BrowserSessionMutation, BrowserSessionQuery
from schema.usage import UsageMutation, UsageQuery, UsageSubscription
from trunkline.global_ids import parse_id


@strawberry.type(description="The server that answers.")
class ServerInfo:
    """Read from `ServerInfoRow`."""

    version: str = plain("Of Trunkline, by semantic versioning.")
    database: str = plain("`sqlite` or `postgresql`.")
    started_at: datetime = plain("When this process started.")


async def _node(
    info: Info, id: Annotated[strawberry.ID, described("The object's global id.")]
) -> object | None:
    parsed = parse_id(id)
    return None if parsed is None else await nodes.find_node(info.context, *parsed)


def _server_info(info: Info) -> ServerInfoRow:
    return nodes.server_info(info.context)


@strawberry.type
class RootQuery:
    """Fields of Query that belong to no slice."""

    node: Any = resolved(
        _node,
        "The object with this global id; null where there is none.",
        graphql_type=Node | None,
        scope=AccessScope.READ,
    )
    server_info: Any = resolved(
        _server_info, "The server that answers.", graphql_type=ServerInfo, scope=AccessScope.READ
    )


Query = merge_types(
    "Query",
    (
        RootQuery,
        ProviderQuery,
        ModelQueries,
        ChainQuery,
        UsageQuery,
        BudgetQuery,
        GatewayQuery,
        AccessTokenQuery,
        BrowserSessionQuery,
        AuditQuery,
    ),
)
Mutation = merge_types(
    "Mutation",
    (
        ProviderMutation,
        ModelMutation,
        ChainMutation,
        UsageMutation,
        BudgetMutation,
        GatewayMutation,
        AccessTokenMutation,
        BrowserSessionMutation,
    ),
)
Subscription = merge_types(
    "Subscription",
    (
        UsageSubscription,
        ProviderSubscription,
        ModelSubscription,
        ChainSubscription,
        BudgetSubscription,
        GatewaySubscription,
    ),
)


class TrunklineSchema(strawberry.Schema):
    """Strawberry's schema, with our errors, and with @oneOf known to graphql-core too.

    Strawberry checks @oneOf itself and tells introspection, but the SDL that graphql-core prints
    would not have it.
    """

    suggests = True
    """Whether an error about a document may name what was meant."""

    executor: type[Deadlines] = CompiledExecutor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for served in self._schema.type_map.values():
            definition = served.extensions.get("strawberry-definition")
            if isinstance(served, GraphQLInputObjectType) and definition is not None:
                served.is_one_of = bool(definition.is_one_of)

    def limited(self, limits: Limits) -> "TrunklineSchema":
        """The same schema, with these limits on its operations."""
        found = copy(self)
        found.suggests = limits.introspection
        found.extensions = (lambda: OperationLimits(limits),)
        found.execution_context_class = executor_within(self.executor, limits.operation_seconds)
        return found

    def execute_compiled(self, *, compiled: bool) -> None:
        """By generated code, or all of it by graphql-core. The answers are the same."""
        self.executor = CompiledExecutor if compiled else Executor
        self.execution_context_class = self.executor

    def process_errors(
        self,
        errors: Sequence[GraphQLError],
        execution_context: ExecutionContext | None = None,
    ) -> None:
        """Give each error its code, and hide our own faults."""
        if not self.suggests:
            for error in errors:
                # Who may not read the schema is not to guess it from its names either.
                if error.path is None:
                    error.message = error.message.partition(" Did you mean ")[0]
        present(errors, execution_context)


CONFIG = StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=False)
EXTENSIONS = (lambda: OperationLimits(Limits()),)

schema = TrunklineSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[ConnectionTest],
    config=CONFIG,
    execution_context_class=CompiledExecutor,
    extensions=EXTENSIONS,
)

__all__ = ["OperationContext", "schema"]
