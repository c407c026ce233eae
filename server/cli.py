"""The command line. Each command imports what it needs when it runs, so that help comes at once.

Whatever an operator can put right is one line on stderr and exit 2.
"""

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

import trunkline
from server import without_rich  # noqa: F401  # for what it does
from server.audit_cli import audit_app
from server.failures import CannotStart
from server.session_cli import session_app
from server.store_cli import add_store_commands
from server.token_cli import token_app
from server.usage_cli import usage_app

app = typer.Typer(
    name="trunkline",
    help="The control plane for a team's model providers: one GraphQL API.",
    add_completion=False,
    rich_markup_mode=None,
    # Locals in a traceback would show keys.
    pretty_exceptions_enable=False,
)
app.add_typer(audit_app, name="audit")
app.add_typer(token_app, name="token")
app.add_typer(session_app, name="session")
app.add_typer(usage_app, name="usage")
add_store_commands(app)

Host = Annotated[str | None, typer.Option(help="Address to listen on [TRUNKLINE_HOST].")]
Port = Annotated[int | None, typer.Option(help="Port to listen on [TRUNKLINE_PORT].")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="sqlite+aiosqlite:///… or postgresql+asyncpg://… [TRUNKLINE_DATABASE_URL]."),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Where database and keys are kept [TRUNKLINE_DATA_DIR].")
]


def main() -> None:
    """The program."""
    try:
        result = app(standalone_mode=False)
    except CannotStart as error:
        _end(str(error), 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except typer.Abort:
        _end("aborted", 1)
    except Exception as error:
        # A wrong flag or command: typer's own errors know how to say it in a line.
        if not hasattr(error, "format_message"):
            raise
        _end(f"{error.format_message()} (see trunkline --help)", 2)
    sys.exit(result if isinstance(result, int) else 0)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    """Configure providers, watch usage: one GraphQL API for a team's model providers."""
    if version:
        typer.echo(f"trunkline {trunkline.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    *,
    no_auth: Annotated[
        bool,
        typer.Option(
            "--no-auth", help="Full access for whoever is on this machine; on loopback only."
        ),
    ] = False,
) -> None:
    """Serve the API and GraphiQL until Ctrl-C."""
    from server.settings import read_settings

    settings = read_settings(host=host, port=port, database_url=database_url, data_dir=data_dir)
    # After the settings: a wrong one is told before the program is loaded. Loading leaves nothing
    # behind to collect, and looking for it meanwhile takes a sixth of the time.
    gc.disable()
    from server.serving import run_server

    gc.enable()
    run_server(settings, no_auth=no_auth)


@app.command()
def demo(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Serve made-up history and live simulated traffic, without any key."""
    from server.demo import run_demo
    from server.settings import read_settings

    run_demo(read_settings(host=host, port=port, data_dir=data_dir))


@app.command()
def simulate_provider(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any.", min=0, max=65_535)] = 8788,
    api_key: Annotated[
        str | None, typer.Option(help="The only key it takes; any where left out.")
    ] = None,
    tokens_per_second: Annotated[
        float, typer.Option(help="Of each answer; 0 for as fast as it goes.", min=0, max=1e6)
    ] = 0,
    latency_ms: Annotated[
        float, typer.Option(help="Before each answer.", min=0, max=3_600_000)
    ] = 0,
    script: Annotated[
        Path | None, typer.Option(help="JSON: what consecutive requests of a model meet.")
    ] = None,
    error_rate: Annotated[
        float, typer.Option(help="Of the requests, how many fail: 0 to 1.", min=0, max=1)
    ] = 0,
) -> None:
    """Serve a made-up provider in four protocols, whose models fail as their names say."""
    from server.simulated.command import Asked, run_simulated_provider

    run_simulated_provider(
        Asked(host, port, api_key, tokens_per_second, latency_ms, error_rate, script)
    )


@app.command()
def sign_in_link(
    host: Host = None,
    port: Port = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Print a link that signs a browser in, once and within ten minutes."""
    from server.linking import new_sign_in_link
    from server.settings import read_settings

    typer.echo(
        new_sign_in_link(
            read_settings(host=host, port=port, database_url=database_url, data_dir=data_dir)
        )
    )


@app.command()
def export_schema(
    output: Annotated[
        Path | None, typer.Option(help="File to write; stdout where left out.")
    ] = None,
) -> None:
    """Print the GraphQL schema, sorted."""
    from schema.root import schema
    from server.sdl import sorted_sdl

    text = sorted_sdl(schema)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise CannotStart(f"{output} can't be written: {error.strerror}") from error


def _end(message: str, status: int) -> None:
    sys.stderr.write(f"trunkline: {' '.join(message.split())}\n")
    sys.exit(status)
