"""`trunkline usage …`: usage out of the store and into it, from the command line.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path
from typing import Annotated

import typer

usage_app = typer.Typer(rich_markup_mode=None)

DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="sqlite+aiosqlite:///… or postgresql+asyncpg://… [TRUNKLINE_DATABASE_URL]."),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Where database and keys are kept [TRUNKLINE_DATA_DIR].")
]
_Several = list[str] | None


@usage_app.callback(invoke_without_command=True)
def usage(context: typer.Context) -> None:
    """Export, import and check usage."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@usage_app.command("export")
def export_(
    what: Annotated[str, typer.Option(help="events or series.")] = "events",
    format_: Annotated[
        str, typer.Option("--format", help="ndjson, which can be imported, or csv.")
    ] = "ndjson",
    from_: Annotated[
        str | None, typer.Option("--from", help="Such as 2026-11-01T00:00:00Z; inclusive.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Exclusive.")] = None,
    provider: Annotated[
        _Several, typer.Option(help="Only of this provider, by slug; repeat it for several.")
    ] = None,
    model: Annotated[_Several, typer.Option(help="Only of this model; repeatable.")] = None,
    agent: Annotated[
        _Several, typer.Option(help='Only by this agent; "" stands for none; repeatable.')
    ] = None,
    chain: Annotated[
        _Several, typer.Option(help='Only through this chain, by slug; "" for none; repeatable.')
    ] = None,
    dimension: Annotated[
        str | None,
        typer.Option(help="Of a series: PROVIDER, MODEL, AGENT or FAILOVER_CHAIN."),
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(help="Of a series: TODAY, LAST_7_DAYS, LAST_30_DAYS, MONTH_TO_DATE."),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Of a series: an IANA name such as Europe/Berlin.")
    ] = None,
    granularity: Annotated[
        str | None, typer.Option(help="Of a series: QUARTER_HOUR, HOUR or DAY.")
    ] = None,
    top_groups: Annotated[
        str | None, typer.Option(help="Of a series: how many groups before Other, 1 to 100.")
    ] = None,
    rank_by: Annotated[
        str | None, typer.Option(help="Of a series: COST, TOKENS or REQUESTS.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write, whole or not at all; stdout where left out.")
    ] = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Write recorded events, oldest first, or a series."""
    from server.settings import read_settings
    from server.usage_files import run_export

    single = {
        "what": what, "format": format_, "from": from_, "to": to, "dimension": dimension,
        "period": period, "timezone": timezone, "granularity": granularity,
        "topGroups": top_groups, "rankBy": rank_by,
    }  # fmt: skip
    several = {"provider": provider, "model": model, "agent": agent, "chain": chain}
    given = [(name, value) for name, value in single.items() if value is not None]
    given += [(name, value) for name, listed in several.items() for value in listed or ()]
    settings = read_settings(database_url=database_url, data_dir=data_dir)
    raise typer.Exit(run_export(settings, given, output))


@usage_app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="NDJSON, one event a line; - for stdin.")],
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Record the events in a file; bad lines are told and passed over. Safe to run again."""
    from server.settings import read_settings
    from server.usage_files import run_import

    settings = read_settings(database_url=database_url, data_dir=data_dir)
    raise typer.Exit(run_import(settings, file))


@usage_app.command()
def verify(
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make them what the events sum up to.")
    ] = False,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Check that totals are what the events sum up to; exit 1 where one is not, also if repaired.

    It may run beside a server.
    """
    from server.settings import read_settings
    from server.usage_verification import run_verify

    settings = read_settings(database_url=database_url, data_dir=data_dir)
    raise typer.Exit(run_verify(settings, repair=repair))
