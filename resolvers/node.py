"""`node` and `serverInfo`: fields that belong to no slice."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import trunkline
from resolvers import (
    access_tokens,
    audit_log,
    budgets,
    chains,
    gateway,
    models,
    providers,
    sessions,
    usage,
)
from resolvers.context import OperationContext


@dataclass(frozen=True, slots=True)
class ServerInfoRow:
    """What the server says of itself."""

    version: str
    database: str
    started_at: datetime


_FINDERS: dict[str, Callable[[OperationContext, int], Awaitable[object | None]]] = {
    "Provider": providers.provider_by_id,
    "ConnectionTest": providers.connection_test_by_id,
    "Model": models.model_by_id,
    "FailoverChain": chains.chain_by_id,
    "FailoverStep": chains.step_by_id,
    "UsageEvent": usage.usage_event_by_id,
    "Budget": budgets.budget_by_id,
    "BudgetAlert": budgets.alert_by_id,
    "GatewayRequest": gateway.request_by_id,
    "AccessToken": access_tokens.token_by_id,
    "BrowserSession": sessions.session_by_id,
    "AuditEntry": audit_log.entry_by_id,
}


async def find_node(context: OperationContext, type_name: str, internal_id: int) -> object | None:
    """The living object of this type and id."""
    finder = _FINDERS.get(type_name)
    return None if finder is None else await finder(context, internal_id)


def server_info(context: OperationContext) -> ServerInfoRow:
    """Version, database and start of this process."""
    services = context.services
    return ServerInfoRow(trunkline.__version__, services.database.dialect, services.started_at)
