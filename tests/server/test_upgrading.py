"""Two versions on one database: the older one stops when the newer one has migrated."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from db.engine import Connection, Database
from db.migrate import newest_revision
from tests.fault.serving import ServerProcess, server_process
from trunkline.processes import schema_watch
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


async def test_what_the_store_refuses_once_does_not_end_the_watch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    async def sleep(seconds: float) -> None:
        looks.append(seconds)

    async def present_revision(_connection: Connection) -> str:
        if len(looks) == 1:
            cause = Exception("canceling statement due to statement timeout")
            raise OperationalError("SELECT", None, cause)
        return "9999"

    monkeypatch.setattr(schema_watch, "present_revision", present_revision)
    assert "9999" in str(await schema_changed(database, sleep=sleep))
    assert len(looks) == 2
