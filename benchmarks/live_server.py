"""A Trunkline of its own, in a process of its own, for benchmarks that ask it from outside."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOKEN = "benchmark-token-0123456789"
_MODELS = ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5", "claude-opus-4-1")
_RECORD = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded userErrors { message } } }"""


@contextmanager
def server(**settings: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A Trunkline of its own on an empty database."""
    with tempfile.TemporaryDirectory() as folder, _trunkline(Path(folder), settings) as found:
        yield found


@contextmanager
def _trunkline(
    folder: Path, settings: dict[str, str]
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    environment = own | {
        "TRUNKLINE_DATA_DIR": str(folder),
        "TRUNKLINE_ADMIN_TOKEN": TOKEN,
        **settings,
    }
    program = [str(Path(sys.executable).with_name("trunkline")), "serve", "--port", "0"]
    with subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            link = next(line for line in process.stdout if "#code=" in line)
            yield process, int(link.partition("/graphiql")[0].rpartition(":")[2])
        finally:
            process.kill()


def record(port: int, number: int) -> None:
    """Record one event, each number another."""
    event = {
        "idempotencyKey": f"benchmark-{number}",
        "providerSlug": "anthropic",
        "modelName": _MODELS[number % len(_MODELS)],
        "inputTokens": 1_000 + number,
        "outputTokens": 10,
    }
    body = json.dumps({"query": _RECORD, "variables": {"events": [event]}}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, headers)
    with urllib.request.urlopen(request) as response:
        answer: dict[str, Any] = json.load(response)
    assert answer["data"]["recordUsage"] == {"recorded": 1, "userErrors": []}, answer


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Its resident size."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
