"""`trunkline token …`: the program itself, on both databases, beside a server that it tells."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.engine import Database
from db.vocabulary import ProviderKind
from server.wiring import services_on
from tests.conftest import SECRET_KEY
from tests.program import run_program
from trunkline.access.known import KnownTokens
from trunkline.catalog.changes import NewModel, create_model
from trunkline.clock import system_clock
from trunkline.failover.chains import NewChain, create_chain
from trunkline.failover.steps import StepInput
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets

PROGRAM = str(Path(sys.executable).with_name("trunkline"))


class CommandLine:
    """The program on a database."""

    def __init__(self, database_url: str, folder: Path) -> None:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")
        }
        self.database_url = database_url
        self.environment = kept | {
            "TRUNKLINE_DATA_DIR": str(folder),
            "TRUNKLINE_DATABASE_URL": database_url,
            "TRUNKLINE_ADMIN_TOKEN": "token-for-the-command-line",
            "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
        }

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return run_program(["token", *arguments], self.environment)

    def made(self, *arguments: str) -> str:
        """The token that a command prints: nothing else goes to stdout."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        (text,) = done.stdout.splitlines()
        assert text not in done.stderr
        return text

    async def lets_in(self, text: str) -> bool:
        database = Database.open(self.database_url)
        known = KnownTokens(database, system_clock)
        found = await known.admit(text)
        await known.drain()
        await database.close()
        return found is not None


@pytest.fixture
async def command_line(database_url: str, tmp_path: Path) -> CommandLine:
    database = Database.open(database_url)
    async with services_on(database, Secrets([SECRET_KEY])) as services:
        provider = await create_provider(
            services, NewProvider(slug="own", name="Own", kind=ProviderKind.OLLAMA)
        )
        model = await create_model(services, NewModel(provider_id=provider.id, wire_name="m"))
        await create_chain(services, NewChain(name="Support", steps=[StepInput(model_id=model.id)]))
    await database.close()
    return CommandLine(database_url, tmp_path)


async def test_a_tokens_life(command_line: CommandLine) -> None:
    first = command_line.made(
        "create", "bot", "--scope", "gateway", "--scope", "READ", "--chain", "support",
        "--agent", "helper", "--expires", "90d",
    )  # fmt: skip
    assert first.startswith("tl_")
    assert await command_line.lets_in(first)
    second = command_line.made("rotate", "bot", "--grace", "1h")
    assert await command_line.lets_in(first)
    assert await command_line.lets_in(second)
    listed = command_line.run("list")
    _, row = listed.stdout.splitlines()
    now = datetime.now(UTC)
    for shown in ("bot", f"tl_…{second[-4:]}", "READ, GATEWAY", "chain/support, agent helper",
                  now.strftime("%Y-%m-%d")):  # fmt: skip
        assert shown in row
    assert first not in listed.stdout
    assert second not in listed.stdout
    third = command_line.made("rotate", "BOT", "--grace", "0s")
    assert not await command_line.lets_in(second)
    assert command_line.run("revoke", "bot").returncode == 0
    assert not await command_line.lets_in(third)
    assert len(command_line.run("list").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "x"), "--scope"),
        (("create", "x", "--scope", "ROOT"), "ADMIN, CONFIGURE, READ, INGEST, GATEWAY"),
        (("create", " ", "--scope", "READ"), "name"),
        (("create", "x", "--scope", "READ", "--expires", "soon"), "90d"),
        (("create", "x", "--scope", "READ", "--expires", "2027-01-31T00:00:00"), "offset"),
        (("create", "x", "--scope", "READ", "--expires", "2020-01-31T00:00:00Z"), "ahead"),
        (("create", "x", "--scope", "READ", "--expires", "999999999d"), "90d"),
        (("create", "x", "--scope", "READ", "--chain", "none"), "'none'"),
        (("create", "x", "--scope", "READ", "--scope", "READ"), "scopes has this twice"),
        (("create", "x", "--scope", "READ", "--agent", ""), "an agent's name can't be empty"),
        (("rotate", "nobody"), "'nobody'"),
        (("rotate", "nobody", "--grace", "1 day"), "24h"),
        (("revoke", "nobody"), "trunkline token list"),
        (("revoke", "\udcff"), "trunkline token list"),
        (("create", "x", "--scope", "READ", "--chain", "\udcff"), "'\\udcff'"),
    ],
)
def test_what_is_wrong_is_one_line(
    sqlite_template: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    shutil.copy(sqlite_template, tmp_path / "trunkline.db")
    url = f"sqlite+aiosqlite:///{tmp_path / 'trunkline.db'}"
    done = CommandLine(url, tmp_path).run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert said in line
