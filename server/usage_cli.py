"""`trunkline usage …`: usage out of the store and into it, from the command line.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path

import click

from server.cli_parts import Commands, export_option, from_option, store_options, to_option

usage_group = Commands("usage", "Export, import and check usage.")


@usage_group.command("export")
@click.option("--what", default="events", help="events or series.")
@click.option(
    "--format", "format_", default="ndjson", help="ndjson, which can be imported, or csv."
)
@from_option
@to_option
@click.option(
    "--provider", multiple=True, help="Only of this provider, by slug; repeat it for several."
)
@click.option("--model", multiple=True, help="Only of this model; repeatable.")
@click.option("--agent", multiple=True, help='Only by this agent; "" stands for none; repeatable.')
@click.option(
    "--chain",
    multiple=True,
    help='Only through this chain, by slug; "" for none; repeatable.',
)
@click.option("--dimension", help="Of a series: PROVIDER, MODEL, AGENT or FAILOVER_CHAIN.")
@click.option("--period", help="Of a series: TODAY, LAST_7_DAYS, LAST_30_DAYS, MONTH_TO_DATE.")
@click.option("--timezone", help="Of a series: an IANA name such as Europe/Berlin.")
@click.option("--granularity", help="Of a series: QUARTER_HOUR, HOUR or DAY.")
@click.option("--top-groups", help="Of a series: how many groups before Other, 1 to 100.")
@click.option("--rank-by", help="Of a series: COST, TOKENS or REQUESTS.")
@export_option
@store_options
def export_(
    what: str,
    format_: str,
    from_: str | None,
    to: str | None,
    provider: tuple[str, ...],
    model: tuple[str, ...],
    agent: tuple[str, ...],
    chain: tuple[str, ...],
    dimension: str | None,
    period: str | None,
    timezone: str | None,
    granularity: str | None,
    top_groups: str | None,
    rank_by: str | None,
    output: Path | None,
    database_url: str | None,
    data_dir: Path | None,
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
    given += [(name, value) for name, listed in several.items() for value in listed]
    settings = read_settings(database_url=database_url, data_dir=data_dir)
    run_export(settings, given, output)


@usage_group.command("import")
@click.argument("file", help="NDJSON, one event a line; - for stdin.")
@store_options
def import_(file: str, database_url: str | None, data_dir: Path | None) -> int:
    """Record the events in a file; bad lines are told and passed over. Safe to run again."""
    from server.settings import read_settings
    from server.usage_files import run_import

    settings = read_settings(database_url=database_url, data_dir=data_dir)
    return run_import(settings, file)


@usage_group.command()
@click.option("--repair", is_flag=True, help="Make them what the events sum up to.")
@store_options
def verify(*, repair: bool, database_url: str | None, data_dir: Path | None) -> int:
    """Check that totals are what the events sum up to; exit 1 where one is not, also if repaired.

    It may run beside a server.
    """
    from server.settings import read_settings
    from server.usage_verification import run_verify

    settings = read_settings(database_url=database_url, data_dir=data_dir)
    return run_verify(settings, repair=repair)
