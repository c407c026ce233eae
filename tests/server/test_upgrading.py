"""Two versions on one database: the older one stops when the newer one has migrated."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from db.engine import Database
from db.migrate import newest_revision
from tests.fault.serving import ServerProcess, server_process
from trunkline.processes.schema_watch import schema_changed

_NEWER = "UPDATE alembic_version SET version_num = '9999'"


@pytest.mark.slow
async def test_a_server_stops_when_a_newer_version_has_migrated_and_does_not_start_again(
    tmp_path: Path,
) -> None:
    async with server_process(tmp_path) as server:
        with sqlite3.connect(tmp_path / "data" / "trunkline.db") as newer:
            newer.execute(_NEWER)
        newer.close()
        async with asyncio.timeout(60):
            status = await server.process.wait()
    assert status == 2
    assert server.log_end().splitlines()[-1] == (
        "trunkline: the database was migrated to revision 9999 while this server ran, whose own is "
        f"{newest_revision()}: it has stopped, so that it writes nothing that the newer version "
        "relies on. Start the newer version in its place"
    )
    again = ServerProcess(tmp_path)
    status, said = await again.command("serve", "--port", "0")
    assert status == 2
    assert said == (
        "trunkline: the database is at revision 9999, which this version does not know: "
        "start the newer version that made it, or restore a backup\n"
    )
    # Commands would change it too.
    assert (await again.command("usage", "verify")) == (2, said)


async def test_another_revision_is_noticed_within_a_second(database: Database) -> None:
    looks: list[float] = []

    async def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            await database.transact(lambda connection: connection.exec_driver_sql(_NEWER))

    change = await schema_changed(database, sleep=sleep)
    await database.transact(
        lambda connection: connection.exec_driver_sql(
            f"UPDATE alembic_version SET version_num = '{newest_revision()}'"
        )
    )
    assert "9999" in str(change)
    assert looks == [1.0, 1.0, 1.0]
