"""Connections that take their time, or are too many: over real sockets, with small bounds."""

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from server.connections import ConnectionBounds, Connections
from server.http_protocol import LARGEST_HEAD
from tests.server.conftest import RunningServer, ServerMaker

SOON = 0.1
HEAD_SECONDS = 0.5
LONG = 200_000
PROTOCOL = Subprotocol("graphql-transport-ws")
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(make_running_server: ServerMaker) -> RunningServer:
    """Gives a head half a second, which a test has to begin one, too; but a next request takes its
    time.
    """
    return make_running_server(bounds=ConnectionBounds(HEAD_SECONDS, 600))


@pytest.fixture(scope="module")
def forgetful(make_running_server: ServerMaker) -> RunningServer:
    """Waits for no next request."""
    return make_running_server(bounds=ConnectionBounds(600, SOON))


@pytest.fixture(scope="module")
def patient(make_running_server: ServerMaker) -> RunningServer:
    """Would wait for longer than any test."""
    return make_running_server(bounds=ConnectionBounds(600, 600))


@pytest.fixture(scope="module")
def unheard(make_running_server: ServerMaker) -> RunningServer:
    """Waits for nobody who takes nothing of an answer."""
    return make_running_server(bounds=ConnectionBounds(600, 600, send_seconds=HEAD_SECONDS))


