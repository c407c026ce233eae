"""The command line. What each command needs is imported when it runs, so that help is quick."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import trunkline

app = typer.Typer(
    name="trunkline",
    help="The control plane for a team's model providers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(help="Port to listen on. [default: 8787]")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="sqlite+aiosqlite:///… or postgresql+asyncpg://…"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where database, token and key are kept. [default: .trunkline]"),
]


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(trunkline.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the API and GraphiQL; settings come from TRUNKLINE_* and these options."""
    from server.running import serve as run
    from server.settings import load_settings

    settings = load_settings(host=host, port=port, database_url=database_url, data_dir=data_dir)
    run(settings, announce=_announce)


@app.command()
def demo(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Serve 30 days of made-up history and live traffic through a simulated provider."""
    from server.demo import run_demo

    run_demo(host=host, port=port, data_dir=data_dir, announce=_announce)


@app.command()
def sign_in_link(
    host: Host = None,
    port: Port = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Print a link that signs one browser in, within ten minutes; also while the server runs."""
    import asyncio

    from server.running import base_url
    from server.settings import load_settings
    from server.wiring import open_database
    from trunkline.clock import system_clock
    from trunkline.signin import new_sign_in_code

    settings = load_settings(host=host, port=port, database_url=database_url, data_dir=data_dir)

    async def make() -> str:
        async with open_database(settings) as database:
            return await new_sign_in_code(database, system_clock)

    typer.echo(f"{base_url(settings)}/graphiql#code={asyncio.run(make())}")


@app.command()
def export_schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file. [default: standard output]")
    ] = None,
) -> None:
    """Print the GraphQL schema in SDL, sorted."""
    from schema.export import exported_schema

    text = exported_schema()
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text)


def _announce(link: str) -> None:
    typer.echo(f"\n  Open this link to sign in; it works once, for ten minutes:\n\n  {link}\n")
    sys.stdout.flush()


def main() -> None:
    """Run the command line. What the user can put right is one line on stderr and exit code 2."""
    try:
        app()
    except OSError as error:
        typer.echo(f"trunkline: {error.strerror or error}: {error.filename or ''}".rstrip(": "), err=True)
        sys.exit(2)
    except Exception as error:
        from server.settings import BadSettings

        if not isinstance(error, BadSettings):
            raise
        typer.echo(f"trunkline: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
