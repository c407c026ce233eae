"""Every fault, by its name."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.fault.abandoned_sockets import abandoned_sockets
from tests.fault.clock_stepped import clock_stepped
from tests.fault.database_locked import database_locked
from tests.fault.disk_full import disk_full
from tests.fault.killed import killed_on_postgres, killed_on_sqlite
from tests.fault.killed_at_start import killed_at_start
from tests.fault.postgres_restarted import postgres_restarted
from tests.fault.redis_gone import redis_gone
from tests.fault.slow_readers import half_open, slow_readers
from tests.fault.terminated import terminated
from tests.fault.violations import Counts


class Fault(Protocol):
    """Runs one round in an empty folder, at moments that `chance` chooses. Raises `Violation`."""

    async def __call__(
        self, folder: Path, chance: random.Random, counts: Counts, *, full: bool
    ) -> None: ...


FAULTS: Mapping[str, Fault] = {
    "killed": killed_on_sqlite,
    "killed-postgresql": killed_on_postgres,
    "killed-at-start": killed_at_start,
    "terminated": terminated,
    "disk-full": disk_full,
    "database-locked": database_locked,
    "postgresql-restarted": postgres_restarted,
    "redis-gone": redis_gone,
    "abandoned-sockets": abandoned_sockets,
    "slow-readers": slow_readers,
    "half-open": half_open,
    "clock-stepped": clock_stepped,
}
