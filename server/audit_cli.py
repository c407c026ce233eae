"""`trunkline audit …`: the audit log, from the command line.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path
from typing import Annotated

import typer

audit_app = typer.Typer(rich_markup_mode=None)

_Several = list[str] | None


@audit_app.callback(invoke_without_command=True)
def audit(context: typer.Context) -> None:
    """Read who changed what."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@audit_app.command("export")
def export_(
    from_: Annotated[
        str | None, typer.Option("--from", help="Such as 2026-11-01T00:00:00Z; inclusive.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Exclusive.")] = None,
    after: Annotated[
        str | None, typer.Option(help="Only what came after this entry, by its id.")
    ] = None,
    object_kind: Annotated[
        _Several,
        typer.Option(
            help="PROVIDER, MODEL, FAILOVER_CHAIN, BUDGET, ACCESS_TOKEN or CATALOG; repeatable."
        ),
    ] = None,
    object_id: Annotated[_Several, typer.Option(help="Of the API; repeatable.")] = None,
    actor_kind: Annotated[
        _Several,
        typer.Option(help="ADMIN, ACCESS_TOKEN, COMMAND_LINE or SYSTEM; repeatable."),
    ] = None,
    actor: Annotated[_Several, typer.Option(help="By its name; repeatable.")] = None,
    access_token_id: Annotated[_Several, typer.Option(help="Of the API; repeatable.")] = None,
    action: Annotated[_Several, typer.Option(help="Such as updateProvider; repeatable.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write, whole or not at all; stdout where left out.")
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            help="sqlite+aiosqlite:///… or postgresql+asyncpg://… [TRUNKLINE_DATABASE_URL]."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where database and keys are kept [TRUNKLINE_DATA_DIR].")
    ] = None,
) -> None:
    """Write the audit log as NDJSON, oldest first."""
    from server.audit_files import run_export
    from server.settings import read_settings

    single = {"from": from_, "to": to, "after": after}
    several = {
        "objectKind": object_kind, "objectId": object_id, "actorKind": actor_kind,
        "actor": actor, "accessTokenId": access_token_id, "action": action,
    }  # fmt: skip
    given = [(name, value) for name, value in single.items() if value is not None]
    given += [(name, value) for name, listed in several.items() for value in listed or ()]
    settings = read_settings(database_url=database_url, data_dir=data_dir)
    raise typer.Exit(run_export(settings, given, output))
