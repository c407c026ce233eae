"""The served schema keeps the contract, describes everything, and is the exported one."""

from pathlib import Path
from typing import Any, get_type_hints

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    print_ast,
)
from graphql.utilities import ast_from_value
from strawberry.types.field import StrawberryField

from db.access_tokens import AccessTokenRow
from db.audit_log import AuditActorRow, AuditEntryRow, FieldChangeRow
from db.budget_alerts import AlertRow
from db.budget_webhooks import DeliveryRow
from db.budgets import BudgetRow, BudgetScopeRow, BudgetWebhookRow
from db.chains import ChainRow, StepRow
from db.gateway_attempts import GatewayAttemptRow
from db.gateway_request_pages import GatewayRequestRow
from db.models import ModelPricingRow, ModelRow
from db.paging import Edge, Slice
from db.provider_rows import ApiKeyPreviewRow, ConnectionTestRow, ProviderRow
from db.sessions import BrowserSessionRow
from db.usage import UsageEventRow
from resolvers.access_tokens import TokenOutcome
from resolvers.budgets import BudgetOutcome
from resolvers.gateway import CircuitChangeRow, HealthRow, RunOutcome
from resolvers.models import SyncOutcome
from resolvers.node import ServerInfoRow
from resolvers.outcome import Outcome
from resolvers.providers import TestOutcome
from resolvers.usage import RecordOutcome
from resolvers.watching import ChangeRow
from schema.root import schema
from server.sdl import sorted_sdl
from trunkline.budgets.state import BudgetState
from trunkline.errors import Problem
from trunkline.usage.delta import Delta, Snapshot
from trunkline.usage.points import Point
from trunkline.usage.series import Group, Series
from trunkline.usage.totals import Sums

ROOT = Path(__file__).parents[2]
CONTRACT = build_schema((ROOT / "graphql" / "contract.graphql").read_text(), assume_valid_sdl=True)
SERVED: GraphQLSchema = schema._schema
PROMISED = [
    name
    for name in CONTRACT.type_map
    if not name.startswith("__") and name not in {"String", "Int", "Float", "Boolean", "ID"}
]


def arguments(found: Any) -> dict[str, str]:
    """Type and default of each argument or input field, as text."""
    return {name: f"{one.type} = {default(one)}" for name, one in found.items()}


def default(one: Any) -> str | None:
    value = one.default_value
    literal = getattr(one, "default", None)
    if literal is not None and getattr(literal, "literal", None) is not None:
        return print_ast(literal.literal)
    node = ast_from_value(value, one.type) if not _undefined(value) else None
    return print_ast(node) if node is not None else None


def _undefined(value: object) -> bool:
    return type(value).__name__ == "UndefinedType"


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_type_is_served_as_promised(name: str) -> None:
    promised, served = CONTRACT.type_map[name], SERVED.type_map.get(name)
    assert served is not None, "missing"
    assert type(served).__mro__[-3:] == type(promised).__mro__[-3:]
    assert isinstance(served, _kind(promised))
    if isinstance(promised, GraphQLObjectType | GraphQLInterfaceType):
        assert isinstance(served, GraphQLObjectType | GraphQLInterfaceType)
        assert {one.name for one in promised.interfaces} <= {one.name for one in served.interfaces}
        for field, wanted in promised.fields.items():
            assert field in served.fields, f"{field} is missing"
            assert str(served.fields[field].type) == str(wanted.type), field
            assert arguments(served.fields[field].args) == arguments(wanted.args), field
    if isinstance(promised, GraphQLInputObjectType):
        assert isinstance(served, GraphQLInputObjectType)
        assert arguments(served.fields) == arguments(promised.fields)
        assert served.is_one_of == promised.is_one_of
    if isinstance(promised, GraphQLEnumType):
        assert isinstance(served, GraphQLEnumType)
        assert list(served.values) == list(promised.values)
    if isinstance(promised, GraphQLUnionType):
        assert isinstance(served, GraphQLUnionType)
        assert [one.name for one in served.types] == [one.name for one in promised.types]


def test_the_roots_are_the_promised_ones() -> None:
    for root in ("query_type", "mutation_type", "subscription_type"):
        assert getattr(SERVED, root).name == getattr(CONTRACT, root).name


def test_everything_served_is_described() -> None:
    roots = {"Query", "Mutation", "Subscription"}
    silent: list[str] = []
    for name, one in SERVED.type_map.items():
        if name.startswith("__") or name in {"String", "Int", "Float", "Boolean", "ID"}:
            continue
        if not one.description and name not in roots:
            silent.append(name)
        members: dict[str, Any] = getattr(one, "fields", None) or getattr(one, "values", None) or {}
        for member, field in members.items():
            if not field.description:
                silent.append(f"{name}.{member}")
            silent += [
                f"{name}.{member}({argument})"
                for argument, value in getattr(field, "args", {}).items()
                if not value.description
            ]
    assert not silent


