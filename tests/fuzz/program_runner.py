"""Runs commands of the program, each in a fork of a process that has loaded it: 20 ms instead of a
second.

Reads `{"arguments", "environment", "folder"}` a line on stdin and answers `{"status", "output",
"errors"}`. `serve` and `simulate-provider` end where they would begin to listen. No host is known
by name but localhost.
"""

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

import server.serving
import server.simulated.command
import server.usage_files
import server.usage_verification  # loaded before the fork
from server.cli import main

HANG_SECONDS = 60
_found = socket.getaddrinfo


def _run(case: dict[str, Any], outputs: list[Path]) -> NoReturn:
    """In the fork."""
    os.chdir(case["folder"])
    os.environ.clear()
    for name, value in case["environment"].items():
        os.environ[name] = value
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False,  # noqa: SIM115
                      errors="backslashreplace")  # fmt: skip
    sys.argv = ["trunkline", *case["arguments"]]
    status: Any = 0
    try:
        main()
    except SystemExit as ended:
        status = ended.code
    except BaseException:  # noqa: BLE001  # as the interpreter does
        sys.excepthook(*sys.exc_info())
        status = 70
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1)


def _numeric(host: Any, *arguments: Any, **options: Any) -> Any:
    if host not in {None, "localhost"}:
        try:
            ip_address(host)
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    return _found(host, *arguments, **options)


def _no_server(*_arguments: Any, **_options: Any) -> NoReturn:
    raise SystemExit(0)


async def _served(*_arguments: Any) -> None:
    await asyncio.sleep(0)


def _waited(child: int) -> int | None:
    until = time.monotonic() + HANG_SECONDS
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def run() -> None:
    """Serve until stdin ends."""
    socket.getaddrinfo = _numeric
    server.serving.make_server = _no_server
    server.simulated.command._serve = _served  # type: ignore[assignment]
    gc.freeze()
    for line in sys.stdin:
        case = json.loads(line)
        outputs = [Path(case["folder"]) / name for name in ("stdout", "stderr")]
        child = os.fork()
        if child == 0:
            _run(case, outputs)
        status = _waited(child)
        said = [path.read_bytes()[:20_000].decode("utf-8", "replace") for path in outputs]
        answer = {"status": status, "output": said[0], "errors": said[1]}
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    run()
