"""The report of a run of faults, in Markdown."""

import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fault.running import Tally

_LONGEST_VIOLATION = 4_000


@dataclass
class Report:
    """What came of a run, so far."""

    seed: int
    minutes: float
    tallies: "Mapping[str, Tally]"
    seconds: float = 0.0

    @property
    def violations(self) -> list[str]:
        """All of them."""
        return [one for tally in self.tallies.values() for one in tally.violations]


def write_report(report: Report, path: Path) -> None:
    """Write it; again after each round, so that a run that is broken off leaves one too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(report), encoding="utf-8")


def _text(report: Report) -> str:
    rounds = sum(one.rounds for one in report.tallies.values())
    lines = [
        "# Faults: a report",
        "",
        "Written by `make fault`, which says what each fault is: [faults.md](faults.md).",
        "",
        "| | |",
        "|---|---|",
        f"| commit | `{_commit()}` |",
        f"| ended | {datetime.now(UTC):%Y-%m-%d %H:%M} UTC |",
        f"| ran | {report.seconds / 60:.1f} minutes of {report.minutes:g} |",
        f"| seed | {report.seed} |",
        f"| machine | {_machine()} |",
        f"| versions | {_versions()} |",
        f"| rounds | {rounds} |",
        f"| violations | {len(report.violations)} |",
        "",
        "| fault | rounds | seconds | violations | counted |",
        "|---|---|---|---|---|",
    ]
    for name, tally in report.tallies.items():
        counted = "; ".join(f"{what} {number:,}" for what, number in tally.counts.of.items())
        cells = (name, tally.rounds, f"{tally.seconds:.0f}", len(tally.violations), counted)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    for one in report.violations:
        lines += ["", "## A violation", "", "```", one[:_LONGEST_VIOLATION], "```"]
    return "\n".join([*lines, ""])


def _commit() -> str:
    said = _said("git", "rev-parse", "HEAD") or "unknown"
    changed = _said("git", "status", "--porcelain", "--untracked-files=no", "--", "*.py")
    return f"{said} with changes" if changed else said


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, {platform.system()}"


def _versions() -> str:
    found = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for program in ("postgres", "redis-server"):
        said = _said(program, "--version")
        if not said and program == "postgres":
            said = _said("psql", "--version")
        if said:
            found.append(" ".join(said.split()[:4]))
    return ", ".join(found)


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
