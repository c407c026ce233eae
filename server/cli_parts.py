"""What the commands are made of: groups, kinds of values, and the options that several take."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., object])


class _Named(click.Path):
    """A path that is not empty, as of a variable that was never set: it would be this folder."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if value == "":
            self.fail("it is empty, and names nothing", param, ctx)
        return super().convert(value, param, ctx)


# Else unchecked: whoever opens a file says what is wrong with it, and what to do.
PATH = _Named(readable=False, path_type=Path)


class WholeNumber(click.IntRange):
    """A whole number between two. Click says of a wrong one that it is no "integer range"."""

    name = "integer"


class Number(click.FloatRange):
    """A number between two. NaN is let through, as Click's comparisons do."""

    name = "number"


class Commands(click.Group):
    """Commands in the order in which they were added. Without one of them it prints its help."""

    def __init__(self, name: str, purpose: str) -> None:
        super().__init__(
            name,
            help=purpose,
            invoke_without_command=True,
            context_settings={"show_default": True},
        )

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # as Click calls it
        """The names, as help lists them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        """What the command returns: None, or the status to exit with."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return result


data_dir_option = click.option(
    "--data-dir", type=PATH, help="Where database and keys are kept [TRUNKLINE_DATA_DIR]."
)
from_option = click.option("--from", "from_", help="Such as 2026-11-01T00:00:00Z; inclusive.")
to_option = click.option("--to", help="Exclusive.")
export_option = click.option(
    "--output", type=PATH, help="File to write, whole or not at all; stdout where left out."
)


def address_options(function: Function) -> Function:
    """Where to listen, as `host` and `port`."""
    host = click.option("--host", help="Address to listen on [TRUNKLINE_HOST].")
    port = click.option("--port", type=int, help="Port to listen on [TRUNKLINE_PORT].")
    return host(port(function))


def store_options(function: Function) -> Function:
    """Where everything is kept, as `database_url` and `data_dir`."""
    database_url = click.option(
        "--database-url",
        help="sqlite+aiosqlite:///… or postgresql+asyncpg://… [TRUNKLINE_DATABASE_URL].",
    )
    return database_url(data_dir_option(function))
