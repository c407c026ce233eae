"""What a client gets that answers no ping."""

import asyncio
import socket
from typing import Any

import uvicorn

from server.socket_protocol import SocketProtocol


async def accept(_scope: Any, receive: Any, send: Any) -> None:
    """Accept a socket, and wait for its end."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def test_a_client_that_answers_no_ping_is_told_to_come_again() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            accept,
            ws=SocketProtocol,
            lifespan="off",
            log_config=None,
            ws_ping_interval=0.02,
            ws_ping_timeout=0.02,
        )
    )
    serving = asyncio.ensure_future(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110  # uvicorn tells in no other way
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    received = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    server.should_exit = True
    await serving
    _, _, frames = received.partition(b"\r\n\r\n")
    ping, close = frames[:6], frames[6:]
    assert ping[:2] == b"\x89\x04"
    assert close[0] == 0x88
    assert int.from_bytes(close[2:4], "big") == 1012
