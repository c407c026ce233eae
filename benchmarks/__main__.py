"""`make bench`: every benchmark, one after another; or those that are named.

Each prints a table of ratios within its own run: these say what our code costs, whatever the
machine. `benchmarks/README.md` keeps the last tables, with the machine that they were made on.
"""

import asyncio
import importlib
import sys

BENCHMARKS = (
    "catalog", "startup", "recording", "history", "subscribers", "answers", "execution",
    "processes", "gateway",
)  # fmt: skip


def main(names: list[str]) -> None:
    """Run these benchmarks, or all."""
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {BENCHMARKS}")
    for name in names or BENCHMARKS:
        print(f"\n## {name}\n", flush=True)
        run = importlib.import_module(f"benchmarks.{name}").main
        outcome = run()
        if asyncio.iscoroutine(outcome):
            asyncio.run(outcome)


if __name__ == "__main__":
    main(sys.argv[1:])
