"""How a store is broken: what a disk, an editor, a crash or a mistake leaves of its files.

A step is what `store_folder.lay_out` does to a file, as a list: what, which file, and how.
"""

import base64
from random import Random
from typing import Any

from tests.fuzz.cases import parts_of
from tests.fuzz.hostile import mutated_bytes
from tests.fuzz.store_folder import ANOTHER_KEY, DATABASE, KEY_DRAFT, KEY_FILE, SECRET_KEY

Step = list[Any]

PLACES = (
    DATABASE, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal",
    f"{DATABASE}.lock", KEY_FILE, KEY_FILE, f"{KEY_FILE}.lock", KEY_DRAFT, "data/admin-token",
    "data", "backup.db", "usage.ndjson", "out.db",
)  # fmt: skip
LINKS = (
    "/dev/zero", "nowhere", "/dev/null", "/dev/full", "/proc/x/y", "trunkline.db", "secret-key",
    "../backup.db", "../junk.db", "../data", "backup.db", ".", "l" * 256,
)  # fmt: skip
VALUES = (
    "NULL", "5", "1.5", "99999999999", "-1", "''", "'x'", "'é'", "X''", "X'ff00'",
    "zeroblob(3000000)", "CAST(X'ff1b5b324a' AS TEXT)", "char(27) || '[2J'",
    "'a' || char(10) || 'b'", "'http://['", "'9999'", "'0001'", "X'30303037'",
    "'x' || char(0) || 'y'", "replace(hex(zeroblob(9000)), '0', 'y')",
    "CAST(api_key_encrypted AS TEXT)", "substr(api_key_encrypted, 5)",
)  # fmt: skip
COLUMNS = (
    "alembic_version.version_num", "alembic_version.version_num", "providers.api_key_encrypted",
    "providers.api_key_encrypted", "providers.extra_headers_encrypted", "providers.slug",
    "providers.base_url", "providers.kind", "providers.enabled", "providers.created_at",
    "providers.id", "budgets.webhook_secret_encrypted", "budgets.name",
    "budgets.webhook_previous_secret_encrypted", "usage_clock.as_of",
)  # fmt: skip
SCRIPTS = (
    "DROP TABLE alembic_version", "DELETE FROM alembic_version", "DROP TABLE providers",
    "INSERT INTO alembic_version VALUES ('0001')", "DROP TABLE budgets",
    "DROP TABLE audit_entries", "ALTER TABLE providers RENAME COLUMN slug TO slug_",
    "DROP TABLE change_counters", "DELETE FROM change_counters",
    "CREATE TABLE sneaky (a); INSERT INTO sneaky VALUES (zeroblob(500000))",
    "CREATE TRIGGER t BEFORE UPDATE ON providers BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER t BEFORE UPDATE ON providers BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    "CREATE TRIGGER t BEFORE UPDATE ON providers BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER t AFTER UPDATE ON providers BEGIN DELETE FROM providers WHERE id = new.id; END",
    "CREATE TRIGGER t BEFORE UPDATE ON budgets BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER t BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER t BEFORE INSERT ON usage_events BEGIN SELECT RAISE(ABORT, 'no'); END",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM",
    "PRAGMA journal_mode = DELETE; PRAGMA page_size = 65536; VACUUM", "PRAGMA user_version = -1",
    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'x' WHERE name = 'providers'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'budgets'",
    "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema",
    "DROP TABLE alembic_version; CREATE VIEW alembic_version AS SELECT '0001' AS version_num",
    "DROP TABLE alembic_version; CREATE VIEW alembic_version AS SELECT 1 AS n, NULL AS version_num",
)  # fmt: skip
HEADERS = (  # https://www.sqlite.org/fileformat.html#the_database_header
    (16, 2, ["\x00\x01"]), (16, 2, ["\x02\x00"]), (16, 2, ["\x00\x00"]), (18, 2, ["\x03\x03"]),
    (18, 2, ["\x01\x01"]), (20, 1, ["\xff"]), (28, 4, ["\xff\xff\xff\xff"]),
    (28, 4, ["\x00\x00\x00\x01"]), (28, 4, ["\x7f\xff\xff\xff"]),
    (32, 8, ["\x00\x00\x00\x02\x7f\xff\xff\xff"]), (44, 4, ["\x00\x00\x00\x05"]),
    (52, 4, ["\x00\x00\x00\x09"]), (56, 4, ["\x00\x00\x00\x02"]), (56, 4, ["\x00\x00\x00\x03"]),
    (96, 4, ["\x00\x00\x00\x00"]),
)  # fmt: skip
KEYS = (
    "", "\n", " ", "\0" * 44, SECRET_KEY[:-1], SECRET_KEY[:20], SECRET_KEY + "=",
    f"{SECRET_KEY}\r\n", f"{ANOTHER_KEY}\r\n{SECRET_KEY}\r\n", f"{ANOTHER_KEY}\n{SECRET_KEY}\n",
    f"{SECRET_KEY}\n{ANOTHER_KEY}\n", f"{SECRET_KEY}\n" * 2, f"{SECRET_KEY}\n\n\n",
    f"{SECRET_KEY}\n{ANOTHER_KEY[:-3]}", f"{ANOTHER_KEY}\n", f"{SECRET_KEY},{ANOTHER_KEY}",
    f"{SECRET_KEY} {ANOTHER_KEY}", f"\ufeff{SECRET_KEY}\n", f"\t{SECRET_KEY}\v",
    f"{SECRET_KEY}\r", f"{ANOTHER_KEY}\u2028{SECRET_KEY}", f"{SECRET_KEY}\x85", f'"{SECRET_KEY}"',
    base64.b64encode(base64.urlsafe_b64decode(SECRET_KEY)).decode(), SECRET_KEY.rstrip("="),
    SECRET_KEY.lower(), "é" * 44, f"secret-key: {SECRET_KEY}",
    f"{ANOTHER_KEY}\n" * 500 + SECRET_KEY,
)  # fmt: skip


