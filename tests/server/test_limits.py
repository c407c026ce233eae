"""The settings of limits, where users meet them: at the real front door, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from graphql import get_introspection_query

from server.answers import GRAPHQL_RESPONSE
from server.failures import CannotStart
from server.serving import front_door, make_server
from server.settings import BadSettings, read_settings
from tests.server.test_usage_routes import TOKEN, listening
from trunkline.services import Services

Serve = Callable[..., Awaitable[httpx2.AsyncClient]]

COSTLY = "{ models(first: 100) { nodes { id name wireName kind: source } } }"
INTROSPECTION = get_introspection_query()


@pytest.fixture
async def serve(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Serve]:
    """Starts a server with these variables, and gives a client that is signed in."""
    monkeypatch.chdir(tmp_path)
    async with AsyncExitStack() as running:

        async def start(**variables: str) -> httpx2.AsyncClient:
            for name, value in variables.items():
                monkeypatch.setenv(f"TRUNKLINE_{name}", value)
            ready = asyncio.Event()
            server = make_server(front_door(services, read_settings(), TOKEN), ready.set)
            port = await running.enter_async_context(listening(server, ready))
            return await running.enter_async_context(
                httpx2.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}",
                    headers={"Authorization": f"Bearer {TOKEN}", "Accept": GRAPHQL_RESPONSE},
                )
            )

        yield start


async def ask(client: httpx2.AsyncClient, query: str, **variables: Any) -> httpx2.Response:
    return await client.post("/graphql", json={"query": query, "variables": variables})


async def test_costs_are_told_and_bounded_by_a_setting(serve: Serve) -> None:
    client = await serve(MOST_COST="1000")
    answer = await ask(client, COSTLY.replace("100", "10"))
    assert answer.status_code == 200
    assert answer.json()["extensions"] == {"cost": {"requested": 91, "limit": 1000}}
    many = "{" + " ".join(f"m{number}: {COSTLY[1:-1]}" for number in range(3)) + "}"
    answer = await ask(client, many)
    assert answer.status_code == 400
    assert answer.json()["extensions"] == {"cost": {"requested": 1353, "limit": 1000}}
    (error,) = answer.json()["errors"]
    assert error["message"].startswith("the operation costs 1353, at most 1000 is allowed")
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_introspection_can_be_turned_off(serve: Serve) -> None:
    client = await serve()
    assert (await ask(client, INTROSPECTION)).status_code == 200
    assert (await client.get("/schema.graphql")).status_code == 200
    client = await serve(INTROSPECTION="off")
    answer = await ask(client, INTROSPECTION)
    assert answer.status_code == 400
    assert "introspection is off" in answer.json()["errors"][0]["message"]
    schema = await client.get("/schema.graphql")
    assert schema.status_code == 403
    assert "introspection is off" in schema.json()["errors"][0]["message"]
    assert (await ask(client, "{ serverInfo { version } }")).status_code == 200


async def test_only_known_operations_can_be_admitted(serve: Serve) -> None:
    client = await serve(PERSISTED_ONLY="on")
    listed = (await client.get("/operations.json")).json()["operations"]
    (info,) = [one["id"] for one in listed if one["name"] == "ServerInfo"]
    answer = await client.post("/graphql", json={"documentId": f"sha256:{info}"})
    assert answer.json()["data"]["serverInfo"]["version"]
    assert (await ask(client, "{ serverInfo { version } }")).status_code == 400
    # GraphiQL reads the schema, unless that is off too.
    assert (await ask(client, INTROSPECTION)).status_code == 200
    client = await serve(PERSISTED_ONLY="on", INTROSPECTION="off")
    assert (await ask(client, INTROSPECTION)).status_code == 400


async def test_an_operators_operations_are_known(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "operations"
    folder.mkdir()
    (folder / "own.json").write_text('{"info": "{ serverInfo { version } }"}')
    client = await serve(PERSISTED_OPERATIONS=str(folder))
    answer = await client.get("/graphql", params={"documentId": "info"})
    assert answer.json()["data"]["serverInfo"]["version"]


async def test_a_start_with_operations_that_are_none_names_the_setting(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "own.json").write_text('{"info": "{ nothing }"}')
    with pytest.raises(CannotStart, match=r"TRUNKLINE_PERSISTED_OPERATIONS: own\.json: info: "):
        await serve(PERSISTED_OPERATIONS=str(tmp_path))


async def test_a_rate_is_limited_by_a_setting(serve: Serve) -> None:
    client = await serve(OPERATIONS_PER_SECOND="0.1")
    assert (await ask(client, "{ __typename }")).status_code == 200
    answer = await ask(client, "{ __typename }")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")


async def test_an_operation_ends_at_its_deadline(serve: Serve, services: Services) -> None:
    client = await serve(OPERATION_SECONDS="0.3")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_connection: object) -> None:
        begun.set()
        await go_on.wait()

    # As many writers as there are connections, on either database.
    holding = [asyncio.create_task(services.database.transact(hold)) for _ in range(10)]
    await begun.wait()
    create = """mutation { createProvider(input: { slug: "own", name: "Own", kind: OPENAI }) {
      provider { slug } } }"""
    answer = await ask(client, create)
    go_on.set()
    await asyncio.gather(*holding)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"createProvider": None}
    (error,) = answer.json()["errors"]
    assert error["path"] == ["createProvider"]
    assert error["extensions"]["code"] == "TIMEOUT"
    assert "longer than 0.3 s" in error["message"]
    assert "nothing was changed" in error["message"]
    found = await ask(client, '{ provider(slug: "own") { slug } }')
    assert found.json()["data"] == {"provider": None}
    again = await ask(client, create)
    assert again.json()["data"] == {"createProvider": {"provider": {"slug": "own"}}}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MOST_COST", "10", "a whole number from 1000"),
        ("OPERATION_SECONDS", "0", "seconds from 0.1 to 3600"),
        ("OPERATION_SECONDS", "nan", "seconds from 0.1 to 3600"),
        ("INTROSPECTION", "maybe", "`on` or `off`"),
        ("PERSISTED_ONLY", "2", "`on` or `off`"),
        ("OPERATIONS_PER_SECOND", "-1", "a number from 0.1"),
        ("MOST_SOCKETS_PER_VIEWER", "0", "a whole number from 1 to 4096"),
        ("MOST_STREAMS_PER_VIEWER", "x", "a whole number from 1"),
        ("GATEWAY_REQUESTS_PER_SECOND", "0", "a number from 0.1 to 1000000"),
        ("GATEWAY_BODY_SECONDS", "nan", "seconds from 0.05 to 3600"),
        ("HEAD_SECONDS", "inf", "seconds from 0.05 to 300"),
        ("KEEP_ALIVE_SECONDS", "-1", "seconds from 0.05 to 3600"),
        ("MOST_CONNECTIONS", "0", "a whole number from 1"),
        ("MOST_CONNECTIONS_PER_ADDRESS", "x", "a whole number from 1"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TRUNKLINE_{name}", value)
    with pytest.raises(BadSettings, match=f"TRUNKLINE_{name}: give {said}"):
        read_settings()
