"""`trunkline session …`: browser sessions, from the command line.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path

import click

from server.cli_parts import Commands, store_options

session_group = Commands("session", "List and revoke browser sessions.")


@session_group.command("list")
@store_options
def list_(database_url: str | None, data_dir: Path | None) -> None:
    """List the browsers that are signed in, the newest first."""
    from server.session_commands import run_list
    from server.settings import read_settings

    run_list(read_settings(database_url=database_url, data_dir=data_dir))


@session_group.command()
@click.argument(
    "number",
    type=int,
    required=False,
    help="Which, as `trunkline session list` numbers them.",
)
@click.option("--all", "all_", is_flag=True, help="Every session there is.")
@store_options
def revoke(
    number: int | None, *, all_: bool, database_url: str | None, data_dir: Path | None
) -> None:
    """End a session at once, or all of them."""
    from server.session_commands import run_revoke
    from server.settings import read_settings

    run_revoke(read_settings(database_url=database_url, data_dir=data_dir), number, every=all_)
