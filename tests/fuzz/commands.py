"""The commands that keep a store, on files and settings as a bad day leaves them."""

import asyncio
import subprocess
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.cases import Case, Finding, Part, Surface, parts_of
from tests.fuzz.hostile import as_json, mutated
from tests.fuzz.program import ELSEWHERE, ENDED, SETTINGS, end_of, environment_text
from tests.fuzz.raw_http import EVENT
from tests.fuzz.store_damage import PLACES, any_step, database_steps, key_step
from tests.fuzz.store_folder import (
    ADMIN_TOKEN,
    ANOTHER_KEY,
    API_KEY,
    DATABASE,
    HEADER,
    KEY_DRAFT,
    KEY_FILE,
    PASSWORD,
    SECRET_KEY,
    SIDE_FILES,
    Seen,
    keys_in,
    lay_out,
    make_store,
    openable,
    seen_in,
)
from tests.fuzz.subject import HANG_SECONDS, Subject
from tests.program import run_program

_CHANGES_NOTHING = frozenset({"doctor", "backup", "restore"})
"""Of what is there: two of them may make a file."""
_SHOWN = 16
"""So many signs of a secret in a row are too many."""
OUTPUTS = (
    "out.db", "out.db", "out.db", "out.db", "data/out.db", "data", "locked/out.db",
    "missing/out.db", "backup.db", "junk.db", "junk.db/out.db", "", ".", "/", "out.db/", "é",
    "a b", "o" * 215, "o" * 255, "o" * 256, "o/" * 3_000, "/proc/out.db", "/dev/null",
    "/dev/full", "-", "~", "\udcff", "a\nb", "a\x1b[2Jb", "a?mode=ro", "a#b", "%00", "file:x",
    ":memory:", "../commands/out.db", *PLACES,
)  # fmt: skip
SOURCES = (
    "backup.db", "backup.db", "backup.db", "backup.db", "backup.db", DATABASE, "junk.db",
    "empty.db", KEY_FILE, "usage.ndjson", "missing", "data", "", ".", "s" * 256, "s/" * 3_000,
    "\udcff", "/dev/null", "/proc/self/mem", "backup.db/", "junk.db/x", "a\nb", ":memory:",
)  # fmt: skip
# What may be a pipe in another case is in none of these: an import waits for its end.
IMPORTED = (
    "usage.ndjson", "usage.ndjson", "usage.ndjson", "junk.db", "empty.db", "missing", "data", "",
    "s" * 256, "\udcff", "/proc/self/mem", "a\nb", "-",
)  # fmt: skip
OTHERS = (
    ("token", "list"), ("token", "create", "x", "--scope", "READ"), ("session", "list"),
    ("usage", "verify"), ("usage", "verify", "--repair"), ("usage", "export"),
    ("usage", "export", "--what", "events"), ("audit", "export"), ("sign-in-link",),
)  # fmt: skip
OWN_SETTINGS: dict[str, tuple[str, ...]] = {
    "DATA_DIR": (
        "data", "fresh", "fresh/a/b", "backup.db", "d" * 256, "d/" * 3_000, "a\nb", "a\x1b[2Jb",
        "a?b", "a%41b", "a#b", "data/../data", "/dev/null", "\udcff",
    ),
    "DATABASE_URL": (
        f"sqlite+aiosqlite:///{DATABASE}", f"sqlite+aiosqlite:///{KEY_FILE}",
        "sqlite+aiosqlite:///backup.db", "sqlite+aiosqlite:///empty.db",
        "sqlite+aiosqlite:///fresh/x.db", "sqlite+aiosqlite:///" + "d" * 5_000,
        "sqlite+aiosqlite:///a\nb", f"sqlite+aiosqlite:///{DATABASE}?mode=ro",
        f"postgresql+asyncpg://u:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql+asyncpg://u:{PASSWORD}@[::1",
        f"postgresql+asyncpg://u:{PASSWORD}@127.0.0.1:x/x",
        f"postgresql://u:{PASSWORD}@127.0.0.1:1/x", f"mysql://u:{PASSWORD}@127.0.0.1:1/x",
        f"sqlite+{PASSWORD}:///x",
    ),
    "SECRET_KEYS": (
        SECRET_KEY, f"{ANOTHER_KEY},{SECRET_KEY}", f"{SECRET_KEY},{ANOTHER_KEY}", SECRET_KEY[:-1],
        ANOTHER_KEY, f"{SECRET_KEY}\n", f"{SECRET_KEY},{ANOTHER_KEY[:30]}", f"{SECRET_KEY},é",
    ),
    "ADMIN_TOKEN": (
        ADMIN_TOKEN, f"{ADMIN_TOKEN}\n", f"{ADMIN_TOKEN} {ADMIN_TOKEN}", ADMIN_TOKEN + "é",
    ),
    "BUS_URL": (
        f"redis://:{PASSWORD}@127.0.0.1:1", f"redis://:{PASSWORD}@127.0.0.1:x",
        f"redis://{PASSWORD}@[", f"redis://u:{PASSWORD}@127.0.0.1:1/0?socket_timeout=x",
        f"http://u:{PASSWORD}@127.0.0.1:1",
    ),
    "PORT": (PASSWORD,),
    "LOG_FORMAT": (PASSWORD, "json"),
    "ALLOWED_HOSTS": (f"{PASSWORD}/x",),
}  # fmt: skip
_DRAWN = ("doctor", "backup", "backup", "restore", "restore", "rotate", "rotate", "import", "other")


