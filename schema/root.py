"""The three roots and the schema: the table of contents of the API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError, GraphQLInputObjectType
from strawberry.extensions import MaxTokensLimiter, ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types import ExecutionContext

from db.vocabulary import AccessScope
from resolvers import node as nodes
from resolvers.context import OperationContext
from resolvers.node import ServerInfoRow
from schema.access_tokens import AccessTokenMutation, AccessTokenQuery
from schema.budgets import BudgetMutation, BudgetQuery, BudgetSubscription
from schema.chains import ChainMutation, ChainQuery, ChainSubscription
from schema.connection_tests import ConnectionTest
from schema.errors import present
from schema.execution import Executor
from schema.fields import Info, described, plain, resolved
from schema.gateway import GatewayMutation, GatewayQuery, GatewaySubscription
from schema.limits import MOST_TOKENS, limit_extension
from schema.models import ModelMutation, ModelQueries, ModelSubscription
from schema.node import Node, parse_id
from schema.providers import (
    ProviderMutation,
    ProviderQuery,
    ProviderSubscription,
)
from schema.scalars import SCALARS
from schema.usage import UsageMutation, UsageQuery, UsageSubscription

CACHED_DOCUMENTS = 256


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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for served in self._schema.type_map.values():
            definition = served.extensions.get("strawberry-definition")
            if isinstance(served, GraphQLInputObjectType) and definition is not None:
                served.is_one_of = bool(definition.is_one_of)

    def process_errors(
        self,
        errors: Sequence[GraphQLError],
        execution_context: ExecutionContext | None = None,
    ) -> None:
        """Give each error its code, and hide our own faults."""
        present(errors, execution_context)


schema = TrunklineSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[ConnectionTest],
    config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=False),
    execution_context_class=Executor,
    extensions=[
        lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
        limit_extension,
        lambda: ParserCache(maxsize=CACHED_DOCUMENTS),
        lambda: ValidationCache(maxsize=CACHED_DOCUMENTS),
    ],
)

__all__ = ["OperationContext", "schema"]
