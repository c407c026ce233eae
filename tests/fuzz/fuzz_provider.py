"""A provider that answers whatever it is told to, byte by byte, over real HTTP."""

import re
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets."""


@dataclass(frozen=True)
class Script:
    """What each request is answered with: these pieces, then the `end`.

    "keep" serves the next request on the connection, "close" ends it, "reset" breaks it, and "hold"
    waits until whoever asked has left.
    """

    pieces: tuple[bytes, ...] = ()
    end: str = "close"


@dataclass
class FuzzProvider:
    """Runs in threads of its own. `seen` counts its POSTs."""

    script: Script = field(default_factory=Script)
    seen: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while head := _request(connection):
                if head.startswith(b"POST"):
                    with self._lock:
                        self.seen += 1
                script = self.script
                for piece in script.pieces:
                    connection.sendall(piece)
                if script.end == "hold":
                    while connection.recv(65_536):
                        pass
                if script.end == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                if script.end != "keep":
                    return


def _request(connection: socket.socket) -> bytes:
    """A request's head, once its body has come too; empty where there is no more."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        if not (piece := connection.recv(65_536)):
            return b""
        heard += piece
    head, _, body = heard.partition(b"\r\n\r\n")
    found = LENGTH.search(head)
    left = (int(found[1]) if found else 0) - len(body)
    while left > 0:
        if not (piece := connection.recv(65_536)):
            return b""
        left -= len(piece)
    return head
