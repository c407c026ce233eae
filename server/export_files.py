"""An export as a file or on stdout, with its progress on stderr."""

import os
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from server.failures import CannotStart
from server.progress import Progress
from server.store_commands import first_line_of
from trunkline.errors import BadRequest
from trunkline.usage.exporting import Part


async def write_export(parts: AsyncGenerator[Part, None], output: Path | None) -> None:
    """Write the parts, whole or not at all where a file is named. Closes `parts`.

    Raises `CannotStart`, and `BrokenPipeError` where whoever reads stdout is gone.
    """
    with _written(output) as file:
        progress = None if file.isatty() else Progress()
        rows = 0
        try:
            async for part in parts:
                file.write(part.body)
                rows += part.rows
                if progress is not None:
                    progress.show(f"{rows:,} rows written")
            file.flush()
        except BadRequest as error:
            raise CannotStart(str(error)) from error
        except OSError:
            raise
        except Exception as error:
            raise CannotStart(f"the export broke off: {first_line_of(error)}") from error
        finally:
            await parts.aclose()
            if progress is not None:
                progress.clear()


@contextmanager
def _written(output: Path | None) -> Iterator[BinaryIO]:
    """Where an export goes. A file gets its name only when it is whole."""
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        special = output.exists() and not output.is_file()  # Such as a named pipe, or /dev/null.
    except OSError as error:
        raise CannotStart(f"{output} can't be written: {first_line_of(error)}") from error
    draft = output if special else output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            yield file
            if not special:
                os.fsync(file.fileno())
        if not special:
            draft.replace(output)
    except OSError as error:
        raise CannotStart(f"{output} can't be written: {first_line_of(error)}") from error
    finally:
        if not special:
            draft.unlink(missing_ok=True)
