"""Random operations executed both ways, by graphql-core and by generated code, and compared.

Run `python -m tests.schema.compiled.differential --cases 300000 --seed 1 --report FILE`. A case is
one operation with one set of variables. Data must be equal to the order of its keys, errors to
their messages, paths, places, extensions and causes, and every resolver must have been called as
often, in the same order, with the same arguments. Each operation is executed with several sets of
variables, so that most of them meet what was kept of the ones before.

Most operations are over `nasty.py`; the others over the schema that is served, on a store with rows
in it. Where several fields wait for a store at once, the one that it answers first may fail first,
and ends the others: on a busy machine graphql-core itself answers one way and then another. So
where the two differ there, both are asked again, and it is a difference unless they come to agree.
The report counts how often that was.
"""

import argparse
import asyncio
import inspect
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from graphql import DocumentNode, ExecutionResult, MiddlewareManager, execute, parse
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext, validate_document
from strawberry.types.execution import ExecutionContext

from schema.compiled.documents import PreparedDocuments
from schema.compiled.executing import CompiledExecution
from schema.compiled.promises import Promises, ServedAsIs, ServedBy
from tests.schema.compiled.nasty import LeafRow, NeatTable, Table, nasty
from tests.schema.compiled.operations import BASIC, Generator, Operation
from tests.schema.compiled.stored import Store, opened_store

SETS_OF_VARIABLES = 30
WRONG = 0.3
"""How many sets of variables are wrong somewhere, and how likely each value of them is."""
MOST_TOLD = 5
"""Differences, before it stops."""
MOST_ASKED_AGAIN = 50
STORED = 0.03
"""How many operations are over the served schema."""
NASTY_SCALARS = BASIC | {
    "Odd": lambda dice: dice.choice(["o", "p", "raise", "undefined", None, 5]),
    "Whole": lambda dice: dice.choice([1, "2", "x"]),
    "DateTime": lambda dice: dice.choice(["2026-01-01T00:00:00Z", "2026", 5]),
    "Int": lambda dice: dice.choice([*range(400), -1, 2**31 - 1]),
}


