"""`trunkline usage export` and `import`: the store as a file, beside a server or without one."""

import asyncio
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from server.export_files import write_export
from server.failures import CannotStart
from server.logs import configure_logs
from server.printed import printable
from server.progress import Progress
from server.settings import Settings
from server.store_commands import (
    first_line_of,
    make_way,
    require_database,
    run_on_loop,
)
from server.usage_parameters import ExportAsked, export_asked
from server.wiring import command_services, open_database
from trunkline.clock import system_clock
from trunkline.errors import BadRequest
from trunkline.usage.exporting import export_usage
from trunkline.usage.importing import BadLine, ImportReport, import_lines

_PIECE_BYTES = 64 * 1024


def run_export(settings: Settings, given: Sequence[tuple[str, str]], output: Path | None) -> None:
    """Write an export. Raises `CannotStart`."""
    try:
        asked = export_asked(given)
    except BadRequest as error:
        raise CannotStart(str(error)) from error
    require_database(settings)
    configure_logs(settings.log_format)
    run_on_loop(_export(settings, asked, output))


def run_import(settings: Settings, name: str) -> int:
    """Import a file and give the exit status: 1 where lines were refused. Raises `CannotStart`."""
    with _opened(name) as descriptor:
        require_database(settings)
        configure_logs(settings.log_format)
        report = ImportReport()
        progress = Progress()
        try:
            run_on_loop(_import(settings, descriptor, report, progress))
        except CannotStart:
            raise
        except BadRequest as error:
            raise CannotStart(str(error)) from error
        except Exception as error:
            raise CannotStart(
                f"the import broke off: {first_line_of(error)}; {_counted(report)} so far, "
                "and they stay: run it again for the others"
            ) from error
        except KeyboardInterrupt:
            progress.note(f"{_counted(report)} so far, and they stay: run it again for the others")
            raise
        finally:
            progress.clear()
    if report.bad_lines_left_out:
        progress.note(f"and {report.bad_lines_left_out} more lines were refused")
    print(_counted(report))  # noqa: T201  # what the command is asked for
    return 1 if report.refused else 0


async def _export(settings: Settings, asked: ExportAsked, output: Path | None) -> None:
    async with open_database(settings) as database:
        parts = export_usage(database, asked.export, asked.file_format, system_clock)
        await write_export(parts, output)


async def _import(
    settings: Settings, descriptor: int, report: ImportReport, progress: Progress
) -> None:
    size = os.fstat(descriptor).st_size
    pieces = _Pieces(descriptor)
    told = 0

    async def on_page() -> None:
        nonlocal told
        for bad in report.bad_lines[told:]:
            progress.note(_reasons(bad))
        told = len(report.bad_lines)
        share = f", {min(pieces.read / size, 1):.0%} of the file" if size else ""
        rate = report.lines / max(progress.seconds, 0.001)
        progress.show(f"{_counted(report)}{share}, {rate:,.0f} lines a second")
        await make_way(settings)

    async with command_services(settings) as services:
        await import_lines(services, pieces, report=report, on_page=on_page)


class _Pieces:
    """A file's pieces as they are asked for, `read` bytes up to now.

    Each is read in a thread that nobody waits for, so that Ctrl-C ends the program also while
    stdin has nothing to give.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._next():
            self.read += len(piece)
            yield piece

    def _next(self) -> "asyncio.Future[bytes]":
        loop = asyncio.get_running_loop()
        piece: asyncio.Future[bytes] = loop.create_future()

        def settle(result: bytes | OSError) -> None:
            if piece.cancelled():
                return
            if isinstance(result, OSError):
                piece.set_exception(result)
            else:
                piece.set_result(result)

        def read() -> None:
            try:
                result: bytes | OSError = os.read(self._descriptor, _PIECE_BYTES)
            except OSError as error:
                result = error
            with suppress(RuntimeError):  # The program has ended meanwhile.
                loop.call_soon_threadsafe(settle, result)

        threading.Thread(target=read, daemon=True).start()
        return piece


@contextmanager
def _opened(name: str) -> Iterator[int]:
    if name == "-":
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(name, os.O_RDONLY)
    except (OSError, ValueError) as error:
        raise CannotStart(f"{name!r} can't be read: {first_line_of(error)}") from error
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise CannotStart(f"{name!r} is a directory: give a file of NDJSON, or - for stdin")
        yield descriptor
    finally:
        os.close(descriptor)


def _counted(report: ImportReport) -> str:
    return (
        f"{report.recorded:,} recorded, {report.duplicates:,} recorded before, "
        f"{report.refused:,} refused"
    )


def _reasons(bad: BadLine) -> str:
    text = "; ".join(problem.message for problem in bad.problems)
    return f"line {bad.number}: {printable(text)}"