@contextlib.contextmanager
def opened(server: RunningServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        yield connection


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def said(answer: bytes) -> tuple[int, str]:
    """Status and message of an answer that the front door gives before it knows the request."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    [error] = json.loads(body)["errors"]
    return int(head.split(b" ")[1]), error["message"]


def answered(connection: socket.socket) -> None:
    """Ask, and read the answer."""
    connection.sendall(REQUEST)
    found = b""
    while not found.endswith(b"}"):
        found += connection.recv(65_536)
    assert found.startswith(b"HTTP/1.1 200")


def test_who_asks_nothing_is_closed_without_a_word(impatient: RunningServer) -> None:
    with opened(impatient) as connection:
        assert everything(connection) == b""


@pytest.mark.parametrize("before", [b"", REQUEST])
def test_a_head_that_trickles_in_gets_408(impatient: RunningServer, before: bytes) -> None:
    """However soon each byte follows the last, on a new connection and on a kept one."""
    with opened(impatient) as connection:
        if before:
            answered(connection)
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        connection.settimeout(0.01)
        found = b""
        for _ in range(1_000):
            try:
                found = connection.recv(65_536)
                break
            except TimeoutError:
                connection.sendall(b"a")
        connection.settimeout(10)
        found += everything(connection)
    status, message = said(found)
    assert (status, message) == (408, "the request's headers did not come within 0.5 s")


def test_a_kept_connection_is_closed_after_a_while(forgetful: RunningServer) -> None:
    with opened(forgetful) as connection:
        answered(connection)
        assert everything(connection) == b""


def test_who_takes_nothing_of_an_answer_is_closed(unheard: RunningServer) -> None:
    with opened(unheard) as connection, pytest.raises(ConnectionError):
        # One behind the other, until nobody's buffers take any more of the answers.
        connection.sendall(1_000 * long_request(unheard))
    answered_after(unheard)


def test_who_takes_some_of_it_now_and_then_gets_all(unheard: RunningServer) -> None:
    """Though it takes longer altogether than it may go without taking any."""
    answers = 100
    with opened(unheard) as connection, ThreadPoolExecutor(1) as beside:
        sending = beside.submit(connection.sendall, answers * long_request(unheard))
        taken = 0
        while taken < answers * LONG:
            time.sleep(0.01)
            part = connection.recv(200_000)
            assert part, "it was closed"
            taken += len(part)
        sending.result()


def long_request(server: RunningServer) -> bytes:
    """Its answer is as long as `LONG`."""
    body = json.dumps({"query": f'{{ hello(name: "{"x" * LONG}") }}'}).encode()
    return (
        "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def test_what_is_left_of_an_answered_request_keeps_nothing_open(impatient: RunningServer) -> None:
    """Here a body that nobody reads, sent a byte at a time."""
    with opened(impatient) as connection:
        connection.sendall(
            b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
        )
        with pytest.raises(ConnectionError):
            trickle(connection)


def trickle(connection: socket.socket) -> None:
    """Send a byte now and then, for longer than any test waits."""
    for _ in range(5_000):
        connection.sendall(b"a")
        time.sleep(0.002)
    pytest.fail("it was never closed")


def test_a_request_that_is_being_served_has_all_the_time_that_it_needs(
    impatient: RunningServer,
) -> None:
    """A head is bounded, not what follows; nor a websocket."""
    body = b'{"query": "subscription { forever }"}'
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {impatient.token}\r\n"
        "Accept: text/event-stream\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with (
        opened(impatient) as connection,
        connect(f"ws://127.0.0.1:{impatient.port}/graphql", subprotocols=[PROTOCOL]) as websocket,
    ):
        connection.sendall(head.encode() + body)
        found = b""
        while b'"forever"' not in found:
            found += connection.recv(65_536)
        connection.settimeout(2 * HEAD_SECONDS)
        try:
            while part := connection.recv(65_536):
                assert part.startswith(b":"), "only comments come"
            pytest.fail("it was closed")
        except TimeoutError:
            pass
        websocket.send('{"type": "ping"}')
        assert json.loads(websocket.recv(10)) == {"type": "pong"}


@pytest.mark.parametrize("serving", [False, True])
def test_a_head_has_a_largest_size(patient: RunningServer, *, serving: bool) -> None:
    """Also one that is sent behind a request which is still being served."""
    line = b"X-Large: " + b"a" * 8_000 + b"\r\n"
    with opened(patient) as connection:
        if serving:
            connection.sendall(
                b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                + f"Authorization: Bearer {patient.token}\r\n".encode()
                + b'Content-Length: 21\r\n\r\n{"query":"{ waits }"}'
                + b"GET / HTTP/1.1\r\n"
            )
        else:
            connection.sendall(b"GET / HTTP/1.1\r\n")
        sent, told = 0, b""
        with contextlib.suppress(ConnectionError):
            while sent < 100 * LARGEST_HEAD and not told:
                connection.sendall(line)
                sent += len(line)
                if select.select([connection], [], [], 0.01)[0]:
                    told = everything(connection)
        assert sent < 100 * LARGEST_HEAD
        if not serving:
            assert said(told) == (431, "the head of a request may have 64 KiB")
    answered_after(patient)


def answered_after(server: RunningServer) -> None:
    """Others are still served."""
    with opened(server) as connection:
        answered(connection)


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        (ConnectionBounds(most=2), "2 connections are open: come back in a moment"),
        (
            ConnectionBounds(most_of_address=2),
            "2 connections of your address are open: close one first",
        ),
    ],
)
def test_one_connection_too_many_is_told_so_and_room_comes_back(
    make_running_server: ServerMaker, bounds: ConnectionBounds, why: str
) -> None:
    """Websockets count too, for as long as they are open."""
    server = make_running_server(bounds=bounds)
    url = f"ws://127.0.0.1:{server.port}/graphql"
    with opened(server) as first:
        with connect(url, subprotocols=[PROTOCOL]):
            answered(first)
            for _ in range(3):
                with opened(server) as third:
                    third.sendall(REQUEST)
                    answer = everything(third)
                    assert said(answer) == (503, why)
                    assert b"retry-after: 1\r\n" in answer
        for _ in range(200):
            # The server hears of the end a moment later.
            with opened(server) as again, contextlib.suppress(ConnectionError):
                again.sendall(REQUEST)
                if again.recv(65_536).startswith(b"HTTP/1.1 200"):
                    break
        else:
            pytest.fail("no room came back")


def test_of_ipv6_a_network_counts_as_one_address() -> None:
    """One customer has 2^64 of them."""
    connections = Connections(ConnectionBounds(most_of_address=2))
    assert connections.enter("2001:db8::1") is None
    assert connections.enter("2001:db8::2") is None
    assert connections.enter("2001:db8::3") is not None
    assert connections.enter("2001:db8:0:1::1") is None
    assert connections.enter("::ffff:192.0.2.1") is None
    assert connections.enter("192.0.2.2") is None
    connections.leave("2001:db8::3")
    connections.leave("2001:db8::1")
    assert connections.enter("2001:db8::4") is None