class Compiled(CompiledExecution, StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor by generated code."""

    documents = PreparedDocuments(64)
    promises: ClassVar[Promises] = Promises(
        {
            "Whole": ServedAsIs(-(2**53) + 1, 2**53 - 1),
            "DateTime": ServedBy(datetime, datetime.isoformat),
        },
        by_column={Table: {}, NeatTable: NeatTable.classes},
        unchanging={"Leaf": LeafRow},
    )


@dataclass
class Tally:
    """What was compared."""

    cases: Counter[str] = field(default_factory=Counter)
    operations: int = 0
    refused: int = 0
    """Operations that aren't valid; they are thrown away."""
    differences: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many cases."""
        return self.cases["nasty"] + self.cases["served"]

    def add(self, other: "Tally") -> None:
        """Add what another process compared."""
        self.cases += other.cases
        self.operations += other.operations
        self.refused += other.refused
        self.differences += other.differences


async def compare(
    cases: int,
    seed: int,
    store: Store | None,
    *,
    sets: int = SETS_OF_VARIABLES,
    minutes: float | None = None,
) -> Tally:
    """Run so many cases, or as many as there is time for; `sets` of variables an operation."""
    tally = Tally()
    dice = Random(seed)
    until = None if minutes is None else time.monotonic() + minutes * 60
    while tally.count < cases and len(tally.differences) < MOST_TOLD:
        if until is not None and time.monotonic() > until:
            break
        served = store is not None and dice.random() < STORED
        if served and store is not None:
            await _one_operation(tally, dice, store.schema, store.generator(dice), store, sets)
        else:
            generator = Generator(nasty._schema, dice, NASTY_SCALARS)
            await _one_operation(tally, dice, nasty, generator, None, sets)
    return tally


async def _one_operation(
    tally: Tally,
    dice: Random,
    schema: Schema,
    generator: Generator,
    store: Store | None,
    sets: int,
) -> None:
    kind = "mutation" if store is None and dice.random() < 0.15 else "query"
    operation = generator.operation(kind)
    document = parse(operation.text)
    context = ExecutionContext(None, schema, ())  # Whose default rules are Strawberry's.
    if validate_document(schema._schema, document, context.validation_rules):
        tally.refused += 1
        return
    tally.operations += 1
    # Without variables only twice: as a new operation, and as a known one.
    for _ in range(sets if operation.variables else 2):
        wrong = WRONG if dice.random() < WRONG else 0.0
        variables = generator.values(operation, wrong=wrong)
        found = await outcomes(schema, document, variables, store)
        tally.cases["served" if store else "nasty"] += 1
        tally.cases[_sort(found[0])] += 1
        if found[0] != found[1]:
            if store is not None and await _agree_yet(schema, operation, variables, store):
                tally.cases["served, agreed when asked again"] += 1
                continue
            tally.differences.append(_told(operation, variables, found))
            return


async def outcomes(
    schema: Schema, document: DocumentNode, variables: dict[str, Any], store: Store | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What graphql-core and what generated code makes of it."""
    if store is None:
        ways: Any = (StrawberryGraphQLCoreExecutionContext, Compiled)
    else:
        ways = store.ways
    first = await _outcome(schema, document, variables, store, ways[0])
    return first, await _outcome(schema, document, variables, store, ways[1])


async def _agree_yet(
    schema: Schema, operation: Operation, variables: dict[str, Any], store: Store
) -> bool:
    """Whether both ever answer the same when they are asked again: by a document that is new, and
    by the same once it is known.
    """
    seen: dict[str, tuple[list[object], list[object]]] = {"new": ([], []), "known": ([], [])}
    for _ in range(MOST_ASKED_AGAIN):
        document = parse(operation.text)
        for standard, compiled in seen.values():
            found = await outcomes(schema, document, variables, store)
            standard.append(found[0])
            compiled.append(found[1])
        if all(any(one in compiled for one in standard) for standard, compiled in seen.values()):
            return True
    return False


async def _outcome(
    schema: Schema,
    document: DocumentNode,
    variables: dict[str, Any],
    store: Store | None,
    executor: Any,
) -> dict[str, Any]:
    context: Any = {"calls": []} if store is None else store.context()
    result = execute(
        schema._schema,
        document,
        context_value=context,
        variable_values=variables,
        middleware=MiddlewareManager(),
        executor_class=executor,
        is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # as Strawberry gives it
        operation_extensions=None,
    )
    if inspect.isawaitable(result):
        result = await result
    assert isinstance(result, ExecutionResult)
    # What an error left behind is settled in the background, and calls resolvers too.
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(left)
    return {
        "data": json.dumps(result.data, default=repr),
        "errors": [
            (
                error.message,
                error.path,
                error.locations,
                error.extensions,
                type(error.original_error).__name__,
            )
            for error in result.errors or ()
        ],
        "calls": context["calls"] if store is None else [],
    }


def _sort(outcome: dict[str, Any]) -> str:
    if outcome["data"] == "null":
        return "refused, or null altogether"
    return "data with errors" if outcome["errors"] else "data"


def _told(operation: Operation, variables: Any, found: tuple[dict[str, Any], ...]) -> str:
    lines = [operation.text, f"variables: {json.dumps(variables, default=repr)}"]
    for name, standard in found[0].items():
        if standard != found[1][name]:
            lines += [f"{name}, standard: {standard}", f"{name}, compiled: {found[1][name]}"]
    return "\n".join(lines)


async def _compare_with_store(cases: int, seed: int, minutes: float | None) -> Tally:
    with tempfile.TemporaryDirectory() as folder:
        async with opened_store(Path(folder)) as store:
            return await compare(cases, seed, store, minutes=minutes)


def main(arguments: list[str]) -> int:
    """The command: several processes, one report."""
    parser = argparse.ArgumentParser(prog="python -m tests.schema.compiled.differential")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="stop after so long, with what was done")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.part:
        tally = asyncio.run(_compare_with_store(asked.cases, asked.seed, asked.minutes))
        sys.stdout.write(json.dumps(tally.__dict__))
        return 0
    begun = time.monotonic()
    tally = _in_parts(asked.cases, asked.seed, asked.processes, asked.minutes)
    text = _report(tally, asked.seed, time.monotonic() - begun)
    sys.stdout.write(text)
    if asked.report is not None:
        asked.report.write_text(text)
    return 1 if tally.differences else 0


def _in_parts(cases: int, seed: int, processes: int, minutes: float | None) -> Tally:
    command = [sys.executable, "-m", "tests.schema.compiled.differential", "--part"]
    if minutes is not None:
        command += ["--minutes", str(minutes)]
    running = [
        subprocess.Popen(
            [*command, "--cases", str(cases // processes), "--seed", str(seed * 1_000 + number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    tally = Tally()
    for process in running:
        text, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"a process ended with {process.returncode}")
        part = json.loads(text.splitlines()[-1])
        tally.add(Tally(Counter(part["cases"]), part["operations"], part["refused"],
                        part["differences"]))  # fmt: skip
    return tally


def _report(tally: Tally, seed: int, seconds: float) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [
        "# Compiled execution against graphql-core",
        "",
        "Written by `make fuzz-execution`: see `tests/schema/compiled/differential.py`.",
        "",
        "| | |",
        "|---|---|",
        f"| commit | `{commit}` |",
        f"| seed | {seed} |",
        f"| cases | {tally.count:,} in {seconds:.0f} s |",
        f"| operations | {tally.operations:,}, {tally.refused:,} more were not valid |",
        *(f"| {name} | {count:,} |" for name, count in sorted(tally.cases.items())),
        f"| differences | {len(tally.differences)} |",
    ]
    lines += [f"\n```\n{one}\n```" for one in tally.differences]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
