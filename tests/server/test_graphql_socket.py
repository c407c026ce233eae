"""graphql-transport-ws over a real server: every close code with its reason."""

import asyncio
import base64
import contextlib
import json
import os
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.conversation import MOST_OPERATIONS
from server.graphql_socket import SUBPROTOCOL, GraphQLOverSocket


async def said(connection: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(connection.recv(), 30))


async def say(connection: ClientConnection, message: object) -> None:
    await connection.send(json.dumps(message))


async def closed(connection: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012  # whatever comes before the end
        while True:
            await asyncio.wait_for(connection.recv(), 30)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


async def until(condition: Any) -> None:
    """Let the server's thread go on until something is so."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be so")


def subscribe(operation_id: object, query: object, **more: object) -> dict[str, object]:
    return {"id": operation_id, "type": "subscribe", "payload": {"query": query, **more}}


async def test_a_query_and_its_end(initialized: Any) -> None:
    async with await initialized() as connection:
        await say(connection, subscribe("1", "{ hello }"))
        assert await said(connection) == {
            "id": "1", "type": "next", "payload": {"data": {"hello": "hello world"}}
        }  # fmt: skip
        assert await said(connection) == {"id": "1", "type": "complete"}
        await say(connection, subscribe("1", "mutation { bump }"))
        assert (await said(connection))["type"] == "next"


async def test_a_subscription_and_its_end(initialized: Any) -> None:
    async with await initialized() as connection:
        await say(connection, subscribe("a", "subscription S { count(to: 2) }"))
        assert [await said(connection) for _ in range(3)] == [
            {"id": "a", "type": "next", "payload": {"data": {"count": 0}}},
            {"id": "a", "type": "next", "payload": {"data": {"count": 1}}},
            {"id": "a", "type": "complete"},
        ]


async def test_complete_ends_the_resolver_and_frees_the_id(server: Any, initialized: Any) -> None:
    async with await initialized() as connection:
        await say(connection, subscribe("a", "subscription { forever }"))
        assert (await said(connection))["type"] == "next"
        assert server.witness.open_streams == 1
        await say(connection, {"id": "a", "type": "complete"})
        await say(connection, subscribe("a", "{ hello }"))
        assert (await said(connection))["payload"] == {"data": {"hello": "hello world"}}
        await until(lambda: server.witness.open_streams == 0)


async def test_leaving_ends_every_resolver(server: Any, initialized: Any) -> None:
    connection = await initialized()
    for operation_id in "abc":
        await say(connection, subscribe(operation_id, "subscription { forever }"))
        await said(connection)
    assert server.witness.open_streams == 3
    connection.transport.abort()
    await until(lambda: server.witness.open_streams == 0)


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("{", {}),
        ("", {}),
        ("{ nothing }", {}),
        ("query A { hello } query B { hello }", {}),
        ("query A { hello }", {"operationName": "B"}),
        ("query ($n: String!) { hello(name: $n) }", {"variables": {"n": 1}}),
        ("subscription { count }", {}),
        ("subscription { refuses }", {}),
        ("{" * 5_000, {}),
    ],
)
async def test_a_refused_operation_is_an_error_and_the_socket_stays(
    initialized: Any, query: str, more: dict[str, object]
) -> None:
    async with await initialized() as connection:
        await say(connection, subscribe("1", query, **more))
        answer = await said(connection)
        assert (answer["id"], answer["type"]) == ("1", "error")
        assert answer["payload"][0]["message"]
        assert answer["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        await say(connection, subscribe("1", "{ hello }"))
        assert (await said(connection))["type"] == "next"


async def test_a_subscription_that_breaks_ends_with_an_error_that_hides_why(
    initialized: Any,
) -> None:
    async with await initialized() as connection:
        await say(connection, subscribe("1", "subscription { breaks }"))
        assert (await said(connection))["type"] == "next"
        answer = await said(connection)
        assert answer["type"] == "error"
        assert answer["payload"][0]["extensions"]["code"] == "INTERNAL"
        assert "secret" not in json.dumps(answer)


async def test_a_failed_field_is_a_next(initialized: Any) -> None:
    async with await initialized() as connection:
        await say(connection, subscribe("1", "{ fails hello }"))
        answer = await said(connection)
        assert answer["type"] == "next"
        assert answer["payload"]["data"] == {"fails": None, "hello": "hello world"}
        assert (await said(connection))["type"] == "complete"


BAD_FRAMES: list[str | bytes] = [
    "[]", '"x"', "null", "1", "true", "", " ", "x", "{", "NaN", "{}", "[" * 100_000,
    '{"type": null}', '{"type": 1}', '{"type": "nonsense"}', '{"type": "connection_ack"}',
    '{"type": ["ping"]}', '{"type": "start", "id": "1", "payload": {"query": "{ hello }"}}',
    '{"type": "ping", "payload": "x"}', '{"type": "pong", "payload": []}',
    '{"type": "subscribe"}', '{"type": "subscribe", "id": "1"}',
    '{"type": "subscribe", "id": "1", "payload": "x"}',
    '{"type": "subscribe", "id": "1", "payload": null}',
    '{"type": "subscribe", "id": "1", "payload": []}',
    '{"type": "subscribe", "id": "1", "payload": {}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "variables": []}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "variables": "x"}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "operationName": 1}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "extensions": []}}',
    '{"type": "subscribe", "id": "", "payload": {"query": "{ hello }"}}',
    '{"type": "subscribe", "id": ["1"], "payload": {"query": "{ hello }"}}',
    '{"type": "subscribe", "id": {}, "payload": {"query": "{ hello }"}}',
    '{"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}}',
    '{"type": "subscribe", "id": null, "payload": {"query": "{ hello }"}}',
    '{"type": "subscribe", "id": "%s", "payload": {"query": "{ hello }"}}' % ("x" * 1_000),
    '{"type": "subscribe", "id": "\\ud800", "payload": {"query": "{ hello }"}}',
    '{"type": "complete"}', '{"type": "complete", "id": []}', '{"type": "complete", "id": ""}',
    '{"type": "ping", "payload": NaN}', b"binary", b"", b'{"type": "ping"}',
]  # fmt: skip


@pytest.mark.parametrize("frame", BAD_FRAMES, ids=lambda frame: repr(frame[:60]))
async def test_a_frame_that_is_no_message_closes_with_4400(
    initialized: Any, frame: str | bytes
) -> None:
    async with await initialized() as connection:
        await connection.send(frame)
        code, reason = await closed(connection)
        assert code == 4400
        assert reason.startswith("Invalid message: ")


@pytest.mark.parametrize("frame", ['"x"', "[]", "null", '{"type": "x"}', b"\x00"])
async def test_the_same_before_init(server: Any, frame: str | bytes) -> None:
    async with server.socket() as connection:
        await connection.send(frame)
        assert (await closed(connection))[0] == 4400


async def test_a_bad_init_payload_closes_with_4400(server: Any) -> None:
    async with server.socket() as connection:
        await connection.send('{"type": "connection_init", "payload": "Bearer x"}')
        assert await closed(connection) == (4400, "Invalid message: `payload` must be an object")


async def test_a_message_past_the_limit_closes_with_1009(initialized: Any) -> None:
    async with await initialized() as connection:
        await say(connection, subscribe("1", "{ hello }", variables={"pad": "x" * 300_000}))
        assert (await closed(connection))[0] == 1009


async def test_subscribe_before_init_closes_with_4401(server: Any) -> None:
    async with server.socket(additional_headers=server.bearer) as connection:
        await say(connection, subscribe("1", "{ hello }"))
        assert await closed(connection) == (4401, "Unauthorized: send connection_init first")


async def test_no_init_in_time_closes_with_4408(make_running_server: Any) -> None:
    impatient = make_running_server(init_seconds=0.05)
    async with impatient.socket() as connection:
        assert await closed(connection) == (4408, "Connection initialisation timeout")


async def test_a_second_init_closes_with_4429(initialized: Any) -> None:
    async with await initialized() as connection:
        await connection.send('{"type": "connection_init"}')
        assert await closed(connection) == (4429, "Too many initialisation requests")


async def test_an_id_in_use_closes_with_4409(server: Any, initialized: Any) -> None:
    async with await initialized() as connection:
        await say(connection, subscribe("1", "subscription { forever }"))
        await said(connection)
        await say(connection, subscribe("1", "{ hello }"))
        assert await closed(connection) == (4409, "Subscriber for 1 already exists")
    await until(lambda: server.witness.open_streams == 0)


async def test_a_reason_never_outgrows_its_frame(initialized: Any) -> None:
    async with await initialized() as connection:
        for _ in range(2):
            await say(connection, subscribe("é" * 200, "subscription { forever }"))
        code, reason = await closed(connection)
        assert code == 4409
        assert len(reason.encode()) <= 123


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic test-admin-token-0123456789"},
        {"Authorization": ["Bearer test-admin-token-0123456789"]},
        {"Authorization": None, "other": 1},
        {"authorization": "Bearer ünknown"},
    ],
)
async def test_who_shows_no_valid_token_is_closed_with_4403(server: Any, payload: object) -> None:
    async with server.socket() as connection:
        await say(connection, {"type": "connection_init", "payload": payload})
        code, reason = await closed(connection)
        assert code == 4403
        assert "UNAUTHENTICATED" in reason


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
async def test_a_token_in_the_payload_lets_in(server: Any, name: str) -> None:
    async with server.socket() as connection:
        payload = {name: f"Bearer {server.token}"}
        await say(connection, {"type": "connection_init", "payload": payload})
        assert await said(connection) == {"type": "connection_ack"}
        await say(connection, subscribe("1", "{ viewer }"))
        assert (await said(connection))["payload"] == {"data": {"viewer": "admin"}}


async def test_a_token_in_the_handshake_lets_in(server: Any) -> None:
    async with server.socket(additional_headers=server.bearer) as connection:
        await connection.send('{"type": "connection_init"}')
        assert await said(connection) == {"type": "connection_ack"}


async def test_a_wrong_token_in_the_handshake_is_a_401(server: Any) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await server.socket(additional_headers={"Authorization": "Bearer wrong"})
    assert caught.value.response.status_code == 401
    assert json.loads(caught.value.response.body)["errors"][0]["extensions"]["code"] == (
        "UNAUTHENTICATED"
    )


@pytest.mark.parametrize("offered", [["graphql-ws"], ["other", "graphql-ws"], None])
async def test_other_subprotocols_close_with_4406(server: Any, offered: Any) -> None:
    async with server.socket(subprotocols=offered) as connection:
        code, reason = await closed(connection)
        assert code == 4406
        assert reason == "Subprotocol not acceptable: use graphql-transport-ws"


async def test_ping_is_answered_with_its_payload(server: Any, initialized: Any) -> None:
    async with await initialized() as connection:
        await connection.send('{"type": "ping"}')
        assert await said(connection) == {"type": "pong"}
        await connection.send('{"type": "ping", "payload": {"at": 1}}')
        assert await said(connection) == {"type": "pong", "payload": {"at": 1}}
        await connection.send('{"type": "pong"}')
        await connection.send('{"type": "complete", "id": "never"}')
        await connection.send('{"type": "ping"}')
        assert await said(connection) == {"type": "pong"}


async def test_operations_on_a_socket_are_limited(server: Any, initialized: Any) -> None:
    async with await initialized() as connection:
        for number in range(MOST_OPERATIONS):
            await say(connection, subscribe(str(number), "subscription { forever }"))
            await said(connection)
        await say(connection, subscribe("more", "{ hello }"))
        answer = await said(connection)
        assert (answer["id"], answer["type"]) == ("more", "error")
        assert answer["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        await say(connection, {"id": "0", "type": "complete"})
        await until(lambda: server.witness.open_streams == MOST_OPERATIONS - 1)
        await say(connection, subscribe("more", "{ hello }"))
        assert (await said(connection))["type"] == "next"
    await until(lambda: server.witness.open_streams == 0)


async def test_sockets_are_limited_before_they_are_accepted(make_running_server: Any) -> None:
    small = make_running_server(most_sockets=1)
    async with small.socket():
        with pytest.raises(InvalidStatus) as caught:
            await small.socket()
        assert caught.value.response.status_code == 503
    for _ in range(100):
        try:
            async with small.socket():
                break
        except InvalidStatus:
            await asyncio.sleep(0.01)
    else:
        raise AssertionError("a socket that closed makes room for another")


async def test_sockets_that_come_at_once_are_limited_too() -> None:
    known = asyncio.Event()

    class SlowGate:
        async def recognize(self, _connection: object) -> None:
            await known.wait()

    said: list[tuple[str, int | None]] = []

    async def send(message: Any) -> None:
        said.append((message["type"], message.get("status")))
        if message["type"] == "websocket.accept":
            await asyncio.Event().wait()

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    parts: Any = (None, SlowGate(), None, None)
    sockets = GraphQLOverSocket(*parts, most_sockets=2)
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    serving = [
        asyncio.create_task(
            sockets(
                {
                    "type": "websocket",
                    "subprotocols": [SUBPROTOCOL],
                    "extensions": extensions,
                    "state": {"request_id": str(number)},
                },
                receive,
                send,
            )
        )
        for number in range(5)
    ]
    await asyncio.sleep(0)
    known.set()
    async with asyncio.timeout(30):
        left = set(serving)
        while len(left) > 2:
            _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    assert sockets.open == 2
    assert said.count(("websocket.accept", None)) == 2
    assert said.count(("websocket.http.response.start", 503)) == 3
    for one in serving:
        one.cancel()
    await asyncio.gather(*serving, return_exceptions=True)
    assert sockets.open == 0


async def test_a_socket_elsewhere_is_a_404(server: Any) -> None:
    from websockets.asyncio.client import connect

    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://127.0.0.1:{server.port}/elsewhere", additional_headers=server.bearer)
    assert caught.value.response.status_code == 404


async def test_a_reader_that_stalls_stalls_its_subscription(server: Any) -> None:
    """The socket's buffers fill, then the resolver is asked for nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_024)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
        f"Authorization: Bearer {server.token}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    server.witness.sent = 0
    for message in ({"type": "connection_init"}, subscribe("1", "subscription { floods }")):
        text = json.dumps(message).encode()
        # A mask of zeros leaves the text as it is.
        writer.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
    await writer.drain()
    await until(lambda: server.witness.sent > 0)
    seen = -1
    while seen != server.witness.sent:
        seen = server.witness.sent
        await asyncio.sleep(0.2)
    # Kernel and transport hold some megabytes at most; the resolver could have sent thousands.
    assert seen * 100_000 < 20 * 2**20
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    await until(lambda: server.witness.open_streams == 0)
