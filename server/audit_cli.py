"""`trunkline audit …`: the audit log, from the command line.

Each command imports what it needs when it runs, as in `cli.py`.
"""

from pathlib import Path

import click

from server.cli_parts import Commands, export_option, from_option, store_options, to_option

audit_group = Commands("audit", "Read who changed what.")


@audit_group.command("export")
@from_option
@to_option
@click.option("--after", help="Only what came after this entry, by its id.")
@click.option(
    "--object-kind",
    multiple=True,
    help="PROVIDER, MODEL, FAILOVER_CHAIN, BUDGET, ACCESS_TOKEN, CATALOG or SECRET_KEYS; "
    "repeatable.",
)
@click.option("--object-id", multiple=True, help="Of the API; repeatable.")
@click.option(
    "--actor-kind",
    multiple=True,
    help="ADMIN, ACCESS_TOKEN, COMMAND_LINE or SYSTEM; repeatable.",
)
@click.option("--actor", multiple=True, help="By its name; repeatable.")
@click.option("--access-token-id", multiple=True, help="Of the API; repeatable.")
@click.option("--action", multiple=True, help="Such as updateProvider; repeatable.")
@export_option
@store_options
def export_(
    from_: str | None,
    to: str | None,
    after: str | None,
    object_kind: tuple[str, ...],
    object_id: tuple[str, ...],
    actor_kind: tuple[str, ...],
    actor: tuple[str, ...],
    access_token_id: tuple[str, ...],
    action: tuple[str, ...],
    output: Path | None,
    database_url: str | None,
    data_dir: Path | None,
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
    given += [(name, value) for name, listed in several.items() for value in listed]
    settings = read_settings(database_url=database_url, data_dir=data_dir)
    run_export(settings, given, output)
