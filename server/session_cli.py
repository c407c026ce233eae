"""`trunkline session …`: browser sessions, from the command line.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from typing import Annotated

import typer

from server.token_cli import DatabaseUrl, DataDir

session_app = typer.Typer(rich_markup_mode=None)


@session_app.callback(invoke_without_command=True)
def session(context: typer.Context) -> None:
    """List and revoke browser sessions."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@session_app.command("list")
def list_(database_url: DatabaseUrl = None, data_dir: DataDir = None) -> None:
    """List the browsers that are signed in, the newest first."""
    from server.session_commands import run_list
    from server.settings import read_settings

    run_list(read_settings(database_url=database_url, data_dir=data_dir))


@session_app.command()
def revoke(
    number: Annotated[
        int | None, typer.Argument(help="Which, as `trunkline session list` numbers them.")
    ] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every session there is.")] = False,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """End a session at once, or all of them."""
    from server.session_commands import run_revoke
    from server.settings import read_settings

    run_revoke(read_settings(database_url=database_url, data_dir=data_dir), number, every=all_)
