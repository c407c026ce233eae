"""`trunkline serve` as a process of its own: a free port, a new database, a clean end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ADMIN_TOKEN = "an-admin-token-for-the-tests-of-the-page"
PATIENCE_SECONDS = 60.0
"""For a start on a machine that is busy with other tests; a start takes a second or two."""

_TRUNKLINE = Path(sys.executable).with_name("trunkline")


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running server, as its start described itself."""

    url: str
    sign_in_link: str
    admin_token: str
    environment: dict[str, str] = field(repr=False)

    def another_sign_in_link(self) -> str:
        """What `trunkline sign-in-link` prints beside this server."""
        port = self.url.rpartition(":")[2]
        printed = subprocess.run(
            [_TRUNKLINE, "sign-in-link"],
            env=self.environment | {"TRUNKLINE_PORT": port},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_SECONDS,
        ).stdout
        return _link_in(printed)


@contextmanager
def running_server(folder: Path) -> Iterator[LiveServer]:
    """A server whose data is in `folder`. Fails where it doesn't start or doesn't end cleanly."""
    # Nothing of the person's own environment changes what is tested, their keys least of all.
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TRUNKLINE_") and not name.endswith("_API_KEY")
    }
    environment = own | {
        "TRUNKLINE_DATA_DIR": str(folder / "data"),
        "TRUNKLINE_ADMIN_TOKEN": ADMIN_TOKEN,
    }
    log = folder / "server.log"
    with log.open("w") as errors, _started(environment, errors.fileno()) as process:
        link = _wait_for_link(process, log)
        yield LiveServer(link.partition("/graphiql")[0], link, ADMIN_TOKEN, environment)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_SECONDS)
    assert process.returncode == 0, f"the server ended badly:\n{log.read_text()}"


@contextmanager
def _started(
    environment: dict[str, str], errors: int, *arguments: str
) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [_TRUNKLINE, "serve", "--port", "0", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for_link(process: "subprocess.Popen[str]", log: Path) -> str:
    assert process.stdout is not None
    # Whoever doesn't say its link in time is ended, which ends the reading too.
    too_late = threading.Timer(PATIENCE_SECONDS, process.kill)
    too_late.start()
    printed = ""
    while "#code=" not in printed and (line := process.stdout.readline()):
        printed += line
    too_late.cancel()
    assert "#code=" in printed, f"the server did not start:\n{printed}{log.read_text()}"
    return _link_in(printed)


def _link_in(printed: str) -> str:
    return next(word for word in printed.split() if "#code=" in word)
