"""What one viewer may ask for: by a clock that is set, then over a real server."""

import json
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from resolvers.context import Viewer
from server.quotas import Quotas
from tests.server.conftest import TOKEN, RunningServer, ServerMaker
from trunkline.errors import RateLimited

ANN, BOB = Viewer("admin", b"ann"), Viewer("admin", b"bob")


class Timer:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def taken(quotas: Quotas, viewer: Viewer = ANN, most: int = 1_000) -> int:
    """How many operations are taken in a row."""
    for count in range(most):
        try:
            quotas.take_operation(viewer)
        except RateLimited:
            return count
    return most


def test_a_bucket_holds_ten_seconds_and_fills_at_its_rate() -> None:
    timer = Timer()
    quotas = Quotas(operations_per_second=2, timer=timer)
    assert taken(quotas) == 20
    timer.now += 1.5
    assert taken(quotas) == 3
    timer.now += 1_000
    assert taken(quotas) == 20


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    timer = Timer()
    quotas = Quotas(operations_per_second=0.5, timer=timer)
    taken(quotas)
    with pytest.raises(RateLimited, match=r"more than 0\.5 operations a second.* in 2 s") as error:
        quotas.take_operation(ANN)
    timer.now += error.value.retry_after_seconds
    quotas.take_operation(ANN)


def test_a_slow_rate_still_lets_one_through() -> None:
    quotas = Quotas(operations_per_second=0.01, timer=Timer())
    assert taken(quotas) == 1


def test_each_viewer_has_a_bucket_of_its_own() -> None:
    quotas = Quotas(operations_per_second=1, timer=Timer())
    assert (taken(quotas, ANN), taken(quotas, BOB), taken(quotas, ANN)) == (10, 10, 0)


def test_buckets_of_who_left_are_dropped_and_others_stay() -> None:
    timer = Timer()
    quotas = Quotas(operations_per_second=1, timer=timer)
    for number in range(5_000):
        quotas.take_operation(Viewer("admin", str(number).encode()))
        timer.now += 0.011
    assert quotas._operations is not None
    assert len(quotas._operations) <= 1_000
    last = Viewer("admin", b"4999")
    assert taken(quotas, last) == 9


def test_no_rate_is_limited_unless_it_is_set() -> None:
    assert taken(Quotas()) == 1_000


def test_what_is_open_is_counted_until_it_is_closed() -> None:
    quotas = Quotas(most_sockets=2, most_streams=1)
    with quotas.socket(ANN), quotas.socket(ANN), quotas.stream(ANN), quotas.socket(BOB):
        with pytest.raises(RateLimited, match="2 of your sockets are open"), ExitStack() as held:
            held.enter_context(quotas.socket(ANN))
        with pytest.raises(RateLimited, match="1 of your subscriptions"), ExitStack() as held:
            held.enter_context(quotas.stream(ANN))
    with quotas.socket(ANN), quotas.stream(ANN):
        pass


@pytest.fixture(scope="module")
def slow_server(make_running_server: ServerMaker) -> RunningServer:
    """Takes one operation from each viewer, and the next in 1,000 seconds."""
    return make_running_server(quotas=Quotas(operations_per_second=0.001))


@pytest.fixture
def narrow_server(make_running_server: ServerMaker) -> RunningServer:
    return make_running_server(quotas=Quotas(most_sockets=2, most_streams=2))


async def signed_in(server: RunningServer) -> ClientConnection:
    connection = await server.socket()
    token = {"Authorization": f"Bearer {TOKEN}"}
    await connection.send(json.dumps({"type": "connection_init", "payload": token}))
    return connection


async def subscribe(connection: ClientConnection, operation_id: str, query: str) -> dict[str, Any]:
    message = {"id": operation_id, "type": "subscribe", "payload": {"query": query}}
    await connection.send(json.dumps(message))
    said: dict[str, Any] = json.loads(await connection.recv())
    return said


async def test_too_many_operations_get_429_and_when_to_come_back(
    slow_server: RunningServer,
) -> None:
    assert slow_server.post({"query": "{ hello }"}).status_code == 200
    answer = slow_server.post({"query": "{ hello }"})
    assert answer.status_code == 429
    assert 990 < int(answer.headers["Retry-After"]) <= 1_000
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert "send it again in" in error["message"]
    # The same viewer, on a socket.
    connection = await signed_in(slow_server)
    assert "connection_ack" in str(await connection.recv())
    said = await subscribe(connection, "1", "{ hello }")
    assert said["type"] == "error"
    (error,) = said["payload"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert 990 < error["extensions"]["retryAfterSeconds"] <= 1_000
    await connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/export/usage", None),
        ("GET", "/export/audit", None),
        ("POST", "/import/usage", None),
        ("GET", "/schema.graphql", None),
        ("GET", "/operations.json", None),
        ("POST", "/session", {"token": TOKEN}),
    ],
)
def test_every_route_takes_from_the_same_bucket(
    slow_server: RunningServer, method: str, path: str, body: object
) -> None:
    slow_server.post({"query": "{ hello }"})
    answer = httpx2.request(
        method, f"{slow_server.url}{path}", json=body, headers=slow_server.bearer
    )
    assert answer.status_code == 429
    assert 900 < int(answer.headers["Retry-After"]) <= 1_000
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"


async def test_a_viewers_sockets_are_bounded_and_closed_so_that_clients_come_back(
    narrow_server: RunningServer,
) -> None:
    first, second = await signed_in(narrow_server), await signed_in(narrow_server)
    assert "connection_ack" in str(await first.recv())
    assert "connection_ack" in str(await second.recv())
    third = await signed_in(narrow_server)
    with pytest.raises(ConnectionClosed) as closed:
        await third.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    assert "2 of your sockets are open" in closed.value.rcvd.reason
    await first.close()
    fourth = await signed_in(narrow_server)
    assert "connection_ack" in str(await fourth.recv())
    await second.close()
    await fourth.close()


async def test_a_viewers_subscriptions_are_bounded_wherever_they_run(
    narrow_server: RunningServer,
) -> None:
    one, other = await signed_in(narrow_server), await signed_in(narrow_server)
    await one.recv()
    await other.recv()
    forever = "subscription { forever }"
    assert (await subscribe(one, "1", forever))["type"] == "next"
    stream = {"Accept": "text/event-stream"} | narrow_server.bearer
    async with httpx2.AsyncClient() as client:
        async with client.stream(
            "POST", f"{narrow_server.url}/graphql", json={"query": forever}, headers=stream
        ) as streaming:
            assert streaming.status_code == 200
            refused = await subscribe(other, "1", forever)
            assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            assert "2 of your subscriptions run" in refused["payload"][0]["message"]
            # A query is none.
            assert (await subscribe(other, "2", "{ hello }"))["type"] == "next"
            assert json.loads(await other.recv())["type"] == "complete"
            answer = await client.post(
                f"{narrow_server.url}/graphql", json={"query": forever}, headers=stream
            )
            assert answer.status_code == 429
            assert answer.headers["Retry-After"] == "5"
        # What ends makes room.
        await one.send(json.dumps({"id": "1", "type": "complete"}))
        await one.close()
    assert await _again(narrow_server, other, forever) == "next"
    await other.close()


async def _again(server: RunningServer, connection: ClientConnection, query: str) -> str:
    """The server hears of what was closed a moment later."""
    for attempt in range(200):
        said = await subscribe(connection, f"again-{attempt}", query)
        if said["type"] == "next":
            return "next"
    return str(said)
