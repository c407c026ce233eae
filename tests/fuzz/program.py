"""The command line: settings, flags and files as nobody should write them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.cases import Case, Finding, Part, Surface, bytes_of
from tests.fuzz.hostile import STRINGS, as_json, mutated, mutated_bytes
from tests.fuzz.raw_http import EVENT
from tests.fuzz.subject import TOKEN, Subject

NOBODY = "postgresql+asyncpg://127.0.0.1:1/x"
"""Port 1 refuses at once."""
SETTINGS: dict[str, tuple[str, ...]] = {
    "DATABASE_URL": (
        NOBODY, "postgresql+asyncpg://127.0.0.1:99999/x", "postgresql+asyncpg://127.0.0.1:x/x",
        "postgresql+asyncpg://[::1", "postgresql+psycopg2://127.0.0.1:1/x",
        "postgresql://127.0.0.1:1/x",
        "postgresql", "postgresql+asyncpg://127.0.0.1:1",
        "postgresql+asyncpg://127.0.0.1:1/x?ssl=require",
        "postgresql+asyncpg://127.0.0.1:1/x?unknown=1", "sqlite", "sqlite+aiosqlite:///",
        "sqlite:///x.db",
        "sqlite+aiosqlite:///junk.db", "sqlite+aiosqlite:///data",
        "sqlite+aiosqlite:///missing/x.db",
        "sqlite+aiosqlite:////proc/x.db", "sqlite+aiosqlite:///x.db?mode=ro",
        "sqlite+aiosqlite:///x?y=z",
        "sqlite+aiosqlite:///file:x.db?uri=true", "sqlite+aiosqlite:///x.db?timeout=x",
        "sqlite+aiosqlite:///%00", "sqlite+aiosqlite:///" + "a" * 300,
        "sqlite+aiosqlite:///é\udce9.db",
        "sqlite+nothing:///x.db", "sqlite+aiosqlite:///empty.db",
        "sqlite+aiosqlite://127.0.0.1/x.db",
    ),
    "DATA_DIR": ("data", "junk.db", "junk.db/x", "missing/a/b", "/dev/null", "/proc/x", ".", "é",
    "a" * 300,
                 "\udcff", "locked", "data/", "~"),
    "HOST": ("127.0.0.1", "::1", "[::1]", "::", "0.0.0.0", "localhost", "999.0.0.1", "host.invalid",
    "1",
             "192.0.2.1", "fe80::1%nothing", "\udcff", "a" * 300, "127.0.0.1 ", "xn--a"),
    "PORT": ("0", "-1", "65536", "0x1", "1e3", " 0", "0.0", "٠", "1_0", "1"),
    "SECRET_KEYS": ("x", ",", "a" * 43 + "=", "a" * 44, "\udcff", "é" * 44, "=" * 44),
    "ADMIN_TOKEN": ("short", "a" * 16, "é" * 20, "a b" * 9, "\udcff" * 20, "a" * 90_000),
    "ALLOWED_HOSTS": ("a", "*", "a:b", "[", "[::1", "é", ",", "a,,b", "\udcff", "a:99999", "//"),
    "ALLOWED_ORIGINS": ("http://a", "http://", "http://[", "http://a:x", "null", "\udcff",
    "https://a/", "é"),
    "PRIVATE_NETWORKS": ("allow", "deny", "DENY", "x"),
    "LOG_FORMAT": ("json", "console", "x"),
    "EVENT_RETENTION_DAYS": ("1", "0", "36500", "36501", "1.5", "-1", "nan", "1e400"),
    "MOST_AGENTS": ("1", "0", "1e3", "9" * 5_000),
    "PROVIDER_CONCURRENCY": ("1", "0", "nan"),
    "BUS_URL": ("redis://127.0.0.1:1", "redis://127.0.0.1:x", "redis://[", "redis://127.0.0.1:1/x",
    "x",
                "unix:///missing", "unix://", "rediss://127.0.0.1:1", "redis://127.0.0.1:1/0?x=y",
                "redis://a:\udcff@127.0.0.1:1", "redis://127.0.0.1:1/0?socket_timeout=x",
                "redis://127.0.0.1:99999"),
    "MOST_COST": ("1000", "1", "1e9", "10000000001", "inf"),
    "OPERATION_SECONDS": ("0.1", "0", "nan", "inf", "1e400", "-1", "3600.1"),
    "INTROSPECTION": ("on", "off", "x", "2"),
    "PERSISTED_OPERATIONS": ("ops", "missing", "junk.db", "\udcff", ".", "a" * 300),
    "PERSISTED_ONLY": ("on", "x"),
    "OPERATIONS_PER_SECOND": ("0.1", "0", "nan", "inf", "1e7"),
    "MOST_SOCKETS_PER_VIEWER": ("1", "0", "4097"),
    "MOST_STREAMS_PER_VIEWER": ("1", "0"),
    "WEBSOCKET_COMPRESSION": ("on", "x"),
    "COMPILED": ("off", "x"),
}  # fmt: skip
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "HTTPS_PROXY": ("http://127.0.0.1:1", "127.0.0.1:1", "socks5://127.0.0.1:1", "http://[",
    "http://a:b:c", "x",
                    "http://\udcff", "http://u:p@127.0.0.1:99999", "https://é"),
    "NO_PROXY": ("*", ",", "[", "127.0.0.0/99", "\udcff", "10.0.0.0/8,x:y"),
    "SSL_CERT_FILE": ("input", "missing", "data", "\udcff", ""),
    "REQUESTS_CA_BUNDLE": ("input", "missing", "data"),
    "LC_ALL": ("C", "x"),
    "PYTHONIOENCODING": ("ascii",),
}  # fmt: skip
SCRIPT = {"models": {"gpt-5": ["status-503", "fail-429-retry-after-2", "ok"],
                     "*": {"behaviours": ["overloaded"], "healthyAfterSeconds": 30,
                     "then": "ok"}}}  # fmt: skip
MANIFEST = {"a" * 64: "query Q { serverInfo { version } }"}
OPERATION = "query Q($a: Int) { models(first: $a) { nodes { ...F } } } fragment F on Model { id }"
FLAGS = ("--what", "--format", "--from", "--to", "--provider", "--agent", "--dimension", "--period",
"--timezone",
         "--granularity", "--top-groups", "--rank-by", "--output", "--database-url", "--data-dir",
         "--model")  # fmt: skip
AUDIT_FLAGS = ("--from", "--to", "--after", "--object-kind", "--object-id", "--actor-kind",
               "--actor", "--access-token-id", "--action", "--output")  # fmt: skip
GOOD = ("series", "events", "csv", "ndjson", "MODEL", "TODAY", "UTC", "DAY", "5", "COST", "out",
"openai", "PROVIDER", "updateProvider", "QXVkaXRFbnRyeTox",
        "2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z")  # fmt: skip
ENDED = frozenset({0, 1, 2})


def environment_text(dice: Random) -> str:
    """A hostile string that the environment can hold."""
    return "".join(
        sign for sign in dice.choice(STRINGS) if sign != "\0" and not "\ud800" <= sign <= "\udfff"
    )


def _file(pattern: Any, dice: Random, end: bytes = b"") -> list[Part]:
    data = as_json(mutated(pattern, dice)) + end
    match dice.randrange(8):
        case 0:
            return [mutated_bytes(data * 3, dice).decode("latin-1")]
        case 1:
            return [[data.decode("latin-1"), 2_000]]
        case 2:
            return ["\xff\xfe", data.decode().encode("utf-16").decode("latin-1")]
        case 3:
            return [[dice.choice(("[", '{"a":', " ", "\0", "x", "\n")), 200_000]]
        case 4:
            return ["\xef\xbb\xbf", data.decode("latin-1")]
        case 5:
            return []
    return [data.decode("latin-1")]


def _chained(count: int) -> str:
    """Fragments that each spread the next."""
    chain = " ".join(f"fragment F{one} on Query {{ ...F{one + 1} }}" for one in range(count))
    return f"query Q {{ ...F0 }} {chain} fragment F{count} on Query {{ __typename }}"


def _case(seed: int, sort: str) -> Case:
    dice = Random(seed)
    environment: dict[str, str] = {}
    arguments: list[str] = []
    file: list[Part] = []
    match sort:
        case "settings":
            arguments = [dice.choice(("serve", "serve", "serve", "sign-in-link"))]
            for _ in range(dice.choice((1, 1, 2, 5))):
                name = dice.choice(list(SETTINGS))
                value = (
                    dice.choice(SETTINGS[name]) if dice.random() < 0.8 else environment_text(dice)
                )
                environment[f"TRUNKLINE_{name}"] = value
            if dice.random() < 0.2:
                name = dice.choice(list(ELSEWHERE))
                environment[name] = dice.choice(ELSEWHERE[name])
        case "import":
            arguments = [
                "usage",
                "import",
                dice.choice(("input", "input", "input", "-", "missing", "data", "é")),
            ]
            file = _file(EVENT, dice, b"\n")
        case "export":
            command = dice.choice(("usage", "usage", "audit"))
            arguments = [command, "export"]
            for _ in range(dice.randrange(6)):
                arguments += [
                    dice.choice(FLAGS[:13] if command == "usage" else AUDIT_FLAGS),
                    dice.choice(GOOD) if dice.random() < 0.8 else environment_text(dice),
                ]
        case "script":
            arguments = ["simulate-provider", "--port", "0", "--script", "input"]
            file = _file(SCRIPT, dice)
            for flag in ("--tokens-per-second", "--latency-ms", "--error-rate", "--host"):
                if dice.random() < 0.1:
                    arguments += [flag, dice.choice(("nan", "inf", "1e400", "-1", "x", "0", "1"))]
        case "operations":
            arguments = ["serve"]
            environment = {"TRUNKLINE_PERSISTED_OPERATIONS": "ops"}
            if dice.random() < 0.5:
                file = _file(
                    MANIFEST
                    if dice.random() < 0.5
                    else {"operations": [{"id": "a", "body": OPERATION}]},
                    dice,
                )
                environment["FUZZ_FILE"] = "ops/input.json"
            else:
                text = OPERATION if dice.random() < 0.9 else _chained(dice.choice((50, 400, 2_000)))
                file = [mutated_bytes(text.encode(), dice).decode("latin-1")]
                environment["FUZZ_FILE"] = "ops/input.graphql"
        case _:
            words = ("usage", "token", "create", "list", "revoke", "rotate", "export", "import",
            "verify",
                     "export-schema", "--scope", "READ", "--expires", "1d", "-h", "--", "-",
                     "--version", "ci", "--all", "1", *AUDIT_FLAGS, *GOOD)  # fmt: skip
            arguments = [
                dice.choice(("usage", "token", "token", "audit", "session", "export-schema", "x"))
            ]
            for _ in range(dice.randrange(6)):
                arguments.append(
                    dice.choice(words) if dice.random() < 0.7 else environment_text(dice)
                )
    return {"arguments": arguments, "environment": environment, "file": file}


cases = st.builds(
    _case,
    st.integers(0, 2**64),
    st.sampled_from(["settings", "settings", "settings", "import", "export", "script", "operations",
    "words"]),
)  # fmt: skip


def prepare(subject: Subject) -> None:
    """A folder with a data directory, and a process that has loaded the program."""
    if "runner" in subject.beside:
        return
    folder = subject.log.parent / "program"
    (folder / "ops").mkdir(parents=True, exist_ok=True)
    (folder / "locked").mkdir(mode=0o500, exist_ok=True)
    (folder / "junk.db").write_bytes(b"this is no database\0" * 300)
    (folder / "empty.db").touch()
    subject.beside["runner"] = subprocess.Popen(
        [sys.executable, "-W", "always::RuntimeWarning", "-m", "tests.fuzz.program_runner"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    subject.beside["folder"] = folder
    play(subject, {"arguments": ["serve"], "environment": {}, "file": []})


def conclude(subject: Subject) -> None:
    """Let the process end."""
    runner: subprocess.Popen[str] = subject.beside["runner"]
    assert runner.stdin is not None
    assert runner.stdout is not None
    runner.stdin.close()
    runner.stdout.close()
    runner.wait(60)
    del subject.beside["runner"]


def play(subject: Subject, case: Case) -> None:
    """Run one command, and look at how it ended and what it said."""
    folder: Path = subject.beside["folder"]
    environment = dict(case["environment"])
    for old in (folder / "ops").iterdir():
        old.unlink()
    (folder / environment.pop("FUZZ_FILE", "input")).write_bytes(bytes_of(case["file"]))
    given = {
        "TRUNKLINE_DATA_DIR": "data",
        "TRUNKLINE_ADMIN_TOKEN": TOKEN,
        "TRUNKLINE_PORT": "0",
        "HOME": str(folder),
    }
    runner: subprocess.Popen[str] = subject.beside["runner"]
    assert runner.stdin is not None
    assert runner.stdout is not None
    asked = {
        "arguments": case["arguments"],
        "environment": given | environment,
        "folder": str(folder),
    }
    runner.stdin.write(json.dumps(asked) + "\n")
    runner.stdin.flush()
    _check(json.loads(runner.stdout.readline()))


def _check(ended: dict[str, Any]) -> None:
    status, errors = ended["status"], ended["errors"]
    if status is None:
        raise Finding("hang: the command does not end")
    if status not in ENDED or "Traceback" in errors or "Warning: " in errors:
        raise Finding(f"status {status}: {end_of(errors)}")
    said = [line for line in errors.splitlines() if line.startswith("trunkline: ")]
    if status == 2 and len(said) != 1:
        raise Finding(f"status 2, and {len(said)} lines that say why: {end_of(errors)}")


def end_of(errors: str) -> str:
    """What a command said last, for a finding."""
    return " / ".join(line[-600:] for line in errors.splitlines()[-12:])


PROGRAM = Surface("program", cases, play, prepare, conclude, examples=30)
