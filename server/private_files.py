"""Files that are their owner's alone: read, made once, or replaced; whole or not at all."""

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TextIO

MODE = 0o600
_MOST_BYTES = 1 << 16


def read_private(path: Path) -> str:
    """What it holds. Raises `OSError`, also of what has no end: a pipe, a device, a huge file."""
    # A pipe is opened without waiting for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            text = file.read(_MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > _MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return text.decode("utf-8", "replace")


def create_private(path: Path, text: str) -> bool:
    """Write a new file whole or not at all; False where somebody else was faster.

    Raises `OSError`.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, text, os.O_EXCL)
        # A link fails where the name is taken, which a rename would overwrite.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def replace_private(path: Path, text: str) -> None:
    """Put this in the file's place: whoever reads it sees the former text or the new one.

    It is there for good when this returns. One process at a time may do it: the draft's name is
    always the same, so that a killed one leaves a single draft, and the next takes it.
    Raises `OSError`.
    """
    draft = path.with_name(f".{path.name}.new")
    _write(draft, text, os.O_TRUNC)
    draft.replace(path)
    sync_folder(path.parent)


def open_lock(path: Path) -> TextIO:
    """Open a file that is only there to be locked. Raises `OSError`, also of a link or a pipe.

    Through a link that leads nowhere it would make another file, such as an empty database.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    return os.fdopen(os.open(path, flags, 0o666), "a")


def sync_folder(folder: Path) -> None:
    """Keep the names in it, also when the machine loses its power. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, text: str, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, MODE)
        file.write(f"{text}\n")
        file.flush()
        os.fsync(descriptor)
