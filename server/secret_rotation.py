"""`trunkline rotate-secrets`: everything that is sealed, under a new key, while servers run.

With the keys in the data directory's file the command makes the new key, and takes the former out
when nothing is sealed by it any more. With `TRUNKLINE_SECRET_KEYS` an operator does both. Raises
`CannotStart` for whatever an operator can put right.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from db.engine import Database
from db.sealed import sealed_values
from server.credentials import held_secrets
from server.failures import CannotStart
from server.key_file import KeyFile
from server.logs import configure_logs
from server.printed import say
from server.progress import Progress
from server.secret_check import named, unreadable_among
from server.settings import PREFIX, Settings
from server.store_commands import first_line_of, make_way, require_database, run_on_loop
from server.wiring import command_services, open_database
from trunkline.audit.actors import command_line
from trunkline.forgetting import forget_unreadable
from trunkline.resealing import KeepsChanging, Resealing, reseal_everything
from trunkline.secrets import Secrets, generate_secret_key

_FORGET = "--forget-unreadable"
_KEEP = "--keep-old"


def run_rotate_secrets(settings: Settings, *, resume: bool, keep_old: bool) -> None:
    """Rotate, or finish a rotation that was begun; say how many values were sealed anew."""
    require_database(settings)
    configure_logs(settings.log_format)
    secrets, key_file = held_secrets(settings)
    with key_file.sole_writer() if key_file is not None else nullcontext():
        run_on_loop(_rotate(settings, secrets, key_file, resume=resume, keep_old=keep_old))


def run_forget_unreadable(settings: Settings) -> None:
    """Remove what no key opens, and say what that was."""
    require_database(settings)
    configure_logs(settings.log_format)
    _, key_file = held_secrets(settings)
    if key_file is not None:
        key_file.create()
    run_on_loop(_forget(settings))


async def _rotate(
    settings: Settings,
    secrets: Secrets,
    key_file: KeyFile | None,
    *,
    resume: bool,
    keep_old: bool,
) -> None:
    async with open_database(settings) as database:
        sealed = await _require_all_readable(database, secrets, key_file)
        # Read again under the lock: another command may just have ended.
        keys = () if key_file is None else key_file.read()
        begun = len(keys) > 1
        if key_file is not None and not begun and resume:
            say("nothing to do: no rotation is unfinished")
            return
        if key_file is not None and not keep_old and not sealed:
            raise CannotStart(
                "nothing was changed: nothing is sealed in this database, so that nothing says "
                f"whether the key in {key_file.path} is of it. See that {PREFIX}DATABASE_URL names "
                f"the right one, or give {_KEEP}: the present key stays beside the new one"
            )
        if key_file is not None and not begun:
            key_file.replace([generate_secret_key(), *keys])
        if key_file is not None:
            newest, *_ = keys = key_file.read()
            secrets = Secrets(keys, key_file)

        drop_former = None
        if key_file is not None and not keep_old:
            drop_former = partial(key_file.replace, [newest])
        done = await _resealed(settings, database, secrets, drop_former)
    _tell(done, secrets, key_file, begun=begun, keep_old=keep_old)


async def _require_all_readable(
    database: Database, secrets: Secrets, key_file: KeyFile | None
) -> int:
    """How many values are sealed. Raises `CannotStart` where one can't be opened."""
    async with database.read() as connection:
        values = await sealed_values(connection)
    unreadable = unreadable_among(values, secrets)
    if unreadable:
        where = f"{PREFIX}SECRET_KEYS" if key_file is None else str(key_file.path)
        raise CannotStart(
            f"nothing was changed: {where} does not open {named(unreadable)}. Add the key that "
            f"sealed it, or let `trunkline rotate-secrets {_FORGET}` remove what can't be read"
        )
    if key_file is not None and not secrets.key_ids:
        raise CannotStart(
            f"there is no {key_file.path}: start `trunkline serve` first, or give its "
            f"{PREFIX}DATA_DIR"
        )
    return len(values)


async def _resealed(
    settings: Settings, database: Database, secrets: Secrets, drop_former: Callable[[], None] | None
) -> Resealing:
    progress = Progress()

    async def on_batch(done: Resealing) -> None:
        progress.show(f"{done.resealed:,} of {done.total:,} sealed anew")
        await make_way(settings)

    try:
        done = await reseal_everything(
            database, secrets, on_batch=on_batch, finally_do=drop_former, actor=command_line()
        )
    except KeepsChanging as error:
        raise CannotStart(
            "a server keeps sealing by a former key: start every server with the new key first in "
            f"{PREFIX}SECRET_KEYS, and run this again"
        ) from error
    except CannotStart:
        raise
    except Exception as error:
        raise CannotStart(
            f"the rotation broke off: {first_line_of(error)}; everything can be read as before: "
            "run it again to finish"
        ) from error
    finally:
        progress.clear()
    if done.unreadable:
        # Somebody stored it meanwhile, with a key that this command was not given.
        raise CannotStart(
            f"{done.resealed:,} were sealed anew, and no key at hand opens "
            f"{named(done.unreadable)}: the former keys were kept; add the key that sealed it and "
            "run this again"
        )
    return done


def _tell(
    done: Resealing, secrets: Secrets, key_file: KeyFile | None, *, begun: bool, keep_old: bool
) -> None:
    newest = secrets.key_ids[0]
    if done.resealed:
        say(f"{done.resealed:,} of {done.total:,} sealed anew, all by key {newest} now")
    else:
        say(f"nothing to seal anew: all {done.total:,} are sealed by key {newest}")
    if key_file is None:
        if len(secrets.key_ids) > 1:
            say(
                f"once every server was started with this key first, {PREFIX}SECRET_KEYS needs "
                "the others no more; run this again before you remove them"
            )
        else:
            say(f"to rotate, put a new key first in {PREFIX}SECRET_KEYS, keep the present one")
    elif keep_old:
        say(f"the former keys stay in {key_file.path}; run this again to take them out")
    else:
        say(
            f"{key_file.path} holds this key alone"
            + (", and the rotation that was begun is finished" if begun else "")
            + "; a backup of the database from before needs the former one"
        )


async def _forget(settings: Settings) -> None:
    async with command_services(settings) as services:
        forgotten = await forget_unreadable(services)
    for one in forgotten:
        if one.webhook_secret is None:
            say(f"{one.value.label} was removed: set it anew")
        else:
            sys.stdout.write(f"{one.webhook_secret}\n")
            say(
                f"{one.value.label} could not be read: the one above is its new one, shown this "
                "once; give it to the receiver"
            )
    if not forgotten:
        say("nothing to remove: everything can be read")
