"""The command line. Each command imports what it needs when it runs, so that help comes at once.

Whatever an operator can put right is one line on stderr and exit 2.
"""

import gc
import os
import sys
from pathlib import Path

import click

import trunkline
from server import without_rich  # noqa: F401  # for what it does
from server.audit_cli import audit_group
from server.cli_parts import (
    PATH,
    Commands,
    Number,
    WholeNumber,
    address_options,
    data_dir_option,
    store_options,
)
from server.failures import CannotStart
from server.printed import say
from server.session_cli import session_group
from server.store_cli import backup, doctor, restore, rotate_secrets
from server.token_cli import token_group
from server.usage_cli import usage_group

app = Commands("trunkline", "The control plane for a team's model providers: one GraphQL API.")
click.version_option(
    trunkline.__version__,
    prog_name="trunkline",
    message="%(prog)s %(version)s",
    help="Print the version.",
)(app)


def main() -> None:
    """The program."""
    _open_what_is_closed()
    try:
        result = app(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read had enough, and Click saw nothing of it. Python would complain at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except CannotStart as error:
        _end(str(error), 2)
    except click.ClickException as error:
        _end(f"{error.format_message()} (see trunkline --help)", 2)
    except click.Abort as aborted:
        # Click's word for Ctrl-C, and for input that ended.
        if isinstance(aborted.__cause__, KeyboardInterrupt):
            sys.exit(130)
        _end("aborted", 1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)


@app.command()
@address_options
@store_options
@click.option(
    "--no-auth", is_flag=True, help="Full access for whoever is on this machine; on loopback only."
)
def serve(
    host: str | None,
    port: int | None,
    database_url: str | None,
    data_dir: Path | None,
    *,
    no_auth: bool,
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
@address_options
@data_dir_option
def demo(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Serve made-up history and live simulated traffic, without any key."""
    from server.demo import run_demo
    from server.settings import read_settings

    run_demo(read_settings(host=host, port=port, data_dir=data_dir))


@app.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=WholeNumber(0, 65_535), default=8788, help="Port; 0 for any.")
@click.option("--api-key", help="The only key it takes; any where left out.")
@click.option(
    "--tokens-per-second",
    type=Number(0, 1_000_000),
    default=0,
    help="Of each answer; 0 for as fast as it goes.",
)
@click.option("--latency-ms", type=Number(0, 3_600_000), default=0, help="Before each answer.")
@click.option("--script", type=PATH, help="JSON: what consecutive requests of a model meet.")
@click.option(
    "--error-rate",
    type=Number(0, 1),
    default=0,
    help="Of the requests, how many fail: 0 to 1.",
)
def simulate_provider(
    host: str,
    port: int,
    api_key: str | None,
    tokens_per_second: float,
    latency_ms: float,
    script: Path | None,
    error_rate: float,
) -> None:
    """Serve a made-up provider in four protocols, whose models fail as their names say."""
    from server.simulated.command import Asked, run_simulated_provider

    run_simulated_provider(
        Asked(host, port, api_key, tokens_per_second, latency_ms, error_rate, script)
    )


@app.command()
@address_options
@store_options
def sign_in_link(
    host: str | None, port: int | None, database_url: str | None, data_dir: Path | None
) -> None:
    """Print a link that signs a browser in, once and within ten minutes."""
    from server.linking import new_sign_in_link
    from server.settings import read_settings

    click.echo(
        new_sign_in_link(
            read_settings(host=host, port=port, database_url=database_url, data_dir=data_dir)
        )
    )


@app.command()
@click.option("--output", type=PATH, help="File to write; stdout where left out.")
def export_schema(output: Path | None) -> None:
    """Print the GraphQL schema, sorted."""
    from schema.root import schema
    from server.sdl import sorted_sdl

    text = sorted_sdl(schema)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise CannotStart(f"{output} can't be written: {error.strerror}") from error


# In the order of help.
for _command in (
    *(rotate_secrets, doctor, backup, restore),
    *(audit_group, token_group, session_group, usage_group),
):
    app.add_command(_command)


def _open_what_is_closed() -> None:
    """Without a standard stream, whatever is opened first would be taken for it and written to."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # Gets the lowest number that is free.
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r"))


def _end(message: str, status: int) -> None:
    say(f"trunkline: {' '.join(message.split())}")
    sys.exit(status)
