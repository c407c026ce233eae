"""The program under test: a process of its own, watched by its log, its answers and its memory."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.fuzz.cases import Finding
from trunkline.secrets import generate_secret_key

TOKEN = "fuzz-admin-token-0123456789"
HANG_SECONDS = 40.0
"""Nothing may take so long. Generous: no case waits for more than two seconds by design, but some
machines are busy.
"""
_START_SECONDS = 90.0
# One of a run: servers that follow each other on a database share what is sealed there.
_SECRET_KEY = generate_secret_key()
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BAD_LEVELS = frozenset({"error", "critical"})


@dataclass
class Subject:
    """A served program. `play` of each surface speaks to its port."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path
    database: str
    # What surfaces keep beside the program, such as a provider.
    beside: dict[str, Any] = field(default_factory=dict)
    _read: int = 0

    @property
    def bearer(self) -> dict[str, str]:
        """Lets a request in."""
        return {"Authorization": f"Bearer {TOKEN}"}

    @property
    def rss_bytes(self) -> int:
        """Memory of the process."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE

    def exchange(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask and read the answer whole. Raises `Finding` where none comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_SECONDS)
        try:
            connection.request(method, path, body, self.bearer | (headers or {}))
            answer = connection.getresponse()
            lower = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, lower, answer.read()
        except TimeoutError as error:
            raise Finding(f"hang: {method} {path[:100]}") from error
        except http.client.IncompleteRead as error:
            return answer.status, lower | {"x-broken": "1"}, error.partial
        except (http.client.HTTPException, OSError) as error:
            raise Finding(f"{method} {path[:100]}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def execute(self, query: str, **variables: Any) -> Any:
        """The data of an operation that must go well."""
        body = orjson.dumps({"query": query, "variables": variables})
        kind = {"Content-Type": "application/json"}
        _, _, answer = self.exchange("POST", "/graphql", body, kind)
        found = orjson.loads(answer)
        if "errors" in found:
            raise Finding(f"{query[:100]}: {found['errors']}")
        return found["data"]

    def check(self) -> None:
        """Raise `Finding` where it has ended, or said of itself that something went wrong."""
        with self.log.open("rb") as file:
            file.seek(self._read)
            said = file.read()
        whole, found, _ = said.rpartition(b"\n")
        self._read += len(whole) + len(found)
        for line in whole.splitlines():
            _check_line(line)
        if self.process.poll() is not None:
            raise Finding(f"the server ended with {self.process.returncode}: {said[-2000:]!r}")

    def settle(self) -> None:
        """Have garbage collected, which tells of tasks that nobody waited for; then `check`."""
        self.process.send_signal(signal.SIGUSR1)
        for _ in range(3):  # Python runs the signal's handler between two steps of the loop.
            status, _, _ = self.exchange("GET", "/healthz")
            if status != http.client.OK:
                raise Finding(f"/healthz answers {status} afterwards")
        self.check()


def _check_line(line: bytes) -> None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        if line.strip():
            # Of a warning, or a traceback that no logger wrote.
            raise Finding(f"on stderr: {line[:2000].decode(errors='replace')}") from None
        return
    if event.get("level") in _BAD_LEVELS or "exception" in event:
        raise Finding(f"in the log: {_shortened(event)}")


def _shortened(event: dict[str, Any]) -> str:
    frames = ""
    for exception in event.pop("exception", None) or ():
        places = [
            f"{Path(one['filename']).name}:{one['lineno']}" for one in exception["frames"][-6:]
        ]
        said = f"{exception['exc_type']}: {exception['exc_value'][:300]}"
        frames += f"{said} at {' > '.join(places)}; "
    return f"{event} {frames}"[:3000]


@contextmanager
def running(folder: Path, database_url: str | None = None) -> Iterator[Subject]:
    """Serve with this database, or a new SQLite file. Raises `Finding` where it ends badly."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TRUNKLINE_") and not name.lower().endswith(("_api_key", "_proxy"))
    }
    environment = own | {
        "TRUNKLINE_DATA_DIR": str(folder / "data"),
        "TRUNKLINE_ADMIN_TOKEN": TOKEN,
        "TRUNKLINE_SECRET_KEYS": _SECRET_KEY,
        "TRUNKLINE_LOG_FORMAT": "json",
        "TRUNKLINE_WEBSOCKET_COMPRESSION": "on",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONUNBUFFERED": "1",
    }
    if database_url is not None:
        environment["TRUNKLINE_DATABASE_URL"] = database_url
    log = folder / "server.log"
    # Each warning each time: of coroutines that nobody awaited, say.
    command = [sys.executable, "-W", "always::RuntimeWarning", "-W", "always::ResourceWarning",
               "-m", "tests.fuzz.served_program", "serve", "--port", "0"]  # fmt: skip
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            port = _port(process, log)
            yield Subject(process, port, log, database_url or "sqlite")
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(HANG_SECONDS)
        finally:
            process.kill()
    if process.returncode != 0:
        raise Finding(f"the server ended with {process.returncode}: {log.read_text()[-2000:]}")


def _port(process: "subprocess.Popen[str]", log: Path) -> int:
    assert process.stdout is not None
    # Whoever doesn't say its link in time is ended, which ends the reading too.
    too_late = threading.Timer(_START_SECONDS, process.kill)
    too_late.start()
    try:
        while line := process.stdout.readline():
            if "#code=" in line:
                return int(line.partition("/graphiql")[0].rpartition(":")[2])
    finally:
        too_late.cancel()
    raise Finding(f"the server did not start: {log.read_text()[-2000:]}")
