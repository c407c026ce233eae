"""A real `trunkline serve` as a process that is killed, stopped and started again on its data."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import SECRET_KEY
from tests.console.live_server import ADMIN_TOKEN
from tests.fault.violations import Violation, demand
from tests.program import run_program

BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
PATIENCE_SECONDS = 90.0
"""For a start or an end on a machine that is busy with other things."""
# Whatever the environment has installed: this is what is tested.
_CHECKOUT = Path(__file__).parents[2]
_TRUNKLINE = Path(sys.executable).with_name("trunkline")
_SERVE = (str(_TRUNKLINE), "serve", "--port", "0")
# What no fault may bring to the log: each would be a fault of ours.
_OURS = ("Internal error", "request failed", "operation failed", "left out", "never retrieved")


class ServerProcess:
    """Started and ended as often as a test likes. Its folder holds data and log."""

    def __init__(
        self,
        folder: Path,
        database_url: str | None = None,
        *,
        program: Sequence[str] = _SERVE,
        **settings: str | float,
    ) -> None:
        """`settings` are those of the README in lower case, without their prefix."""
        self._program = program
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / "server.log"
        self.url = ""
        self.process: asyncio.subprocess.Process
        self.session: aiohttp.ClientSession
        given = {f"TRUNKLINE_{name.upper()}": str(value) for name, value in settings.items()}
        self.environment: Mapping[str, str] = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith("TRUNKLINE_") and not name.endswith("_API_KEY")
            },
            "PYTHONPATH": str(_CHECKOUT),
            "TRUNKLINE_DATA_DIR": str(folder / "data"),
            "TRUNKLINE_ADMIN_TOKEN": ADMIN_TOKEN,
            "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
            **({} if database_url is None else {"TRUNKLINE_DATABASE_URL": database_url}),
            **given,
        }
        path = folder / "data" / "trunkline.db"
        self.database_url = database_url or f"sqlite+aiosqlite:///{path}"

    async def start(self) -> str:
        """Start it; gives its address. Raises `Violation` where it doesn't."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._program, env=dict(self.environment),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        said = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while b"#code=" not in said and (line := await self.process.stdout.readline()):
                    said += line
        if b"#code=" not in said:
            await self.kill()
            raise Violation(f"the server did not start:\n{self.log_end()}")
        link = next(word for word in said.decode().split() if "#code=" in word)
        self.url = link.partition("/graphiql")[0]
        return self.url

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return hasattr(self, "process") and self.process.returncode is None

    def send(self, one: signal.Signals) -> None:
        """Send it one. Not by asyncio, which reaps a process that has just ended by itself, and
        then doesn't know how it ended.
        """
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, one)

    async def kill(self) -> None:
        """End it without a word."""
        if self.is_running:
            self.send(signal.SIGKILL)
            await self.process.wait()

    async def stop(self, one: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to end, and wait until it has; gives the seconds. Raises `Violation`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.send(one)
        await self.ended()
        return loop.time() - began

    async def ended(self) -> None:
        """Wait for its end, which must be clean."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.process.wait()
        except TimeoutError:
            await self.kill()
            raise Violation(f"the server did not end:\n{self.log_end()}") from None
        demand(
            self.process.returncode == 0,
            f"the server ended with {self.process.returncode}:\n{self.log_end()}",
        )

    def resident_kb(self) -> int:
        """Memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1])

    def open_files(self) -> int:
        """Descriptors of the process, sockets above all."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208  # names only

    def log_end(self) -> str:
        """What it said last."""
        return self.log.read_text(errors="replace")[-6_000:]

    def check_log(self, *, store_was_away: bool = False) -> None:
        """Raises `Violation` where the log tells of a fault of ours. What works beside the requests
        tells once, with a trace, that it can't use the store.
        """
        said = self.log.read_text(errors="replace")
        for words in _OURS if store_was_away else (*_OURS, "Traceback"):
            at = said.find(words)
            demand(at < 0, f"the log has {words!r}:\n{said[max(0, at - 1_500) : at + 3_500]}")

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Run an operation and give `data`. Errors of it raise `Violation`; connections that
        break raise what aiohttp raises.
        """
        body = await self.answer(query, **variables)
        demand("errors" not in body, f"an operation failed: {body}")
        data: dict[str, Any] = body["data"]
        return data

    async def answer(self, query: str, **variables: Any) -> dict[str, Any]:
        """Run an operation and give the whole response."""
        try:
            async with self.session.post(
                f"{self.url}/graphql", json={"query": query, "variables": variables}
            ) as response:
                body: dict[str, Any] = await response.json()
        except aiohttp.ClientError:
            # Who kills it expects that; who doesn't hears what it died of.
            self.check_alive()
            raise
        return body

    def check_alive(self) -> None:
        """Raises `Violation` where it died of something else than a test's kill."""
        code = self.process.returncode
        demand(
            code in {None, 0, -signal.SIGKILL},
            f"the server died by {self._how_it_ended}:\n{self.log_end()}",
        )

    @property
    def _how_it_ended(self) -> str:
        code = self.process.returncode
        return signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run `trunkline …` on the same data; gives the status and what it printed."""
        try:
            ended = await asyncio.to_thread(
                run_program, arguments, self.environment, timeout_seconds=PATIENCE_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise Violation(f"`trunkline {' '.join(arguments)}` did not end") from None
        return ended.returncode, ended.stdout + ended.stderr


@contextlib.asynccontextmanager
async def server_process(
    folder: Path,
    database_url: str | None = None,
    *,
    program: Sequence[str] = _SERVE,
    **settings: str | float,
) -> AsyncIterator[ServerProcess]:
    """One that is started, and leaves nothing behind."""
    server = ServerProcess(folder, database_url, program=program, **settings)
    try:
        async with aiohttp.ClientSession(
            headers=BEARER,
            timeout=aiohttp.ClientTimeout(PATIENCE_SECONDS),
            # Less than the server keeps a connection that waits: one that it is just closing would
            # look like a fault.
            connector=aiohttp.TCPConnector(keepalive_timeout=2),
        ) as server.session:
            await server.start()
            yield server
    finally:
        await server.kill()
