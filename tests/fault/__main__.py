"""`python -m tests.fault --minutes 60 --seed 1`: docs/faults.md says what is done."""

import argparse
import asyncio
import sys
from pathlib import Path

from tests.fault.faults import FAULTS
from tests.fault.running import Plan, run_faults


def main() -> int:
    """Run; gives the exit status: 1 where anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="file to write, in Markdown")
    parser.add_argument("--only", choices=sorted(FAULTS), action="append", help="these faults")
    parser.add_argument("--round", type=int, help="only the round of this number")
    parser.add_argument("--small", action="store_true", help="at the size of `make test`")
    parser.add_argument(
        "--cpu", type=float, default=0.55, help="most of one core, on average, that it takes"
    )
    given = parser.parse_args()
    plan = Plan(
        minutes=given.minutes,
        seed=given.seed,
        report=given.report,
        faults=tuple(given.only or FAULTS),
        round=given.round,
        full=not given.small,
        cpu=given.cpu,
    )
    return asyncio.run(run_faults(plan))


if __name__ == "__main__":
    sys.exit(main())
