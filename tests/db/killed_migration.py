"""A migration that dies: `python -m tests.db.killed_migration <url> <statement>`."""

import asyncio
import os
import signal
import sys
from itertools import count

from sqlalchemy import event

from db.engine import Database
from db.migrate import migrate


async def main(url: str, last: int) -> None:
    """Migrate, and be killed before the statement of this number."""
    database = Database.open(url)
    numbers = count(1)

    def note(*_: object) -> None:
        if next(numbers) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database._writer.sync_engine, "before_cursor_execute", note)
    await migrate(database)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
