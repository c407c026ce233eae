"""The commands that keep a store safe: new secret keys, a check of everything, backup and restore.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path
from typing import Annotated

import typer

DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="sqlite+aiosqlite:///… or postgresql+asyncpg://… [TRUNKLINE_DATABASE_URL]."),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Where database and keys are kept [TRUNKLINE_DATA_DIR].")
]


def add_store_commands(app: typer.Typer) -> None:
    """Make them commands of this program."""
    app.command()(rotate_secrets)
    app.command()(doctor)
    app.command()(backup)
    app.command()(restore)


def rotate_secrets(
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish a rotation that was begun; begin none.")
    ] = False,
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Leave the former key in the file of keys.")
    ] = False,
    forget_unreadable: Annotated[
        bool,
        typer.Option(
            "--forget-unreadable", help="Instead, remove what no key opens: a key is lost for good."
        ),
    ] = False,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Encrypt every provider key and webhook secret under a new key, also while servers run."""
    from server.failures import CannotStart
    from server.secret_rotation import run_forget_unreadable, run_rotate_secrets
    from server.settings import read_settings

    settings = read_settings(database_url=database_url, data_dir=data_dir)
    if not forget_unreadable:
        run_rotate_secrets(settings, resume=resume, keep_old=keep_old)
    elif resume or keep_old:
        raise CannotStart("--forget-unreadable goes with neither --resume nor --keep-old")
    else:
        run_forget_unreadable(settings)


def doctor(
    *,
    providers: Annotated[
        bool,
        typer.Option(
            "--providers/--no-providers", help="Ask each enabled provider for its models."
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for a machine.")] = False,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> int:
    """Check settings, files, secrets, database, migrations and providers; change nothing."""
    from server.doctor import run_doctor

    return run_doctor(
        providers=providers, as_json=as_json, database_url=database_url, data_dir=data_dir
    )


def backup(
    output: Annotated[Path, typer.Argument(help="The file to make; it must not be there yet.")],
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Copy the SQLite database into a file, also while a server runs."""
    from server.backup import run_backup
    from server.settings import read_settings

    run_backup(read_settings(database_url=database_url, data_dir=data_dir), output)


def restore(
    source: Annotated[Path, typer.Argument(help="A file that `trunkline backup` made.")],
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Put a backup where there is no database yet, and no server runs."""
    from server.backup import run_restore
    from server.settings import read_settings

    run_restore(read_settings(database_url=database_url, data_dir=data_dir), source)
