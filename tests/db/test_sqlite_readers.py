"""Connections that answer questions: how one that can't be opened ends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from db.one_trip import OneTripConnection, connected
from db.sqlite_readers import SqliteReaders


async def test_one_that_can_not_be_used_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[OneTripConnection] = []

    def noted(*arguments: Any, **options: Any) -> OneTripConnection:
        opened.append(connected(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr("db.sqlite_readers.connected", noted)
    path = tmp_path / "no.db"
    path.write_text("this is no database of SQLite's, and long enough to be seen as none" * 20)
    readers = SqliteReaders(str(path), {}, most=1)
    with pytest.raises(OperationalError):
        await readers.ask([("SELECT 1", ())])
    (connection,) = opened
    connection._thread.join(10)
    assert not connection._thread.is_alive()
    await readers.close()


async def test_who_is_cancelled_while_one_can_not_be_opened_is_cancelled(tmp_path: Path) -> None:
    readers = SqliteReaders(str(tmp_path / "missing" / "no.db"), {}, most=1)
    asking = asyncio.create_task(readers.ask([("SELECT 1", ())]))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await readers.close()
