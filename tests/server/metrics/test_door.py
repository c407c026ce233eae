"""Who may read the metrics, in which format, and what the front door counts in them."""

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from db.vocabulary import AccessScope
from server.operation_files import read_operations, shipped_folder
from server.traffic import Traffic, route_of
from tests.server.conftest import ServerMaker
from tests.server.gateway.world import World
from tests.server.metrics.scraping import scraped
from trunkline.access.changes import create_token
from trunkline.access.inputs import NewAccessToken

ROOT = Path(__file__).parents[3]


async def test_prometheus_gets_the_format_that_it_accepts(sqlite_world: World) -> None:
    await sqlite_world.ask(model="nothing")
    as_text = await scraped(sqlite_world, "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    assert as_text.content_type == "text/plain; version=0.0.4; charset=utf-8"
    as_openmetrics = await scraped(sqlite_world)
    assert as_openmetrics.content_type.startswith("application/openmetrics-text; version=1.")
    assert {one.name for one in as_text.samples} == {one.name for one in as_openmetrics.samples}
    assert as_text.total("process_resident_memory_bytes") > 2**20
    assert as_text.total("trunkline_build_info") == 1


async def test_only_who_may_read_reads_them(sqlite_world: World) -> None:
    world = sqlite_world
    url = f"{world.url}/metrics"
    nobody = await world.session.get(url)
    assert nobody.status == 401
    assert "trunkline_" not in await nobody.text()
    for scope, status in ((AccessScope.READ, 200), (AccessScope.GATEWAY, 403)):
        made = await create_token(
            world.services, NewAccessToken(name=scope.lower(), scopes=[scope])
        )
        answer = await world.session.get(url, headers={"Authorization": f"Bearer {made.text}"})
        assert answer.status == status


@pytest.mark.parametrize(("access", "status"), [("open", 200), ("off", 401), ("token", 401)])
def test_the_setting_opens_and_closes_them(
    make_running_server: ServerMaker, access: str, status: int
) -> None:
    server = make_running_server(metrics=access)
    assert httpx2.get(f"{server.url}/metrics").status_code == status
    signed_in = httpx2.get(f"{server.url}/metrics", headers=server.bearer)
    # Who isn't signed in isn't told that there are none.
    assert signed_in.status_code == (404 if access == "off" else 200)
    # A page whose name was pointed here reads nothing, however open they are.
    foreign = {"Host": "evil.example"}
    assert httpx2.get(f"{server.url}/metrics", headers=foreign).status_code == 421


def test_whatever_paths_and_methods_are_tried_the_series_are_few() -> None:
    traffic = Traffic()
    for number in range(10_000):
        traffic.note_request(f"/{number}", f"M{number}", 404, 0.1, is_stream=False)
        traffic.note_request(f"/graphiql/{number}", "GET", 200, 0.1, is_stream=False)
        traffic.note_request(f"/v1/models/{number}", "GET", number, 0.1, is_stream=False)
        traffic.note_socket(3_000 + number)
    assert set(traffic.requests) <= {
        ("other", "other", "4xx"), ("/graphiql/{name}", "GET", "2xx"),
        *(("/v1/models/{model}", "GET", one)
          for one in ("none", "1xx", "2xx", "3xx", "4xx", "5xx")),
    }  # fmt: skip
    assert traffic.requests["other", "other", "4xx"].count == 10_000
    assert sum(traffic.sockets.values()) == 10_000
    assert len(traffic.sockets) < 10


def test_every_route_has_its_template(make_running_server: ServerMaker) -> None:
    """Whoever adds a route names it here, or it counts as unknown."""
    from server.app import _pages  # what it builds is asked for its routes, and for nothing else
    from server.execution import Executions
    from server.graphql_socket import GraphQLOverSocket

    door = make_running_server().door
    executions = Executions(door.schema, door.make_context)
    sockets = GraphQLOverSocket(executions, door.gate, door.persisted, door.quotas)
    app: object = _pages(door, executions, sockets)
    while not hasattr(app, "routes"):
        app = getattr(app, "app", None) or app._app  # type: ignore[attr-defined]  # middleware
    paths = {route.path for route in app.routes}
    assert paths == {route_of(path).replace("{name}", "{name:path}") for path in paths}


async def test_operations_are_counted_by_kind_and_result_and_only_known_names(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    folder = shipped_folder()
    assert folder is not None
    known = next(one for one in read_operations(folder) if one.name == "ProviderModels")
    by_id = {"documentId": known.id, "variables": {"slug": "nobody"}}
    own = [{"query": f"query Chosen{number} {{ __typename }}"} for number in range(3)]
    broken = [{"query": "{ nothing }"}, {"query": "{"}, {"documentId": "sha256:unknown"}]
    async with aiohttp.ClientSession(headers=world.bearer) as session:
        for body in (by_id, *own, *broken, {"query": own[0]["query"], "documentId": "x"}):
            async with session.post(f"{world.url}/graphql", json=body) as answer:
                await answer.read()
        events = {"Accept": "text/event-stream"}
        subscription = {"query": "subscription { providerChanged { kind } }"}
        url = f"{world.url}/graphql"
        async with session.post(url, json=subscription, headers=events) as stream:
            await stream.content.readline()
            open_now = await scraped(world)
    async with connect(
        f"{world.url}/graphql".replace("http", "ws"),
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers=world.bearer,
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        for number, body in enumerate((by_id, *own, *broken)):
            await socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": body}))
            while json.loads(await socket.recv())["type"] not in {"complete", "error"}:
                pass
        assert (await scraped(world)).value("trunkline_websockets_open") == 1

    assert open_now.value("trunkline_event_streams_open") == 1
    assert open_now.value("trunkline_subscriptions_open") == 1
    async with asyncio.timeout(20):
        while (found := await scraped(world)).value("trunkline_subscriptions_open"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    name = "trunkline_graphql_operations_total"
    assert set(found.labels(name, "operation")) == {"", "ProviderModels"}
    assert found.value(name, kind="query", operation="ProviderModels", result="completed") == 2
    assert found.value(name, kind="query", operation="", result="completed") == 6
    assert found.value(name, kind="query", operation="", result="refused") == 2
    assert found.value(name, kind="unknown", operation="", result="refused") == 5
    assert found.value(name, kind="subscription", operation="", result="cancelled") == 1
    assert found.total("trunkline_websockets_ended_total") == 1
    requests = "trunkline_http_request_seconds_count"
    assert found.total(requests, route="/graphql (event stream)") == 1


async def test_every_metric_is_in_the_documentation(sqlite_world: World) -> None:
    documented = (ROOT / "docs" / "metrics.md").read_text()
    found = await scraped(sqlite_world, "text/plain")
    for name in {one.name for one in found.samples}:
        assert f"`{re.sub('_(bucket|count|sum)$', '', name)}`" in documented
