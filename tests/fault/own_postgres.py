"""A PostgreSQL cluster of a test's own, on a free port, that it may stop, break and start again."""

import asyncio
import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import asyncpg

from tests.fault.violations import Violation

_databases = count(1)


class NoPostgres(Exception):
    """This machine has no PostgreSQL to start."""


class OwnPostgres:
    """Made by `own_postgres`; keeps its port while it is away."""

    def __init__(self, programs: Path, folder: Path, port: int) -> None:
        self._programs = programs
        self._folder = folder
        self._port = port

    async def make(self) -> None:
        """Make the cluster."""
        await self._run(
            "initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-N",
            "--locale=C.UTF-8", "-E", "UTF8",
        )  # fmt: skip

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        # A process that ends leaves what it wrote to the system: only power losses need fsync.
        options = (
            f"-p {self._port} -h 127.0.0.1 -k {self._folder} -c fsync=off -c shared_buffers=32MB"
        )
        await self._control("start", "-l", str(self._folder / "log"), "-o", options)

    async def stop(self, mode: str) -> None:
        """End it: `fast` throws its clients out, `immediate` is a crash."""
        await self._control("stop", "-m", mode)

    async def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"trunkline_{next(_databases)}"
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{self._port}/postgres")
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self._port}/{name}"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    async def _control(self, *arguments: str) -> None:
        await self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "60", *arguments)

    async def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.getuid() == 0:
            # It refuses to run as root.
            command = [
                "setpriv",
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                *command,
            ]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self._folder,
            # The server that it starts would keep a pipe open.
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await process.wait() != 0:
            log = self._folder / "log"
            said = await asyncio.to_thread(log.read_text) if log.exists() else ""
            raise Violation(f"{program} {arguments} failed: {said[-2_000:]}")


@asynccontextmanager
async def own_postgres() -> AsyncIterator[OwnPostgres]:
    """A running cluster. Raises `NoPostgres`."""
    programs = _programs()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="trunkline-postgres-"))
    try:
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        cluster = OwnPostgres(programs, folder, port)
        await cluster.make()
        await cluster.start()
        try:
            yield cluster
        finally:
            # It may have been stopped for the test's purpose.
            with suppress(Violation):
                await cluster.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Where they are: on Debian not in the PATH. Raises `NoPostgres`."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    found = installed[-1] if installed else shutil.which("pg_ctl")
    if found is None:
        raise NoPostgres("no pg_ctl: `apt-get install postgresql`")
    return Path(found).parent
