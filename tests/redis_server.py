"""A Redis of a test's own, on a free port, that it may kill and bring back."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import skip_or_fail

PATIENCE_SECONDS = 30.0


class RedisServer:
    """Started by `own_redis`; keeps its port while it is away."""

    def __init__(self, program: str, port: int, password: str | None) -> None:
        self.port = port
        self._command = [
            program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no",
            *([] if password is None else ["--requirepass", password]),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://{'' if password is None else f':{password}@'}127.0.0.1:{port}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < until, "redis-server did not start"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)
            self._process = None


@contextmanager
def own_redis(password: str | None = None, *, started: bool = True) -> Iterator[RedisServer]:
    """Skips where the machine has no Redis."""
    program = shutil.which("redis-server")
    if program is None:
        skip_or_fail("no redis-server: `apt-get install redis-server`")
        pytest.skip()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = RedisServer(program, port, password)
    try:
        if started:
            server.start()
        yield server
    finally:
        server.kill()