def test_the_exported_schema_is_the_served_one() -> None:
    exported = (ROOT / "graphql" / "schema.graphql").read_text()
    assert exported == sorted_sdl(schema), "run: trunkline export-schema"


ROWS: dict[str, type] = {
    "ApiKeyPreview": ApiKeyPreviewRow,
    "ConnectionTest": ConnectionTestRow,
    "Provider": ProviderRow,
    "ModelPricing": ModelPricingRow,
    "Model": ModelRow,
    "FailoverChain": ChainRow,
    "FailoverStep": StepRow,
    "UsageSeries": Series,
    "UsageGroup": Group,
    "UsagePoint": Point,
    "UsageTotals": Sums,
    "UsageEvent": UsageEventRow,
    "UsageSnapshot": Snapshot,
    "UsageDelta": Delta,
    "UsageGroupChange": Group,
    "UserError": Problem,
    "ServerInfo": ServerInfoRow,
    "PageInfo": Slice,
    "ProviderChange": ChangeRow,
    "ModelChange": ChangeRow,
    "FailoverChainChange": ChangeRow,
    "TestConnectionPayload": TestOutcome,
    "SyncModelsPayload": SyncOutcome,
    "RecordUsagePayload": RecordOutcome,
    "AccessToken": AccessTokenRow,
    "CreateAccessTokenPayload": TokenOutcome,
    "RotateAccessTokenPayload": TokenOutcome,
    "AuditActor": AuditActorRow,
    "AuditFieldChange": FieldChangeRow,
    "AuditEntry": AuditEntryRow,
    "Budget": BudgetRow,
    "BudgetScope": BudgetScopeRow,
    "BudgetState": BudgetState,
    "BudgetWebhook": BudgetWebhookRow,
    "BudgetWebhookDelivery": DeliveryRow,
    "BudgetAlert": AlertRow,
    "BudgetChange": ChangeRow,
    "BudgetAlertChange": ChangeRow,
    "CreateBudgetPayload": BudgetOutcome,
    "UpdateBudgetPayload": BudgetOutcome,
    "RotateBudgetWebhookSecretPayload": BudgetOutcome,
    "StepHealth": HealthRow,
    "GatewayAttempt": GatewayAttemptRow,
    "GatewayRequest": GatewayRequestRow,
    "GatewayRequestCompletion": ChangeRow,
    "RunFailoverChainPayload": RunOutcome,
    "CircuitChange": CircuitChangeRow,
    "BrowserSession": BrowserSessionRow,
}


def row_of(name: str) -> type | None:
    if name.endswith("Connection"):
        return Slice
    if name.endswith("Edge"):
        return Edge
    return ROWS.get(name) or (Outcome if name.endswith("Payload") else None)


def test_every_plain_field_is_an_attribute_of_its_row() -> None:
    """What mypy can't see: Strawberry reads these by name when a request asks for them."""
    for name, one in SERVED.type_map.items():
        if not isinstance(one, GraphQLObjectType) or name.startswith("__"):
            continue
        row = row_of(name)
        if row is None:
            assert name in {"Query", "Mutation", "Subscription"}, f"{name} wants its row named here"
            continue
        hints = attributes(row)
        for field in _definition(one).fields:
            if isinstance(field, StrawberryField) and field.base_resolver is None:
                assert field.python_name in hints, (
                    f"{row.__name__} lacks {name}.{field.python_name}"
                )
                nullable = str(one.fields[_wire_name(field)].type).endswith("!") is False
                optional = "None" in str(hints[field.python_name])
                # A page counts all only where the count was selected; an outcome is generic.
                if row not in {Outcome, Slice}:
                    assert nullable or not optional, f"{name}.{field.python_name} may be None"


def attributes(row: type) -> dict[str, object]:
    """Names and types of what can be read from a row: fields and properties, inherited or not."""
    found: dict[str, object] = dict(get_type_hints(row))
    for base in row.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, property) and member.fget is not None:
                found[name] = member.fget.__annotations__.get("return", object)
    return found


def _definition(one: GraphQLNamedType) -> Any:
    return one.extensions["strawberry-definition"]


def _wire_name(field: StrawberryField) -> str:
    return str(schema.config.name_converter.get_graphql_name(field))


def _kind(promised: GraphQLNamedType) -> type:
    return type(promised).__mro__[0]
