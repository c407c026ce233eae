"""`trunkline token …`: access tokens, from the command line.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path
from typing import Annotated

import typer

token_app = typer.Typer(rich_markup_mode=None)

DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="sqlite+aiosqlite:///… or postgresql+asyncpg://… [TRUNKLINE_DATABASE_URL]."),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Where database and keys are kept [TRUNKLINE_DATA_DIR].")
]
Name = Annotated[str, typer.Argument(help="The token's name.")]


@token_app.callback(invoke_without_command=True)
def token(context: typer.Context) -> None:
    """Create, list, rotate and revoke access tokens."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@token_app.command()
def create(
    name: Annotated[
        str, typer.Argument(help="What to call it; its requests' agent, unless they name another.")
    ],
    scope: Annotated[
        list[str],
        typer.Option(help="ADMIN, CONFIGURE, READ, INGEST or GATEWAY; repeat it for several."),
    ],
    expires: Annotated[
        str | None, typer.Option(help="Such as 90d, 12h or 2027-01-31T00:00:00Z; left out, never.")
    ] = None,
    chain: Annotated[
        list[str] | None,
        typer.Option(help="The only chain that it may ask for, by slug; repeatable."),
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option(help="The only agent that it may send for; repeatable.")
    ] = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Create a token and print it, this once."""
    from server.settings import read_settings
    from server.token_commands import Asked, run_create

    settings = read_settings(database_url=database_url, data_dir=data_dir)
    run_create(settings, Asked(name, scope, expires, chain, agent))


@token_app.command("list")
def list_(database_url: DatabaseUrl = None, data_dir: DataDir = None) -> None:
    """List the tokens that were not revoked, by name."""
    from server.settings import read_settings
    from server.token_commands import run_list

    run_list(read_settings(database_url=database_url, data_dir=data_dir))


@token_app.command()
def rotate(
    name: Name,
    grace: Annotated[
        str, typer.Option(help="How long the present token is let in too, such as 24h or 0s.")
    ] = "24h",
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Replace a token and print the new one, this once."""
    from server.settings import read_settings
    from server.token_commands import run_rotate

    run_rotate(read_settings(database_url=database_url, data_dir=data_dir), name, grace)


@token_app.command()
def revoke(name: Name, database_url: DatabaseUrl = None, data_dir: DataDir = None) -> None:
    """End a token at once."""
    from server.settings import read_settings
    from server.token_commands import run_revoke

    run_revoke(read_settings(database_url=database_url, data_dir=data_dir), name)
