"""Each fault once, at a small size; `make fault` runs them for an hour: docs/faults.md."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.fault.faults import FAULTS
from tests.fault.own_postgres import NoPostgres
from tests.fault.violations import Counts

_COUNTED: Mapping[str, str] = {
    "killed": "kills",
    "killed-postgresql": "kills",
    "killed-at-start": "kills",
    "terminated": "streams told of the end",
    "disk-full": "writes refused",
    "database-locked": "locks",
    "postgresql-restarted": "restarts",
    "redis-gone": "times Redis was killed",
    "abandoned-sockets": "sockets abandoned",
    "slow-readers": "clients that stopped reading",
    "half-open": "peers that vanished",
    "clock-stepped": "steps of the clock",
}
"""What must have happened, for the fault to have been one."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_that_was_acknowledged_is_lost(name: str, tmp_path: Path) -> None:
    counts = Counts()
    try:
        await FAULTS[name](tmp_path, random.Random(f"small:{name}"), counts, full=False)
    except NoPostgres as missing:
        skip_or_fail(str(missing))
    assert counts.of[_COUNTED[name]]