def _environment(dice: Random) -> dict[str, str]:
    found = {}
    for _ in range(dice.choice((1, 1, 2, 3))):
        own = dice.random() < 0.6
        name = dice.choice(list(OWN_SETTINGS if own else SETTINGS))
        value = dice.choice((OWN_SETTINGS if own else SETTINGS)[name])
        found[f"TRUNKLINE_{name}"] = value if dice.random() < 0.9 else environment_text(dice)
    if dice.random() < 0.15:
        name = dice.choice(list(ELSEWHERE))
        found[name] = dice.choice(ELSEWHERE[name])
    return found


def _case(seed: int, command: str) -> Case:
    dice = Random(seed)
    steps: list[list[Any]] = []
    environment: dict[str, str] = {}
    match command:
        case "doctor":
            # Providers aren't asked: a turned byte may be one of their addresses.
            arguments = ["doctor", "--no-providers", *dice.choice(([], ["--json"]))]
        case "backup":
            arguments = ["backup", "--", dice.choice(OUTPUTS)]
        case "restore":
            arguments = ["restore", "--", dice.choice(SOURCES)]
            if dice.random() < 0.7:
                environment["TRUNKLINE_DATA_DIR"] = "fresh"
            else:
                steps.append(["remove", dice.choice((DATABASE, DATABASE, "data"))])
        case "rotate":
            flags = dice.choice(("", "", "--resume", "--keep-old", "--forget-unreadable"))
            arguments = ["rotate-secrets", *flags.split()]
        case "import":
            arguments = ["usage", "import", "--", dice.choice(IMPORTED)]
        case _:
            arguments = [*dice.choice(OTHERS)]
    for sort in dice.choices(("database", "key", "any", "environment", "usage"), (4, 2, 2, 2, 1),
                             k=dice.choice((0, 1, 1, 1, 2, 3))):  # fmt: skip
        match sort:
            case "database":
                name = "backup.db" if command == "restore" else DATABASE
                steps += database_steps(name, dice)
            case "key":
                steps.append(key_step(dice))
            case "any":
                steps.append(any_step(dice))
            case "environment":
                environment |= _environment(dice)
            case _:
                line: list[Part] = parts_of(as_json(mutated(EVENT, dice)) + b"\n")
                steps.append(["write", "usage.ndjson", line * dice.choice((1, 1, 30))])
    return {"arguments": arguments, "environment": environment, "steps": steps}


cases = st.builds(_case, st.integers(0, 2**64), st.sampled_from(_DRAWN))


def prepare(subject: Subject) -> None:
    """A store to copy."""
    if "store" in subject.beside:
        return
    folder = subject.log.parent / "stores"
    folder.mkdir()
    subject.beside["webhook_secret"] = asyncio.run(make_store(folder / "store.db"))
    subject.beside["store"] = folder / "store.db"


