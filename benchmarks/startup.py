"""How long a start takes, and what an idle server holds.

Run `python -m benchmarks startup`. A server is started on a seeded database, again and again; the
time from the command to the first good answer of `/readyz`, and to one of `/graphql`, is set
against the time that the interpreter takes to import uvicorn, SQLAlchemy and Strawberry alone. The
memory is that of the idle server, set against a bare uvicorn with an empty app. The aims: 1.5
seconds, 90 MB.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.live_server import TOKEN, cpu_seconds

ROUNDS = 7
AIM_SECONDS = 1.5
AIM_MEGABYTES = 90
_TRUNKLINE = Path(sys.executable).with_name("trunkline")
_BARE = """
import uvicorn
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})
uvicorn.run(app, port=int(__import__("sys").argv[1]), lifespan="off", log_level="error")
"""


def main() -> None:
    """Measure, and print the tables."""
    imports = [_seconds_of([sys.executable, "-c", "import uvicorn, sqlalchemy, strawberry"])
               for _ in range(ROUNDS)]  # fmt: skip
    help_text = [_seconds_of([str(_TRUNKLINE), "--help"]) for _ in range(ROUNDS)]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "TRUNKLINE_DATA_DIR": folder,
            "TRUNKLINE_ADMIN_TOKEN": TOKEN,
        }
        first = _start(environment)
        rounds = [_start(environment) for _ in range(ROUNDS)]
    bare = _bare_megabytes()
    base = statistics.median(imports)
    print("| what | seconds (median) | of the imports alone | aim |")
    print("|---|---|---|---|")
    for name, seconds, aim in (
        ("importing uvicorn, SQLAlchemy and Strawberry", base, ""),
        ("`trunkline --help`", statistics.median(help_text), ""),
        ("first start: migrated, seeded, `/readyz` answers", first[0], ""),
        ("start on a seeded database, `/readyz` answers", _median(rounds, 0), f"{AIM_SECONDS:g} s"),
        ("the same, `/graphql` answers", _median(rounds, 1), f"{AIM_SECONDS:g} s"),
        ("CPU time of that start", _median(rounds, 3), ""),
    ):
        print(f"| {name} | {seconds:.2f} | {seconds / base:.1f} | {aim} |")
    print("\n| memory of an idle server | MB | of bare uvicorn | aim |")
    print("|---|---|---|---|")
    for name, megabytes, aim in (
        ("bare uvicorn", bare, ""),
        ("Trunkline, started on a seeded database", _median(rounds, 2), f"{AIM_MEGABYTES} MB"),
        ("Trunkline after its first start, which seeded", first[2], ""),
    ):
        print(f"| {name} | {megabytes:.0f} | {megabytes / bare:.1f} | {aim} |")


def _start(environment: dict[str, str]) -> tuple[float, float, float, float]:
    """Seconds to `/readyz` and to `/graphql`, megabytes when idle, CPU seconds to `/graphql`."""
    port = 18_787
    began = time.perf_counter()
    process = subprocess.Popen(
        [_TRUNKLINE, "serve", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_it_answers(f"http://127.0.0.1:{port}/readyz", process)
        ready = time.perf_counter() - began
        body = json.dumps({"query": "{ providers { totalCount } }"}).encode()
        _until_it_answers(f"http://127.0.0.1:{port}/graphql", process, body)
        answered = time.perf_counter() - began
        cpu = cpu_seconds(process.pid)
        time.sleep(1.5)  # What it loads after the start counts as well.
        return ready, answered, _megabytes(process.pid), cpu
    finally:
        process.terminate()
        process.wait(10)


def _until_it_answers(
    url: str, process: "subprocess.Popen[bytes]", body: bytes | None = None
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    while process.poll() is None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers)):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.005)
    sys.exit(f"the server ended before {url} answered")


def _bare_megabytes() -> float:
    port = "18788"
    process = subprocess.Popen([sys.executable, "-c", _BARE, port])
    try:
        _until_it_answers(f"http://127.0.0.1:{port}/", process)
        return _megabytes(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError("no VmRSS: this needs Linux")


def _seconds_of(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _median(rounds: list[tuple[float, float, float, float]], place: int) -> float:
    return statistics.median(one[place] for one in rounds)


if __name__ == "__main__":
    main()
