"""`make fuzz`: each surface for so many minutes, with cases that nobody has played before.

Prints the seed, a line on how it goes, and each finding, which is kept in the corpus. Exit 1 where
there is one.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from tests.fuzz.cases import Finding, Surface, keep
from tests.fuzz.exploring import Explorer, Found
from tests.fuzz.subject import Subject, running
from tests.fuzz.surfaces import SURFACES

EXAMPLES = 200
"""Of a round, after which is looked at the memory and at the time."""
MOST_FINDINGS = 5
"""Of one surface, before it goes on to the next."""
MOST_GROWN = 256 * 2**20
"""Bytes of memory more than after the first rounds."""
_WARM_ROUNDS = 5


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=10, help="of each surface")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    parser.add_argument(
        "--surface", choices=SURFACES, action="append", help="only this; repeatable"
    )
    parser.add_argument(
        "--database-url", help="an empty PostgreSQL database; a SQLite file without"
    )
    asked = parser.parse_args(arguments)
    _say(f"seed {asked.seed}\n")
    found = 0
    for name in asked.surface or SURFACES:
        found += _fuzz(SURFACES[name], asked.seed, asked.minutes * 60, asked.database_url)
    return 1 if found else 0


def _fuzz(surface: Surface, seed: int, seconds: float, database_url: str | None) -> int:
    """How many findings there are."""
    until = time.monotonic() + seconds
    played = found = rounds = 0
    while time.monotonic() < until and found < MOST_FINDINGS:
        # After a finding a new server: one that has broken tells nothing of what comes next.
        with tempfile.TemporaryDirectory() as folder:
            try:
                with running(Path(folder), database_url) as subject:
                    more, rounds, problem = _rounds(surface, subject, seed, rounds, until)
            except Finding as finding:  # It didn't start, or didn't end well.
                more, problem = 0, Found({}, str(finding))
        played += more
        if problem is None:
            break
        found += 1
        where = (
            keep(surface.name, problem.case, problem.why) if problem.case else "no case of its own"
        )
        _say(f"\n{surface.name}: {problem.why}\n  {where}\n")
    _say(f"\n{surface.name}: {played:,} cases, {found} findings\n")
    return found


def _rounds(
    surface: Surface, subject: Subject, seed: int, rounds: int, until: float
) -> tuple[int, int, Found | None]:
    """How many cases were played, the number of the next round, and what was found in the last."""
    surface.prepare(subject)
    explorer = Explorer(surface, subject)
    # After a finding it is known what the corpus says.
    problem = None if rounds else next(iter(explorer.replay()), None)
    rounds += 1
    begun, warm = rounds, subject.rss_bytes
    while problem is None and time.monotonic() < until:
        surface.prepare(subject)
        problem = explorer.explore(EXAMPLES, seed + rounds) or explorer.finish()
        rounds += 1
        memory = subject.rss_bytes
        if rounds - begun <= _WARM_ROUNDS:
            warm = max(warm, memory)
        elif memory - warm > MOST_GROWN and problem is None:
            problem = Found({}, f"memory grew from {warm:,} to {memory:,} bytes")
        left = max(0, round(until - time.monotonic()))
        _say(
            f"\r{surface.name}: {explorer.played:,} cases, {memory / 2**20:.0f} MiB, {left} s left "
        )
    return explorer.played, rounds, problem


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
