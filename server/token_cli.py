"""`trunkline token …`: access tokens, from the command line.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path

import click

from server.cli_parts import Commands, store_options

token_group = Commands("token", "Create, list, rotate and revoke access tokens.")

_name_argument = click.argument("name", help="The token's name.")


@token_group.command()
@click.argument("name", help="What to call it; its requests' agent, unless they name another.")
@click.option(
    "--scope",
    required=True,
    multiple=True,
    help="ADMIN, CONFIGURE, READ, INGEST or GATEWAY; repeat it for several.",
)
@click.option("--expires", help="Such as 90d, 12h or 2027-01-31T00:00:00Z; left out, never.")
@click.option(
    "--chain", multiple=True, help="The only chain that it may ask for, by slug; repeatable."
)
@click.option("--agent", multiple=True, help="The only agent that it may send for; repeatable.")
@store_options
def create(
    name: str,
    scope: tuple[str, ...],
    expires: str | None,
    chain: tuple[str, ...],
    agent: tuple[str, ...],
    database_url: str | None,
    data_dir: Path | None,
) -> None:
    """Create a token and print it, this once."""
    from server.settings import read_settings
    from server.token_commands import Asked, run_create

    settings = read_settings(database_url=database_url, data_dir=data_dir)
    run_create(settings, Asked(name, scope, expires, chain, agent))


@token_group.command("list")
@store_options
def list_(database_url: str | None, data_dir: Path | None) -> None:
    """List the tokens that were not revoked, by name."""
    from server.settings import read_settings
    from server.token_commands import run_list

    run_list(read_settings(database_url=database_url, data_dir=data_dir))


@token_group.command()
@_name_argument
@click.option(
    "--grace",
    default="24h",
    help="How long the present token is let in too, such as 24h or 0s.",
)
@store_options
def rotate(name: str, grace: str, database_url: str | None, data_dir: Path | None) -> None:
    """Replace a token and print the new one, this once."""
    from server.settings import read_settings
    from server.token_commands import run_rotate

    run_rotate(read_settings(database_url=database_url, data_dir=data_dir), name, grace)


@token_group.command()
@_name_argument
@store_options
def revoke(name: str, database_url: str | None, data_dir: Path | None) -> None:
    """End a token at once."""
    from server.settings import read_settings
    from server.token_commands import run_revoke

    run_revoke(read_settings(database_url=database_url, data_dir=data_dir), name)
