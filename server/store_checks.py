"""Checks of the database and of what is sealed in it. They read, and change nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.change_counters import read_counters
from db.engine import Connection, Database
from db.examination import Examined, examine
from db.migrate import newest_revision
from db.provider_rows import ProviderRow
from db.providers import all_providers
from db.sealed import SealedValue, sealed_values
from server.credentials import held_secrets
from server.failures import CannotStart
from server.findings import Finding, bad, doubtful, good
from server.folder_checks import AS_OWNER
from server.key_file import KeyFile
from server.secret_check import named, unreadable_among
from server.settings import PREFIX, Settings
from server.store_commands import first_line_of
from trunkline.clock import Clock
from trunkline.secrets import Secrets

_URL = f"{PREFIX}DATABASE_URL"
_SECONDS_APART = 5.0
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)


class StoreChecks:
    """`run` gives the findings; then `providers` are those that there are, and `secrets`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.providers: list[ProviderRow] = []
        self.secrets: Secrets | None = None

    async def run(self) -> AsyncIterator[Finding]:
        """Look at the database, the clock and the secrets."""
        sealed: list[SealedValue] = []
        # Told once the database is closed: whoever reads them may leave in the middle.
        findings: list[Finding] = []
        missing = _missing(self._settings.database_path)
        if missing is not None:
            findings.append(missing)
        else:
            try:
                async with _examined(self._settings.database_url) as connection:
                    found = await examine(connection)
                    findings += _of_database(found)
                    if found.revision == newest_revision():
                        last = (await read_counters(connection)).usage_as_of
                        findings.append(_of_clock(self._clock(), found.now, last))
                        self.providers = list(await all_providers(connection))
                        sealed = list(await sealed_values(connection))
            except Exception as error:  # noqa: BLE001  # a driver's, of any kind: it is a finding
                said = f"it can't be read: {type(error).__name__}: {first_line_of(error)}"
                advice = f"see that {_URL} names it, or restore a backup"
                findings.append(bad("database", said, advice))
        for finding in findings:
            yield finding
        yield self._of_secrets(sealed)

    def _of_secrets(self, sealed: list[SealedValue]) -> Finding:
        try:
            secrets, key_file = held_secrets(self._settings)
        except CannotStart as error:
            closed = isinstance(error.__cause__, PermissionError)
            advice = AS_OWNER if closed else "restore the key from a backup"
            return bad("secrets", str(error), advice)
        self.secrets = secrets
        unreadable = unreadable_among(sealed, secrets)
        where = f"{PREFIX}SECRET_KEYS" if key_file is None else str(key_file.path)
        if unreadable:
            missing = "is missing" if not secrets.key_ids else f"does not open {named(unreadable)}"
            return bad(
                "secrets",
                f"{where} {missing}",
                "restore the key that sealed it, or let `trunkline rotate-secrets "
                "--forget-unreadable` remove what can't be read",
            )
        return _of_keys(secrets, key_file, where, sealed)


def _missing(path: Path | None) -> Finding | None:
    try:
        if path is None or path.is_file():
            return None
    except OSError as error:  # Its folder, or one before that, is closed to this user; or no name.
        advice = (
            AS_OWNER if isinstance(error, PermissionError) else f"give another {PREFIX}DATA_DIR"
        )
        return bad("database", f"{path} can't be read: {first_line_of(error)}", advice)
    return bad("database", f"there is no {path}", "start `trunkline serve` once")


def _of_keys(
    secrets: Secrets, key_file: KeyFile | None, where: str, sealed: list[SealedValue]
) -> Finding:
    said = f"all {len(sealed)} sealed values can be read with {where}"
    if not secrets.key_ids:
        return good("secrets", f"nothing is sealed yet, and {where} is made by the next start")
    if len(secrets.key_ids) == 1:
        return good("secrets", f"{said} (key {secrets.key_ids[0]})")
    former = sum(1 for value in sealed if secrets.key_of(value.sealed))
    if former:
        advice = "run `trunkline rotate-secrets`: it seals them anew"
        return doubtful("secrets", f"{said}, {former} by a former key", advice)
    resume = "run `trunkline rotate-secrets --resume`"
    if not sealed:  # The command drops no key where it can't see that it is of this database.
        resume += " once something is sealed"
    advice = (
        f"remove the others from {where} once every server was started with the first"
        if key_file is None
        else f"{resume}: it takes the former keys out"
    )
    return doubtful("secrets", f"{said}, all by the first of its keys", advice)


def _of_database(found: Examined) -> list[Finding]:
    newest = newest_revision()
    findings = []
    if found.faults:
        said = f"{found.version}: {'; '.join(found.faults)}"
        advice = "restore a backup, see docs/backup.md"
        if not found.version.startswith("SQLite"):
            advice = "put the database right, or give the user its rights with GRANT"
        findings.append(bad("database", said, advice))
    else:
        findings.append(good("database", f"{found.version}, whole"))
    if found.revision is None:
        advice = "start `trunkline serve` once"
        findings.append(bad("migrations", "the database is empty", advice))
    elif found.revision == newest:
        findings.append(good("migrations", f"at {newest}, as this version wants"))
    elif found.revision < newest:
        said = f"at {found.revision}, and this version wants {newest}"
        advice = "back it up; the next start migrates it"
        findings.append(doubtful("migrations", said, advice))
    else:
        said = f"at {found.revision}, which this version does not know"
        advice = "start the newer version that made it, or restore a backup"
        findings.append(bad("migrations", said, advice))
    return findings


def _of_clock(now: datetime, of_database: datetime | None, last_usage: datetime) -> Finding:
    advice = "set the clock by NTP: usage is counted by it"
    if now < _BUILT:
        return bad("clock", f"it is {now:%Y-%m-%d} here, before this version was made", advice)
    if of_database is not None:
        apart = abs((now - of_database).total_seconds())
        if apart > _SECONDS_APART:
            return doubtful("clock", f"{apart:.0f} s from the database's", advice)
    if last_usage - now > timedelta(seconds=_SECONDS_APART):
        said = f"usage was recorded at {last_usage:%Y-%m-%d %H:%M:%S} UTC, which is ahead"
        return doubtful("clock", said, advice)
    return good("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


@asynccontextmanager
async def _examined(url: str) -> AsyncIterator[Connection]:
    database = Database.examine(url)
    try:
        async with database.read() as connection:
            yield connection
    finally:
        await database.close()
