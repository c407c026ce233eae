"""Runs round after round until the time is over, and writes the report.

What a round does follows from the seed and its number, but for what the machine's scheduling adds.
"""

import asyncio
import random
import resource
import shutil
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from tests.fault.faults import FAULTS
from tests.fault.reporting import Report, write_report
from tests.fault.violations import Counts, Violation

ROUND_SECONDS = 600.0
"""A round that takes longer hangs, which is a violation too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run, and for how long."""

    minutes: float
    seed: int
    report: Path | None
    faults: tuple[str, ...]
    round: int | None
    full: bool
    cpu: float


@dataclass
class Tally:
    """What came of one fault."""

    rounds: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)


async def run_faults(plan: Plan) -> int:
    """Run the plan; gives the exit status."""
    began = time.monotonic()
    until = began + plan.minutes * 60
    report = Report(plan.seed, plan.minutes, {name: Tally() for name in plan.faults})
    number = plan.round or 1
    while time.monotonic() < until:
        name = _name_of(plan, number)
        tally = report.tallies[name]
        started = time.monotonic()
        violation = await _round(plan, name, number, tally)
        tally.rounds += 1
        tally.seconds += time.monotonic() - started
        said = "ok" if violation is None else "VIOLATED"
        _say(
            f"{(time.monotonic() - began) / 60:5.1f} of {plan.minutes:g} min, round {number}, "
            f"{name}: {said} in {time.monotonic() - started:.0f} s"
        )
        if violation is not None:
            tally.violations.append(
                f"`python -m tests.fault --seed {plan.seed} --only {name} --round {number}`: "
                f"{violation}"
            )
            _say(violation)
        report.seconds = time.monotonic() - began
        if plan.report is not None:
            await asyncio.to_thread(write_report, report, plan.report)
        if plan.round is not None:
            break
        number += 1
        await _leave_cpu(plan, began, until)
    return 1 if report.violations else 0


def _name_of(plan: Plan, number: int) -> str:
    """Every fault comes once before any comes again, in an order of the seed's."""
    if plan.round is not None:
        return plan.faults[0]
    cycle, place = divmod(number - 1, len(plan.faults))
    names = list(plan.faults)
    random.Random(f"{plan.seed}:{cycle}").shuffle(names)
    return names[place]


async def _round(plan: Plan, name: str, number: int, tally: Tally) -> str | None:
    """Run one round; gives what it violated."""
    folder = Path(tempfile.mkdtemp(prefix=f"trunkline-fault-{name}-"))
    chance = random.Random(f"{plan.seed}:{number}:{name}")
    try:
        async with asyncio.timeout(ROUND_SECONDS):
            await FAULTS[name](folder, chance, tally.counts, full=plan.full)
    except Violation as error:
        return str(error)
    except Exception:  # noqa: BLE001  # whatever it is: the hour goes on, and the report tells
        return traceback.format_exc()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


async def _leave_cpu(plan: Plan, began: float, until: float) -> None:
    """Wait until the average is what the plan allows: others work on this machine."""
    used = sum(
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    now = time.monotonic()
    pause = min(used / plan.cpu - (now - began), until - now)
    if pause > 0:
        await asyncio.sleep(pause)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # what is watched
