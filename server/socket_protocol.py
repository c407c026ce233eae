"""uvicorn's websocket protocol, with another close code for a client that stopped answering pings.

uvicorn closes with 1011, which graphql-ws takes for an error that no reconnecting mends. Mostly it
is a laptop that slept: it finds the frame when it wakes, and its dashboard would stay dead. After
1012 it reconnects.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

TRY_AGAIN = 1012


class SocketProtocol(WebSocketsSansIOProtocol):
    """The same in all else."""

    def keepalive_timeout(self) -> None:
        """Close a socket whose pong didn't come in time."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(TRY_AGAIN, "no answer to a ping")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
