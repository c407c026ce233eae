"""The disk of a SQLite file runs full: clear errors, reads go on, and with room again all goes on.

As root the file lies on a small file system in memory; elsewhere the system bounds how large its
files may grow.
"""

import asyncio
import os
import random
import resource
import subprocess
from pathlib import Path

from tests.fault.load import PROVIDERS, Load, simulated_provider
from tests.fault.serving import ServerProcess, server_process
from tests.fault.violations import Counts, demand

_SIZE = 48 * 2**20


class SmallDisk:
    """A file system for a server's data, where this process may mount one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"
        self._server: ServerProcess | None = None
        folder.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0700", "tmpfs", str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        self.is_mounted = mounted.returncode == 0

    def fill(self, server: ServerProcess, left: int) -> None:
        """Leave so many bytes."""
        self._server = server
        if not self.is_mounted:
            largest = max(one.stat().st_size for one in self._folder.glob("trunkline.db*"))
            _bound(server, largest + left)
            return
        with self._ballast.open("wb") as file:
            while (size := self._room() - left) > 0:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), size)
                except OSError:  # The server has taken some of it meanwhile.
                    continue
                return

    def _room(self) -> int:
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def make_room(self) -> None:
        """Take away what fills it."""
        if self.is_mounted:
            self._ballast.unlink(missing_ok=True)
        elif self._server is not None and self._server.is_running:
            _bound(self._server, resource.RLIM_INFINITY)

    def unmount(self) -> None:
        """Give it back."""
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self._folder)], check=True)


def _bound(server: ServerProcess, most: int) -> None:
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


async def disk_full(folder: Path, chance: random.Random, counts: Counts, *, full: bool) -> None:
    """Fill it under load, and make room again."""
    disk = SmallDisk(folder / "data")
    try:
        async with simulated_provider() as provider, server_process(folder) as server:
            load = Load(server, chance)
            await load.set_up(provider)
            for _ in range(3 if full else 1):
                await _filled(disk, server, load, counts, chance, full=full)
            await server.stop()
            server.check_log(store_was_away=True)
    finally:
        disk.unmount()


async def _filled(
    disk: SmallDisk,
    server: ServerProcess,
    load: Load,
    counts: Counts,
    chance: random.Random,
    *,
    full: bool,
) -> None:
    loop = asyncio.get_running_loop()
    refused = load.known.refused
    async with load.running():
        await load.acknowledges(20)
        disk.fill(server, chance.randrange(0, 256 * 1024))
        until = loop.time() + 60
        while load.known.refused == refused:
            demand(loop.time() < until, "a full disk was not noticed")
            await load.lasts(0.05)
        for _ in range(20 if full else 5):
            await load.lasts(0.1)
            # Reads need no room.
            await server.ask(PROVIDERS)
            counts.add("reads while the disk was full")
        counts.add("writes refused", load.known.refused - refused)
        demand(any("disk" in one for one in load.errors), f"nobody was told why: {load.errors}")
        disk.make_room()
        took = await load.acknowledges(20)
        counts.most("longest recovery, milliseconds", round(took * 1_000))
        await load.lasts(0.5)
    await load.known.settle(server)
    counts.add("times the disk was full")
    await load.known.check(server, counts, requests_before=float("inf"))
    counts.add("writes acknowledged", load.known.total)
