"""The commands that keep a store safe: new secret keys, a check of everything, backup and restore.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path

import click

from server.cli_parts import PATH, store_options


@click.command()
@click.option("--resume", is_flag=True, help="Finish a rotation that was begun; begin none.")
@click.option("--keep-old", is_flag=True, help="Leave the former key in the file of keys.")
@click.option(
    "--forget-unreadable",
    is_flag=True,
    help="Instead, remove what no key opens: a key is lost for good.",
)
@store_options
def rotate_secrets(
    *,
    resume: bool,
    keep_old: bool,
    forget_unreadable: bool,
    database_url: str | None,
    data_dir: Path | None,
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


@click.command()
@click.option(
    "--providers/--no-providers", default=True, help="Ask each enabled provider for its models."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for a machine.")
@store_options
def doctor(
    *, providers: bool, as_json: bool, database_url: str | None, data_dir: Path | None
) -> int:
    """Check settings, files, secrets, database, migrations and providers; change nothing."""
    from server.doctor import run_doctor

    return run_doctor(
        providers=providers, as_json=as_json, database_url=database_url, data_dir=data_dir
    )


@click.command()
@click.argument("output", type=PATH, help="The file to make; it must not be there yet.")
@store_options
def backup(output: Path, database_url: str | None, data_dir: Path | None) -> None:
    """Copy the SQLite database into a file, also while a server runs."""
    from server.backup import run_backup
    from server.settings import read_settings

    run_backup(read_settings(database_url=database_url, data_dir=data_dir), output)


@click.command()
@click.argument("source", type=PATH, help="A file that `trunkline backup` made.")
@store_options
def restore(source: Path, database_url: str | None, data_dir: Path | None) -> None:
    """Put a backup where there is no database yet, and no server runs."""
    from server.backup import run_restore
    from server.settings import read_settings

    run_restore(read_settings(database_url=database_url, data_dir=data_dir), source)