def database_steps(name: str, dice: Random) -> list[Step]:
    """What breaks this database: its bytes, its schema, its rows, or what is beside it."""

    def edit(at: int) -> Step:
        data = dice.randbytes(dice.choice((1, 1, 2, 4, 16, 300)))
        if dice.random() < 0.3:
            data = bytes([dice.choice((0, 255))]) * dice.choice((1, 4, 100, 4_096, 20_000))
        kept = dice.random() < 0.8  # The length of the file.
        return ["edit", name, at, len(data) if kept else dice.randrange(9), parts_of(data)]

    def changed() -> str:
        table, _, column = dice.choice(COLUMNS).partition(".")
        some = dice.choice(("", "", " WHERE rowid = 2"))
        return f"UPDATE {table} SET {column} = {dice.choice(VALUES)}{some}"

    match dice.randrange(9):
        case 0:
            return [["cut", name, dice.choice((0, 1, 16, 99, 100, 4_096, dice.randrange(10**6)))]]
        case 1:
            if dice.random() < 0.5:
                return [["edit", name, *dice.choice(HEADERS)]]
            return [edit(dice.randrange(100))]
        case 2:
            page = dice.randrange(80) * 4_096
            return [edit(page + dice.choice((0, 5, 8, 100, dice.randrange(4_096))))]
        case 3:
            return [edit(dice.randrange(10**6)) for _ in range(dice.choice((1, 3, 20)))]
        case 4:
            return [["grow", name, dice.choice((2**20, 2**27 + 1))]]
        case 5:
            script = f"UPDATE providers SET name = 'x'; {dice.choice((changed(), *SCRIPTS))}"
            wal = f"{name}-wal"
            at, turned = dice.randrange(10**5), parts_of(dice.randbytes(4))
            hurt = dice.choice(([], [["cut", wal, at]], [["edit", wal, at, 4, turned]],
                                [["remove", name]], [["write", name, []]]))  # fmt: skip
            return [["killed", name, script], *hurt]
        case 6:
            return [["sql", name, dice.choice(SCRIPTS)]]
    return [["sql", name, changed()] for _ in range(dice.choice((1, 1, 2)))]


def any_step(dice: Random) -> Step:
    """Another thing in the place of a file."""
    name = dice.choice(PLACES)
    match dice.randrange(7):
        case 0:
            return ["folder", name]
        case 1 | 2:
            # An import from what has no end has none.
            return ["link", name, dice.choice(LINKS if name != "usage.ndjson" else LINKS[4:])]
        case 3:
            return ["mode", name, dice.choice((0, 0o400, 0o644, 0o777, 0o200))]
        case 4:
            return [
                "write",
                name,
                dice.choice(([], ["x"], [["\0", 100_000]], parts_of(dice.randbytes(99)))),
            ]
        case 5:
            return ["pipe", dice.choice((DATABASE, KEY_FILE, "data/admin-token", "backup.db"))]
    return ["remove", name]


def key_step(dice: Random) -> Step:
    """What the files of the secret keys and of the admin token may have come to hold."""
    name = dice.choice((KEY_FILE, KEY_FILE, KEY_FILE, KEY_DRAFT, "data/admin-token"))
    if dice.random() < 0.1:
        return ["grow", name, dice.choice((10**6, 2**33))]
    data = dice.choice(KEYS).encode(dice.choice(("utf-8", "utf-8", "utf-8", "utf-8", "utf-16")))
    if dice.random() < 0.2:
        data = mutated_bytes(data, dice)
    return ["write", name, parts_of(data)]
