"""The program's commands, each in a process of its own that has the program loaded already.

Loading takes a second of CPU, and most tests of a command care for nothing in it. Each process that
runs tests keeps one that has loaded the program and forks for every command, so that what runs is
the program's own `main`, in its own process, with its own environment. `tests/server/test_cli.py`
starts the program as users do.
"""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

_LOADED = (
    "server.backup",
    "server.cli",
    "server.doctor",
    "server.linking",
    "server.sdl",
    "server.secret_rotation",
    "server.serving",
    "server.token_commands",
    "server.usage_files",
    "server.usage_verification",
    "server.wiring",
)
_MESSAGE_BYTES = 1 << 20


def run_program(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    given: str | None = None,
    folder: Path | None = None,
    timeout_seconds: float = 60,
) -> "subprocess.CompletedProcess[str]":
    """What `trunkline …` prints and ends with, as `subprocess.run` gives it.

    `given` is its standard input, `folder` where it runs. A command that takes longer is killed,
    and raises `subprocess.TimeoutExpired`.
    """
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        stdin.write((given or "").encode())
        stdin.seek(0)
        connection.settimeout(timeout_seconds)
        connection.connect(str(_loaded_program()))
        asked = json.dumps([[*arguments], dict(environment), str(folder or Path.cwd())]).encode()
        socket.send_fds(connection, [asked], [stdin.fileno(), stdout.fileno(), stderr.fileno()])
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile() as answers:
            process = int(answers.readline())
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired([*arguments], timeout_seconds) from None
        stdout.seek(0)
        stderr.seek(0)
        return ended(arguments, environment, code, stdout.read().decode(), stderr.read().decode())


def ended(
    arguments: Sequence[str], environment: Mapping[str, str], code: int, output: str, errors: str
) -> "subprocess.CompletedProcess[str]":
    """How a command ended; `tests/planted` stands here and looks for secrets in it."""
    return subprocess.CompletedProcess([*arguments], code, output, errors)


@cache
def _loaded_program() -> Path:
    """Where the process that has it loaded listens. It ends with this one."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-program-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.program", str(path)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(_end, process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"listening\n"
    return path


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


def _serve(path: str) -> NoReturn:
    """Fork for each connection until whoever started this has ended."""
    import importlib
    import select

    for module in _LOADED:
        importlib.import_module(module)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, b"listening\n")
    while True:
        ready, _, _ = select.select([listener.fileno(), 0], [], [])
        if 0 in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(connection)
        connection.close()


def _answer(connection: socket.socket) -> NoReturn:
    """Run one command in a child, and say which process it is and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked, streams, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 3)
    while chunk := connection.recv(_MESSAGE_BYTES):
        asked += chunk
    arguments, environment, folder = json.loads(asked)
    process = os.fork()
    if process == 0:
        connection.close()
        for stream, descriptor in zip(streams, (0, 1, 2), strict=True):
            os.dup2(stream, descriptor)
        os.closerange(3, 256)
        os.chdir(folder)
        _run(arguments, environment)
    connection.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _run(arguments: list[str], environment: dict[str, str]) -> NoReturn:
    """The program's own `main`, to the end of this process."""
    from server.cli import main

    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["trunkline", *arguments]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  # what the interpreter would do
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
