"""Every field of every root says what it needs, and refuses who lacks it before anything runs."""

from contextlib import aclosing
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    is_required_argument,
    is_required_input_field,
)
from strawberry.types.field import StrawberryField

from db.vocabulary import AccessScope
from resolvers.context import OperationContext, Viewer
from schema.fields import NEEDS
from schema.node import encode_id
from schema.root import schema
from trunkline.access.allowed import Access
from trunkline.access.changes import create_token
from trunkline.access.inputs import NewAccessToken
from trunkline.services import Services

SERVED: GraphQLSchema = schema._schema
ROOTS = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}


def root_fields() -> list[tuple[str, str]]:
    return [(kind, name) for kind, root in ROOTS.items() for name in SERVED.type_map[root].fields]  # type: ignore[attr-defined]  # roots are objects


def needs_of(kind: str, name: str) -> tuple[AccessScope, ...]:
    definition = SERVED.type_map[ROOTS[kind]].extensions["strawberry-definition"]
    (field,) = [
        one
        for one in definition.fields
        if isinstance(one, StrawberryField)
        and schema.config.name_converter.get_graphql_name(one) == name
    ]
    needs: tuple[AccessScope, ...] = field.metadata.get(NEEDS, ())
    return needs


def literal(kind: Any) -> str:
    """The least that an argument of this type takes."""
    if isinstance(kind, GraphQLNonNull):
        return literal(kind.of_type)
    if isinstance(kind, GraphQLList):
        return "[]"
    if isinstance(kind, GraphQLEnumType):
        return str(next(iter(kind.values)))
    if isinstance(kind, GraphQLInputObjectType):
        needed = [name for name, field in kind.fields.items() if is_required_input_field(field)]
        if kind.is_one_of:
            needed = [next(iter(kind.fields))]
        given = (f"{name}: {literal(kind.fields[name].type)}" for name in needed)
        return f"{{ {', '.join(given)} }}"
    return {"Int": "1", "Boolean": "true", "Float": "1"}.get(kind.name, '"1"')


def document(kind: str, name: str) -> str:
    root = SERVED.type_map[ROOTS[kind]]
    assert isinstance(root, GraphQLObjectType)
    required = {
        one: literal(argument.type)
        for one, argument in root.fields[name].args.items()
        if is_required_argument(argument)
    }
    given = ", ".join(f"{one}: {value}" for one, value in required.items())
    return f"{kind} {{ {name}{f'({given})' if given else ''} {{ __typename }} }}"


async def run(services: Services, text: str, *scopes: AccessScope) -> Any:
    """The first result for the holder of a token with these scopes."""
    viewer = Viewer("robot", access=Access(scopes), token_id=1)
    context = OperationContext(services, viewer, "request-1")
    async with aclosing(await schema.stream(text, context_value=context)) as results:
        return await anext(results)


@pytest.mark.parametrize(("kind", "name"), root_fields())
def test_every_field_of_a_root_declares_a_scope(kind: str, name: str) -> None:
    assert needs_of(kind, name), f"{kind} {name} wants `scope=`"


@pytest.mark.parametrize(("kind", "name"), root_fields())
async def test_every_field_of_a_root_refuses_a_token_without_its_scope(
    services: Services, kind: str, name: str
) -> None:
    (needed, *_) = needs_of(kind, name)
    including = {needed, AccessScope.ADMIN}
    if needed is AccessScope.READ:
        including.add(AccessScope.CONFIGURE)
    others = [scope for scope in AccessScope if scope not in including]
    result = await run(services, document(kind, name), *others)
    (error,) = result.errors
    assert error.extensions["code"] == "FORBIDDEN", error
    assert error.extensions["missingScope"] == needed.value
    assert error.extensions["scopes"] == [scope.value for scope in others]
    assert needed.value in error.message
    assert error.path == [name]
    assert not (result.data or {}).get(name)


@pytest.mark.parametrize("scope", [AccessScope.READ, AccessScope.CONFIGURE, AccessScope.ADMIN])
async def test_what_includes_reading_reads(services: Services, scope: AccessScope) -> None:
    result = await run(services, "{ serverInfo { version } }", scope)
    assert not result.errors


async def test_one_field_that_is_refused_leaves_the_others(services: Services) -> None:
    text = 'mutation { a: deleteBudget(input: { id: "x" }) { userErrors { code } } \
        b: recordUsage(input: { events: [] }) { userErrors { code } } }'
    result = await run(services, text, AccessScope.INGEST)
    assert result.data == {"a": None, "b": {"userErrors": [{"code": "TOO_FEW"}]}}
    (error,) = result.errors
    assert error.extensions["code"] == "FORBIDDEN"
    assert error.path == ["a"]


async def test_a_token_is_no_node_to_who_may_only_read(services: Services) -> None:
    made = await create_token(services, NewAccessToken(name="x", scopes=[AccessScope.READ]))
    text = f'{{ node(id: "{encode_id("AccessToken", made.token.id)}") {{ id }} }}'
    refused = await run(services, text, AccessScope.READ, AccessScope.CONFIGURE)
    assert refused.data == {"node": None}
    assert refused.errors[0].extensions["missingScope"] == "ADMIN"
    found = await run(services, text, AccessScope.ADMIN)
    assert found.data["node"]["id"] == encode_id("AccessToken", made.token.id)


async def test_running_a_chain_takes_reading_and_the_gateway(services: Services) -> None:
    text = document("mutation", "runFailoverChain")
    for held, missing in (("GATEWAY", "READ"), ("READ", "GATEWAY")):
        result = await run(services, text, AccessScope(held))
        assert result.errors[0].extensions["missingScope"] == missing