def play(subject: Subject, case: Case) -> None:
    """Run one command; look at how it ended, what it said, and what became of every file."""
    store: Path = subject.beside["store"]
    folder = store.parent / "commands"
    secrets = (API_KEY, HEADER, ADMIN_TOKEN, PASSWORD, SECRET_KEY, ANOTHER_KEY,
               subject.beside["webhook_secret"])  # fmt: skip
    lay_out(folder, store, case["steps"])
    environment = {"HOME": str(folder), "TRUNKLINE_DATA_DIR": "data"} | case["environment"]
    before, keys, opened = seen_in(folder), keys_in(folder), openable(folder, environment)
    done = _run(case["arguments"], environment, folder)
    for secret in secrets:
        for at in range(0, len(secret) - _SHOWN + 1, 4):
            if secret[at : at + _SHOWN] in done.stdout + done.stderr:
                raise Finding(f"a secret came out: {end_of(done.stderr)}")
    _check_files(case, done.returncode, before, seen_in(folder))
    if done.returncode == 2 and not keys <= keys_in(folder):
        raise Finding("status 2, and a secret key is gone")
    lost = opened - openable(folder, environment)
    if "TRUNKLINE_DATABASE_URL" in environment:
        lost = set()  # Another database may have been sealed anew by the same keys.
    if lost and not _has_triggers(case):
        raise Finding(f"status {done.returncode}, and can't be opened any more: {sorted(lost)}")
    if case["arguments"][0] == "backup" and done.returncode == 0:
        _restore(case["arguments"][-1], environment, folder)


def _run(
    arguments: list[str], environment: dict[str, str], folder: Path
) -> "subprocess.CompletedProcess[str]":
    try:
        done = run_program(arguments, environment, folder=folder, timeout_seconds=HANG_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Finding("hang: the command does not end") from error
    status, errors = done.returncode, done.stderr
    if status not in ENDED or "Traceback" in errors or "Warning: " in errors:
        raise Finding(f"status {status}: {end_of(errors)}")
    said = [line for line in errors.splitlines() if line.startswith("trunkline: ")]
    if len(said) != (1 if status == 2 else 0):
        raise Finding(f"status {status}, and {len(said)} lines that say why: {end_of(errors)}")
    if status == 2 and arguments[0] == "doctor":
        raise Finding(f"doctor ends with 2, and finds nothing: {end_of(errors)}")
    if status == 2 and arguments[0] != "usage" and len(errors.splitlines()) != 1:
        raise Finding(f"status 2, and more than a line: {end_of(errors)}")
    if any(sign < " " and sign != "\n" for sign in done.stdout + errors):
        raise Finding(f"a control character came out: {end_of(errors)!r}")
    return done


def _restore(output: str, environment: dict[str, str], folder: Path) -> None:
    done = _run(["restore", "--", output], environment | {"TRUNKLINE_DATABASE_URL": "",
                "TRUNKLINE_DATA_DIR": "restored"}, folder)  # fmt: skip
    if done.returncode != 0:
        raise Finding(f"a backup that was made can't be restored: {end_of(done.stderr)}")


def _check_files(case: Case, status: int, before: Seen, after: Seen) -> None:
    command, last = case["arguments"][0], case["arguments"][-1]
    may_change = _store_files(case) if command not in _CHANGES_NOTHING else set()
    if command == "rotate-secrets":
        may_change |= {KEY_FILE, KEY_DRAFT}
    changed = {name for name in before if after.get(name) != before[name] and not _is_beside(name)}
    # Whoever opens a database takes in what a killed server had written beside it.
    changed -= {name for name in changed if {f"{name}-wal", f"{name}-journal"} & before.keys()}
    if wrong := changed - may_change:
        raise Finding(f"status {status}, and other than before: {sorted(wrong)}")
    made = {name for name in after.keys() - before.keys() if not _is_beside(name)}
    made = {name for name in made if after[name][0] != "folder" or command != "restore"}
    if command in _CHANGES_NOTHING and len(made) > (status == 0 and command != "doctor"):
        raise Finding(f"status {status}, and {last!r} left {sorted(made)}")
    if drafts := {name for name in made if Path(name).name.startswith(".") and name != last}:
        raise Finding(f"status {status}, and left drafts: {sorted(drafts)}")


def _store_files(case: Case) -> set[str]:
    """What a command that works on the store may write, other than the secret keys."""
    url = case["environment"].get("TRUNKLINE_DATABASE_URL", "")
    return {DATABASE, "data/admin-token", url.partition(":///")[2].partition("?")[0]}


def _has_triggers(case: Case) -> bool:
    """Whether its database loses rows of itself."""
    return any("DELETE FROM providers" in str(step[-1]) for step in case["steps"])


def _is_beside(name: str) -> bool:
    return name.endswith(SIDE_FILES)


COMMANDS = Surface("commands", cases, play, prepare, examples=40)
