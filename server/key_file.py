"""The file of the secret keys in the data directory: one a line, the newest first.

`trunkline rotate-secrets` replaces it while servers run; they read it again when it is another one.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from server.failures import CannotStart
from server.private_files import create_private, open_lock, read_private, replace_private
from server.settings import BadSettings
from trunkline.secrets import SecretKeyGone, generate_secret_key, is_secret_key

log = structlog.get_logger(__name__)

SECRET_KEY_FILE = "secret-key"  # noqa: S105  # a name

_Stamp = tuple[int, int, int]


class KeyFile:
    """What `trunkline.secrets.Secrets` reads its keys from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: _Stamp | None = None

    def read(self) -> tuple[str, ...]:
        """Its keys, newest first; none where there is no file. Raises `BadSettings`."""
        try:
            stamp = self._present_stamp()
            text = read_private(self.path)
        except FileNotFoundError:
            self._stamp = None
            return ()
        except OSError as error:
            raise BadSettings(f"{self.path} can't be used: {error.strerror}") from error
        # Of before the reading: a file that is replaced meanwhile is read once more.
        self._stamp = stamp
        keys = tuple(line.strip() for line in text.splitlines() if line.strip())
        if not keys:
            raise BadSettings(
                f"{self.path} is empty: restore it, or delete it to have a new one generated"
            )
        if not all(is_secret_key(key) for key in keys):
            raise BadSettings(
                f"{self.path}: each line is 32 random bytes in URL-safe base64: restore it"
            )
        return keys

    def changed(self) -> Sequence[str] | None:
        """Its keys where it is another file than was read last. Raises `SecretKeyGone`."""
        try:
            if self._present_stamp() == self._stamp:
                return None
            keys = self.read()
        except (OSError, BadSettings) as error:
            raise SecretKeyGone from error
        if not keys:
            raise SecretKeyGone
        log.info("secret keys read anew", keys=len(keys))
        return keys

    def create(self) -> None:
        """Generate a key where there is no file. Raises `BadSettings`."""
        try:
            create_private(self.path, generate_secret_key())
        except OSError as error:
            raise BadSettings(f"{self.path} can't be made: {error.strerror}") from error

    def replace(self, keys: Sequence[str]) -> None:
        """Put these keys in the place of what it holds. Raises `CannotStart`."""
        try:
            replace_private(self.path, "\n".join(keys))
        except OSError as error:
            raise CannotStart(f"{self.path} can't be replaced: {error.strerror}") from error

    @contextmanager
    def sole_writer(self) -> Iterator[None]:
        """Hold it against every other command that would replace it. Raises `CannotStart`."""
        path = self.path.with_name(f"{self.path.name}.lock")
        try:
            file = open_lock(path)
        except OSError as error:
            raise CannotStart(f"{path} can't be written: {error.strerror}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CannotStart(
                    "another `trunkline rotate-secrets` is at work: wait for its end"
                ) from error
            yield

    def _present_stamp(self) -> _Stamp:
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size
