"""`trunkline rotate-secrets`: killed at any moment, beside servers, wherever the keys are kept."""

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import update

from db import providers as stored_providers
from db.engine import Connection, Database
from db.sealed import replace_sealed, sealed_values
from db.tables import providers
from db.vocabulary import ProviderKind
from server import secret_rotation
from server.credentials import credentials
from server.failures import CannotStart
from server.key_file import KeyFile
from server.secret_check import SecretsUnreadable, require_readable
from server.secret_rotation import run_forget_unreadable
from server.settings import Settings, read_settings
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.wiring import services_on
from tests.conftest import SECRET_KEY
from tests.server.test_cli import PROGRAM, TOKEN, environment, run, serving
from trunkline.errors import Refused
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    stored_api_key,
    update_provider,
)
from trunkline.secrets import Secrets, generate_secret_key

KEY = "sk-the-key-of-{}-0123456789"
MANY = 120


@pytest.fixture
async def data_dir(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory as a server left it, with more providers' keys than one batch takes."""
    for name in ("ADMIN_TOKEN", "SECRET_KEYS", "DATABASE_URL"):
        monkeypatch.delenv(f"TRUNKLINE_{name}", raising=False)
    # The command sends this process's log to where it was told to; other tests want it elsewhere.
    monkeypatch.setattr(secret_rotation, "configure_logs", lambda log_format: None)
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    shutil.copy(sqlite_template, folder / "trunkline.db")
    KeyFile(folder / "secret-key").create()
    database = Database.open(f"sqlite+aiosqlite:///{folder}/trunkline.db")
    held = credentials(read_settings(data_dir=folder))
    async with services_on(database, held.secrets) as services:
        made = await create_provider(
            services,
            NewProvider(slug="p0", name="P", kind=ProviderKind.OLLAMA, api_key=KEY.format(0)),
        )

    async def fill(connection: Connection) -> None:
        """The same as creating each, and quicker."""
        for number in range(1, MANY):
            await stored_providers.insert_provider(
                connection, slug=f"p{number}", name="P", kind=made.kind, base_url=made.base_url,
                enabled=True, known_provider=None, now=made.created_at,
            )  # fmt: skip
            sealed = held.secrets.seal(
                KEY.format(number), provider_id=made.id + number, origin="http://127.0.0.1:11434"
            )
            await stored_providers.store_api_key(
                connection, made.id + number, sealed=sealed, masked="…", now=made.created_at
            )

    await database.transact(fill)
    await database.close()
    return folder


def rotate(folder: Path) -> None:
    secret_rotation.run_rotate_secrets(settings_of(folder), resume=False, keep_old=False)


def settings_of(folder: Path) -> Settings:
    return read_settings(data_dir=folder)


def keys_in(folder: Path) -> list[str]:
    path = folder / "secret-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path.read_text().split()


async def everything_opens(folder: Path, secrets: Secrets) -> None:
    database = Database.open(settings_of(folder).database_url)
    async with services_on(database, secrets) as services, database.read() as connection:
        rows = await stored_providers.all_providers(connection)
        assert len(rows) == MANY
        for number, row in enumerate(rows):
            assert stored_api_key(services, row) == KEY.format(number)
    await database.close()


def secrets_of(folder: Path) -> Secrets:
    """As a process that starts now has them."""
    return credentials(settings_of(folder)).secrets


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is run."""


def killed_at(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrange that the next rotation ends there."""
    from trunkline import resealing

    def end(*_: object) -> Any:
        raise Killed

    real_replace = KeyFile.replace

    def replace(file: KeyFile, keys: Any) -> None:
        is_last = len(keys) == 1
        if moment == f"before {'dropping' if is_last else 'adding'}":
            raise Killed
        real_replace(file, keys)
        if moment == f"after {'dropping' if is_last else 'adding'}":
            raise Killed

    monkeypatch.setattr(KeyFile, "replace", replace)
    if moment == "with a draft written":
        monkeypatch.setattr(Path, "replace", end)
    if moment == "after the first batch":
        monkeypatch.setattr(secret_rotation, "make_way", end)
    if moment == "in the middle of a batch":
        real, count = replace_sealed, iter(range(10**6))

        async def replace_some(*arguments: Any) -> bool:
            return end() if next(count) == 70 else await real(*arguments)

        monkeypatch.setattr(resealing, "replace_sealed", replace_some)


MOMENTS = [
    "before adding", "with a draft written", "after adding", "in the middle of a batch",
    "after the first batch", "before dropping", "after dropping",
]  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_nothing_is_unreadable_and_the_next_run_finishes(
    data_dir: Path, moment: str
) -> None:
    (first_key,) = keys_in(data_dir)
    since_before = secrets_of(data_dir)  # A server that was started before, and not again.
    with pytest.MonkeyPatch.context() as patched:
        killed_at(moment, patched)
        with pytest.raises(Killed):
            rotate(data_dir)
    asyncio.run(everything_opens(data_dir, secrets_of(data_dir)))
    asyncio.run(everything_opens(data_dir, since_before))
    left = keys_in(data_dir)
    rotate(data_dir)
    (last_key,) = keys_in(data_dir)
    assert last_key != first_key
    assert last_key == left[0] or len(left) == 1, "a rotation that was begun is finished"
    asyncio.run(everything_opens(data_dir, Secrets([last_key])))
    asyncio.run(everything_opens(data_dir, since_before))


def test_resuming_begins_none_and_the_former_key_may_be_kept(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (former,) = keys_in(data_dir)
    secret_rotation.run_rotate_secrets(settings_of(data_dir), resume=True, keep_old=False)
    assert "nothing to do" in capsys.readouterr().err
    assert keys_in(data_dir) == [former]
    secret_rotation.run_rotate_secrets(settings_of(data_dir), resume=False, keep_old=True)
    assert f"{MANY} of {MANY} sealed anew" in capsys.readouterr().err
    newest, kept = keys_in(data_dir)
    assert kept == former
    secret_rotation.run_rotate_secrets(settings_of(data_dir), resume=True, keep_old=False)
    said = capsys.readouterr().err
    assert "nothing to seal anew" in said
    assert keys_in(data_dir) == [newest]
    assert newest not in said
    assert former not in said


@pytest.mark.slow
def test_a_command_that_is_killed_again_and_again_loses_nothing(data_dir: Path) -> None:
    for tenths in range(3, 10, 2):
        with subprocess.Popen(
            [PROGRAM, "rotate-secrets"], env=environment(data_dir), stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(tenths / 10)  # Into another moment of its run each time.
            process.send_signal(signal.SIGKILL)
        asyncio.run(everything_opens(data_dir, secrets_of(data_dir)))
    assert run(data_dir, "rotate-secrets").returncode == 0
    (last,) = keys_in(data_dir)
    asyncio.run(everything_opens(data_dir, Secrets([last])))


def test_a_value_that_no_key_opens_is_named_and_nothing_is_changed(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = keys_in(data_dir)
    asyncio.run(spoil(data_dir, "p7"))
    with pytest.raises(CannotStart, match="does not open the API key of provider 'p7'"):
        rotate(data_dir)
    assert keys_in(data_dir) == before
    secret_rotation.run_forget_unreadable(settings_of(data_dir))
    rotate(data_dir)
    said = capsys.readouterr().err
    assert "the API key of provider 'p7' was removed: set it anew" in said
    assert f"{MANY - 1} of {MANY - 1} sealed anew" in said


def test_a_database_that_cannot_be_read_is_told_and_the_key_stays(data_dir: Path) -> None:
    before = keys_in(data_dir)
    with closing(sqlite3.connect(data_dir / "trunkline.db")) as opened, opened:
        opened.execute("DROP TABLE budgets")
    for command in (rotate, lambda folder: run_forget_unreadable(settings_of(folder))):
        with pytest.raises(CannotStart, match=r"the database can't be used: .*no such table"):
            command(data_dir)
    assert keys_in(data_dir) == before


def test_an_empty_file_is_no_database_whose_key_is_rotated(data_dir: Path, tmp_path: Path) -> None:
    before = keys_in(data_dir)
    (tmp_path / "wrong.db").touch()
    url = f"sqlite+aiosqlite:///{tmp_path / 'wrong.db'}"
    wrong = read_settings(data_dir=data_dir, database_url=url)
    with pytest.raises(CannotStart, match="there is no database at"):
        secret_rotation.run_rotate_secrets(wrong, resume=False, keep_old=False)
    assert keys_in(data_dir) == before


def test_where_nothing_is_sealed_the_former_key_is_never_dropped(
    data_dir: Path, sqlite_template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = keys_in(data_dir)
    shutil.copy(sqlite_template, tmp_path / "wrong.db")
    url = f"sqlite+aiosqlite:///{tmp_path / 'wrong.db'}"
    wrong = read_settings(data_dir=data_dir, database_url=url)
    with pytest.raises(CannotStart, match=r"nothing was changed: .* TRUNKLINE_DATABASE_URL"):
        secret_rotation.run_rotate_secrets(wrong, resume=False, keep_old=False)
    assert keys_in(data_dir) == before
    secret_rotation.run_rotate_secrets(wrong, resume=True, keep_old=False)
    assert "nothing to do" in capsys.readouterr().err
    secret_rotation.run_rotate_secrets(wrong, resume=False, keep_old=True)
    newest, former = keys_in(data_dir)
    assert [former] == before
    # Nor is a rotation finished that was begun on the right one.
    with pytest.raises(CannotStart, match="nothing is sealed in this database"):
        secret_rotation.run_rotate_secrets(wrong, resume=True, keep_old=False)
    assert keys_in(data_dir) == [newest, former]
    rotate(data_dir)
    assert f"{MANY} of {MANY} sealed anew" in capsys.readouterr().err
    assert keys_in(data_dir) == [newest]


async def spoil(folder: Path, slug: str) -> None:
    """Have its key sealed by a key that nobody has."""
    database = Database.open(settings_of(folder).database_url)
    sealed = Secrets([generate_secret_key()]).seal("k", provider_id=1, origin="o")

    async def store(connection: Connection) -> None:
        await connection.execute(
            update(providers).where(providers.c.slug == slug).values(api_key_encrypted=sealed)
        )

    await database.transact(store)
    await database.close()


async def test_keys_that_are_set_all_the_while_are_never_left_to_a_former_key(
    data_dir: Path,
) -> None:
    database = Database.open(settings_of(data_dir).database_url)
    async with services_on(database, secrets_of(data_dir)) as services:
        written = 0

        async def keep_setting() -> None:
            nonlocal written
            while True:
                number = written % MANY
                change = ProviderUpdate(id=number + 1, api_key=KEY.format(number) + "-new")
                await update_provider(services, change)
                change = ProviderUpdate(id=number + 1, api_key=KEY.format(number))
                await update_provider(services, change)
                written += 1
                await asyncio.sleep(0.005)  # The command gets its turn at SQLite's lock too.

        setting = asyncio.create_task(keep_setting())
        met = 0
        for _ in range(40):  # A rotation may be over before a write got its turn.
            before = written
            await asyncio.to_thread(rotate, data_dir)
            met += written > before
            (last,) = keys_in(data_dir)
            async with database.read() as connection:
                values = await sealed_values(connection)
            assert {Secrets([last]).key_of(value.sealed) for value in values} == {0}
            if met == 2:
                break
        assert met == 2, "it was held up"
        setting.cancel()
        await asyncio.gather(setting, return_exceptions=True)
    await database.close()


SET = """mutation ($input: UpdateProviderInput!) {
  updateProvider(input: $input) { userErrors { message } } }"""
ID = '{ provider(slug: "p0") { id } }'
TEST = """mutation ($id: ID!) { testConnection(input: { providerId: $id }) {
  connectionTest { status message } userErrors { message } } }"""


@pytest.mark.slow
async def test_a_running_server_follows_and_seals_by_the_new_key(data_dir: Path) -> None:
    api_key = "sk-set-after-the-rotation-0123456789"
    async with running_simulator(Behaviour(api_key=api_key)) as simulator:
        with serving(data_dir) as served:
            async with aiohttp.ClientSession(
                f"{served.url}/", headers={"Authorization": f"Bearer {TOKEN}"}
            ) as session:

                async def ask(query: str, **variables: Any) -> Any:
                    body = {"query": query, "variables": variables}
                    async with session.post("graphql", json=body) as response:
                        answer = await response.json()
                    assert "errors" not in answer, answer
                    return answer["data"]

                for _ in range(2):
                    await asyncio.to_thread(rotate, data_dir)
                (newest,) = keys_in(data_dir)
                provider = (await ask(ID))["provider"]["id"]
                # Sealed by two keys after the one that the server began with.
                tested = (await ask(TEST, id=provider))["testConnection"]
                assert not tested["userErrors"], tested
                given = {"id": provider, "baseUrl": simulator, "apiKey": api_key}
                assert not (await ask(SET, input=given))["updateProvider"]["userErrors"]
                tested = (await ask(TEST, id=provider))["testConnection"]
                assert tested["connectionTest"]["status"] == "OK", tested
                (data_dir / "secret-key").rename(data_dir / "secret-key.away")
                refused = (await ask(SET, input=given))["updateProvider"]["userErrors"]
                assert "secret-key file" in refused[0]["message"]
                (data_dir / "secret-key.away").rename(data_dir / "secret-key")
    database = Database.open(settings_of(data_dir).database_url)
    async with database.read() as connection:
        places = {Secrets([newest]).key_of(one.sealed) for one in await sealed_values(connection)}
    await database.close()
    assert places == {0}


@pytest.mark.slow
def test_a_missing_key_is_not_made_anew_over_what_it_sealed(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_dir / "secret-key").unlink()
    refused = run(data_dir, "serve", "--port", "0")
    assert refused.returncode == 2
    (line,) = [one for one in refused.stderr.splitlines() if one.startswith("trunkline:")]
    assert "secret-key is missing" in line
    assert "the API key of provider 'p0'" in line
    assert "and 110 more" in line
    assert "--forget-unreadable" in line
    assert not (data_dir / "secret-key").exists()
    secret_rotation.run_forget_unreadable(settings_of(data_dir))
    assert "the API key of provider 'p3' was removed" in capsys.readouterr().err
    with serving(data_dir):
        pass


async def test_keys_of_the_environment_are_rotated_by_their_order(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(secret_rotation, "configure_logs", lambda log_format: None)
    newer = generate_secret_key()
    database = Database.open(database_url)
    async with services_on(database, Secrets([SECRET_KEY])) as services:
        new = NewProvider(
            slug="own", name="Own", kind=ProviderKind.OLLAMA, api_key=KEY.format("own")
        )
        provider = await create_provider(services, new)

        async def rotate_by(keys: str) -> str:
            given = _given(tmp_path, database_url, keys)
            await asyncio.to_thread(
                secret_rotation.run_rotate_secrets, given, resume=False, keep_old=False
            )
            return capsys.readouterr().err

        with pytest.raises(CannotStart, match="SECRET_KEYS does not open the API key of provider"):
            await rotate_by(newer)
        assert "1 of 1 sealed anew" in await rotate_by(f"{newer},{SECRET_KEY}")
        assert "nothing to seal anew" in await rotate_by(f"{newer},{SECRET_KEY}")
        async with database.read() as connection:
            row = await stored_providers.find_provider(connection, provider.id)
        assert row is not None
    async with services_on(database, Secrets([newer])) as services:
        assert stored_api_key(services, row) == KEY.format("own")
        held = credentials(_given(tmp_path, database_url, newer))
        await require_readable(database, held)
        held = credentials(_given(tmp_path, database_url, SECRET_KEY))
        with pytest.raises(SecretsUnreadable, match=r"SECRET_KEYS does not open the API key of"):
            await require_readable(database, held)
    await database.close()


def _given(folder: Path, database_url: str, keys: str) -> Settings:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TRUNKLINE_SECRET_KEYS", keys)
        patched.setenv("TRUNKLINE_ADMIN_TOKEN", TOKEN)
        return read_settings(data_dir=folder, database_url=database_url)


def test_two_rotations_at_once_are_refused(data_dir: Path) -> None:
    with (
        KeyFile(data_dir / "secret-key").sole_writer(),
        pytest.raises(CannotStart, match="at work"),
    ):
        rotate(data_dir)


def test_a_broken_file_refuses_to_seal_and_opens_still(data_dir: Path) -> None:
    secrets = secrets_of(data_dir)
    sealed = secrets.seal("k", provider_id=1, origin="o")
    os.truncate(data_dir / "secret-key", 0)
    with pytest.raises(Refused, match="restore it"):
        secrets.seal("k", provider_id=1, origin="o")
    assert secrets.open(sealed, provider_id=1, origin="o") == "k"
