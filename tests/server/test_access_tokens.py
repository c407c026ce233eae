"""Access tokens at every way in but the gateway, and what ends with them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from db.vocabulary import AccessScope
from resolvers.context import OperationContext, Viewer
from schema.root import schema
from server.answers import Rejected
from server.app import FrontDoor
from server.serving import make_server
from server.sign_in import COOKIE, Gate
from server.wrong_tokens import MOST_ADDRESSES, MOST_WRONG, WINDOW, WrongTokens
from tests.conftest import SetClock
from trunkline.access.changes import TokenMade, create_token, revoke_token, rotate_token
from trunkline.access.inputs import NewAccessToken
from trunkline.services import Services

TOKEN = "admin-token-of-these-tests"
WRONG = "tl_" + "x" * 43
LIVE = {"query": "subscription { budgetChanged { kind } }"}
ASK = {"query": "{ serverInfo { version } }"}


@dataclass
class Served:
    """A server, and whoever asks it."""

    services: Services
    gate: Gate
    client: httpx2.AsyncClient
    port: int
    opened: list[ClientConnection] = field(default_factory=list)

    async def token(self, *scopes: AccessScope, name: str = "ci", **fields: Any) -> TokenMade:
        new = NewAccessToken(name=name, scopes=scopes, **fields)
        return await create_token(self.services, new)

    async def ask(self, text: str, body: object = ASK, **headers: str) -> httpx2.Response:
        return await self.client.post("/graphql", json=body, headers=bearer(text) | headers)

    async def watching(
        self, payload: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> ClientConnection:
        """A socket with a subscription whose first result has come."""
        connection = await connect(
            f"ws://127.0.0.1:{self.port}/graphql",
            subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
            additional_headers=headers,
        )
        self.opened.append(connection)
        await connection.send(json.dumps({"type": "connection_init", "payload": payload or {}}))
        assert json.loads(await connection.recv()) == {"type": "connection_ack"}
        await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": LIVE}))
        assert json.loads(await connection.recv())["type"] == "next"
        return connection


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def code_of(response: httpx2.Response) -> str:
    return str(response.json()["errors"][0]["extensions"]["code"])


async def closed(connection: ClientConnection) -> int | None:
    """The code that it was closed with, after whatever else came."""
    async with asyncio.timeout(20):
        with suppress(ConnectionClosed):
            async for _ in connection:
                pass
        await connection.wait_closed()
    return connection.close_code


async def stays(connection: ClientConnection) -> None:
    await connection.send('{"type": "ping"}')
    async with asyncio.timeout(20):
        while json.loads(await connection.recv())["type"] != "pong":
            pass


@pytest.fixture
async def served(services: Services) -> AsyncIterator[Served]:
    async def check_ready() -> None: ...

    gate = Gate(services.database, services.clock, TOKEN, services.events)
    door = FrontDoor(
        schema=schema,
        make_context=lambda viewer, request_id: OperationContext(services, viewer, request_id),
        gate=gate,
        check_ready=check_ready,
    )
    ready = asyncio.Event()
    server = make_server(door, ready.set)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        await ready.wait()
        port = listener.getsockname()[1]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            made = Served(services, gate, client, port)
            yield made
            for connection in made.opened:
                await connection.close()
        server.should_exit = True
        await serving
    await gate.drain()


async def test_a_token_may_do_what_its_scopes_say(served: Served) -> None:
    reader = await served.token(AccessScope.READ)
    assert "data" in (await served.ask(reader.text)).json()
    change = {"query": 'mutation { deleteBudget(input: { id: "x" }) { userErrors { code } } }'}
    refused = await served.ask(reader.text, change)
    (error,) = refused.json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "CONFIGURE" in error["message"]
    assert "READ" in error["message"]
    assert error["extensions"]["requestId"]
    allowed = await served.token(AccessScope.CONFIGURE, name="terraform")
    answer = (await served.ask(allowed.text, change)).json()
    assert answer["data"]["deleteBudget"]["userErrors"] == [{"code": "NOT_FOUND"}]


Asking = Callable[[httpx2.AsyncClient, dict[str, str]], Awaitable[httpx2.Response]]
NDJSON = {"Content-Type": "application/x-ndjson"}
ROUTES: list[tuple[AccessScope, Asking]] = [
    (AccessScope.READ, lambda client, sent: client.get("/schema.graphql", headers=sent)),
    (AccessScope.READ, lambda client, sent: client.get("/export/usage", headers=sent)),
    (AccessScope.ADMIN, lambda client, sent: client.get("/export/audit", headers=sent)),
    (
        AccessScope.INGEST,
        lambda client, sent: client.post("/import/usage", content=b"", headers=sent | NDJSON),
    ),
]


@pytest.mark.parametrize(("scope", "asking"), ROUTES, ids=["schema", "export", "audit", "import"])
async def test_each_route_takes_its_scope(
    served: Served, scope: AccessScope, asking: Asking
) -> None:
    allowed = await served.token(scope)
    assert (await asking(served.client, bearer(allowed.text))).status_code == 200
    including = {scope, AccessScope.ADMIN}
    if scope is AccessScope.READ:
        including.add(AccessScope.CONFIGURE)
    others = [one for one in AccessScope if one not in including]
    other = await served.token(*others, name="other")
    refused = await asking(served.client, bearer(other.text))
    assert (refused.status_code, code_of(refused)) == (403, "FORBIDDEN")
    assert scope.value in refused.json()["errors"][0]["message"]
    assert (await asking(served.client, bearer(TOKEN))).status_code == 200


async def test_a_revoked_token_is_refused_at_once(served: Served) -> None:
    made = await served.token(AccessScope.READ)
    assert (await served.ask(made.text)).status_code == 200
    await revoke_token(served.services, made.token.id)
    refused = await served.ask(made.text)
    assert (refused.status_code, code_of(refused)) == (401, "UNAUTHENTICATED")
    assert made.text not in refused.text


async def test_sockets_of_a_revoked_token_are_closed_with_4403(served: Served) -> None:
    made = await served.token(AccessScope.READ)
    other = await served.token(AccessScope.READ, name="other")
    by_header = await served.watching(headers=bearer(made.text))
    by_init = await served.watching(bearer(made.text))
    replaced = await served.watching(bearer(other.text), bearer(made.text))
    admin = await served.watching(bearer(TOKEN), bearer(made.text))
    await revoke_token(served.services, made.token.id)
    assert await closed(by_header) == 4403
    assert await closed(by_init) == 4403
    await stays(replaced)
    await stays(admin)
    await revoke_token(served.services, other.token.id)
    assert await closed(replaced) == 4403
    await stays(admin)


async def test_sockets_of_a_token_that_expires_are_closed(served: Served, clock: SetClock) -> None:
    made = await served.token(AccessScope.READ, expires_at=clock() + timedelta(hours=1))
    connection = await served.watching(bearer(made.text))
    clock.advance(hours=1)
    assert await closed(connection) == 4403
    assert (await served.ask(made.text)).status_code == 401


async def test_sockets_of_a_rotated_token_are_closed_when_its_grace_is_over(
    served: Served, clock: SetClock
) -> None:
    first = await served.token(AccessScope.READ)
    second = await rotate_token(served.services, first.token.id, 60)
    with_first = await served.watching(bearer(first.text))
    with_second = await served.watching(bearer(second.text))
    clock.advance(seconds=60)
    assert await closed(with_first) == 4403
    await stays(with_second)


async def test_an_event_stream_of_a_revoked_token_is_ended(served: Served) -> None:
    made = await served.token(AccessScope.READ)
    sent = bearer(made.text) | {"Accept": "text/event-stream"}
    async with served.client.stream("POST", "/graphql", headers=sent, json=LIVE) as response:
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data: {"):
                break
        await revoke_token(served.services, made.token.id)
        async with asyncio.timeout(20):
            rest = [line async for line in lines]
    assert "event: complete" not in rest


async def test_a_subscription_that_is_forbidden_says_so(served: Served) -> None:
    made = await served.token(AccessScope.INGEST)
    connection = await connect(
        f"ws://127.0.0.1:{served.port}/graphql",
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
    )
    served.opened.append(connection)
    await connection.send(json.dumps({"type": "connection_init", "payload": bearer(made.text)}))
    await connection.recv()
    await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": LIVE}))
    answer = json.dumps(json.loads(await connection.recv()))
    assert '"FORBIDDEN"' in answer
    assert "READ" in answer
    await stays(connection)


async def session_of(served: Served, text: str) -> dict[str, str]:
    begun = await served.client.post("/session", json={"token": text})
    assert begun.status_code == 204, begun.text
    cookie = begun.cookies[COOKIE]
    served.client.cookies.clear()
    return {"Cookie": f"{COOKIE}={cookie}", "Origin": f"http://127.0.0.1:{served.port}"}


async def test_a_token_is_exchanged_for_a_session_of_the_same_rights(served: Served) -> None:
    made = await served.token(AccessScope.READ)
    own = await session_of(served, made.text)
    assert "data" in (await served.client.post("/graphql", json=ASK, headers=own)).json()
    tokens = {"query": "{ accessTokens { nodes { name } } }"}
    refused = await served.client.post("/graphql", json=tokens, headers=own)
    assert code_of(refused) == "FORBIDDEN"
    admin = await session_of(served, TOKEN)
    answer = await served.client.post("/graphql", json=tokens, headers=admin)
    assert answer.json()["data"]["accessTokens"]["nodes"] == [{"name": "ci"}]


async def test_a_session_ends_with_its_token(served: Served) -> None:
    made = await served.token(AccessScope.READ)
    own = await session_of(served, made.text)
    connection = await served.watching(headers=own)
    await revoke_token(served.services, made.token.id)
    assert await closed(connection) == 4403
    ended = await served.client.post("/graphql", json=ASK, headers=own)
    assert (ended.status_code, code_of(ended)) == (401, "UNAUTHENTICATED")


async def test_a_session_lasts_no_longer_than_its_token(served: Served, clock: SetClock) -> None:
    made = await served.token(AccessScope.READ, expires_at=clock() + timedelta(hours=1))
    own = await session_of(served, made.text)
    clock.advance(hours=1)
    assert (await served.client.post("/graphql", json=ASK, headers=own)).status_code == 401


@pytest.mark.parametrize(
    ("body", "expected"),
    [({"token": WRONG}, 401), ({"token": ""}, 400), ({"token": 1}, 400),
     ({"token": TOKEN, "code": "x"}, 400)],
)  # fmt: skip
async def test_a_bad_token_begins_no_session(served: Served, body: object, expected: int) -> None:
    refused = await served.client.post("/session", json=body)
    assert refused.status_code == expected
    assert "set-cookie" not in refused.headers


async def test_wrong_tokens_are_slowed_and_valid_ones_are_not(
    served: Served, clock: SetClock
) -> None:
    made = await served.token(AccessScope.READ)
    for _ in range(MOST_WRONG):
        assert (await served.ask(WRONG)).status_code == 401
    clock.advance(seconds=20)
    slowed = await served.ask("anything else")
    assert (slowed.status_code, code_of(slowed)) == (429, "RATE_LIMITED")
    assert slowed.headers["retry-after"] == "40"
    session = await served.client.post("/session", json={"code": "guessed"})
    assert session.status_code == 429
    with pytest.raises(InvalidStatus) as caught:
        await served.watching(headers=bearer(WRONG))
    assert caught.value.response.status_code == 429
    assert (await served.ask(made.text)).status_code == 200
    assert (await served.ask(TOKEN)).status_code == 200
    assert (await session_of(served, TOKEN))["Cookie"]
    clock.advance(seconds=40)
    assert (await served.ask(WRONG)).status_code == 401


async def test_a_wrong_token_in_init_closes_the_socket(served: Served) -> None:
    for _ in range(MOST_WRONG):
        await served.ask(WRONG)
    connection = await connect(
        f"ws://127.0.0.1:{served.port}/graphql",
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
    )
    await connection.send(json.dumps({"type": "connection_init", "payload": bearer(WRONG)}))
    assert await closed(connection) == 4403
    assert "RATE_LIMITED" in str(connection.close_reason)


class From:
    """A connection from somewhere."""

    def __init__(self, host: str) -> None:
        self.client = type("Address", (), {"host": host})()


def test_addresses_are_counted_apart_and_not_without_end(clock: SetClock) -> None:
    wrong = WrongTokens(clock)

    def is_slowed(host: str) -> bool:
        try:
            wrong.note(From(host))  # type: ignore[arg-type]  # all of a connection that is read
        except Rejected:
            return True
        return False

    assert [is_slowed("2001:db8::1") for _ in range(MOST_WRONG + 1)] == [False] * MOST_WRONG + [
        True
    ]
    assert is_slowed("2001:db8::ffff"), "one customer has the whole network"
    assert not is_slowed("2001:db8:1::1")
    assert not is_slowed("192.0.2.1")
    for number in range(MOST_ADDRESSES + 10):
        is_slowed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(wrong) == MOST_ADDRESSES
    clock.advance(seconds=WINDOW.total_seconds())
    assert not is_slowed("2001:db8::1")


async def test_a_token_limited_to_agents_records_for_these_alone(served: Served) -> None:
    made = await served.token(AccessScope.INGEST, agents=["support", "search"])

    def event(agent: str | None) -> dict[str, Any]:
        named = {} if agent is None else {"agent": agent}
        return {"idempotencyKey": f"{agent}", "providerSlug": "p", "modelName": "m", **named}

    record = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
      recorded userErrors { code field message } } }"""
    body = {"query": record, "variables": {"events": [event("support"), event("billing")]}}
    answer = (await served.ask(made.text, body)).json()["data"]["recordUsage"]
    assert answer["recorded"] == 0
    wrong = [one for one in answer["userErrors"] if one["field"][2:] == ["agent"]]
    assert [(one["code"], one["field"]) for one in wrong] == [("INVALID", ["events", "1", "agent"])]
    assert "'support', 'search'" in wrong[0]["message"]
    content = "".join(json.dumps(event(agent)) + "\n" for agent in ("billing", None))
    imported = await served.client.post(
        "/import/usage", content=content, headers=bearer(made.text) | NDJSON
    )
    problems = [
        [problem["field"] for problem in line["problems"] if problem["field"] == ["agent"]]
        for line in imported.json()["badLines"]
    ]
    assert problems == [[["agent"]], [["agent"]]]


async def test_results_are_shared_by_those_of_one_token_alone() -> None:
    admin, token, namesake = (
        Viewer("admin"),
        Viewer("admin", token_id=1),
        Viewer("admin", token_id=2),
    )
    assert len({admin.audience, token.audience, namesake.audience}) == 3
    assert Viewer("renamed", token_id=1).audience == token.audience
