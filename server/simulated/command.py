"""`trunkline simulate-provider`: the simulated provider, served until a signal comes."""

import asyncio
import math
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import click
import orjson
import uvloop

from server.failures import CannotStart
from server.simulated.app import serving_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.reaction import Pace, Reaction
from server.simulated.script import ANY_MODEL, LISTS, BadScript, Script

EXAMPLES = (
    "sim-fast",
    "sim-tps-50",
    "sim-latency-500ms-tps-20",
    "sim-tools",
    "sim-thinking",
    "sim-slow-first-token-3s",
    "sim-status-503",
    "sim-fail-429-retry-after-2",
    "sim-flap-3-2",
    "sim-error-rate-20",
    "sim-silent",
    "sim-reset",
    "sim-cut-after-5",
    "sim-stall-after-5",
    "sim-malformed-after-5",
    "sim-no-done",
    "sim-no-credit",
    "sim-bad-key",
    "sim-too-long",
    "sim-content-filter",
    "sim-refusal",
)
"""Listed beside the plain models, so that a catalog that is read from here has them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's flags."""

    host: str
    port: int
    api_key: str | None
    tokens_per_second: float
    latency_ms: float
    error_rate: float
    script: Path | None


def run_simulated_provider(asked: Asked) -> None:
    """Serve until a signal comes. Raises `CannotStart`."""
    behaviour = behaviour_asked(asked)
    with (
        _listening(asked.host, asked.port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(behaviour, listener, asked))


def behaviour_asked(asked: Asked) -> Behaviour:
    """What the flags say. Raises `CannotStart`."""
    for flag, number in (
        ("--tokens-per-second", asked.tokens_per_second),
        ("--latency-ms", asked.latency_ms),
        ("--error-rate", asked.error_rate),
    ):
        if math.isnan(number):
            raise CannotStart(f"{flag}: a number is wanted")
    script = None if asked.script is None else _read_script(asked.script)
    scripted = () if script is None else tuple(script.sequels)
    models = (*Behaviour().models, *EXAMPLES, *scripted)
    return Behaviour(
        models=tuple(dict.fromkeys(name for name in models if name not in {ANY_MODEL, LISTS})),
        api_key=asked.api_key,
        script=script,
        usual=Reaction(
            pace=Pace(
                latency_seconds=asked.latency_ms / 1_000,
                tokens_per_second=asked.tokens_per_second,
            )
        ),
        error_share=asked.error_rate,
    )


def _read_script(path: Path) -> Script:
    try:
        return Script.from_json(orjson.loads(path.read_bytes()))
    except OSError as error:
        raise CannotStart(f"--script: {path} can't be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise CannotStart(f"--script: {path} is no JSON: {error}") from error
    except BadScript as error:
        raise CannotStart(f"--script: {path}: {error}") from error


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise CannotStart(f"--host: {host} is no address: {error}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"--port: {host}:{port} can't be listened on ({error.strerror}): choose another"
        ) from error
    return listener


async def _serve(behaviour: Behaviour, listener: socket.socket, asked: Asked) -> None:
    stopped = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, stopped.set)
    async with serving_simulator(behaviour, listener):
        host = f"[{asked.host}]" if ":" in asked.host else asked.host
        click.echo(_announcement(f"http://{host}:{listener.getsockname()[1]}", asked.api_key))
        await stopped.wait()


def _announcement(url: str, api_key: str | None) -> str:
    key = "any" if api_key is None else "<the one given>"
    quoted = "any-key" if api_key is None else "…"
    return f"""\
Simulated provider: {url}
  OpenAI and compatible       {url}/v1
  Anthropic, Gemini, Ollama   {url}
  API key                     {key}
  What it saw                 curl {url}/_simulated/requests

Point a provider of Trunkline at it, then choose how it behaves by the name of the model, such as
sim-cut-after-5 (docs/simulated-provider.md has them all):

  mutation {{
    createProvider(input: {{
      slug: "simulated", name: "Simulated", kind: OPENAI_COMPATIBLE,
      baseUrl: "{url}/v1", apiKey: "{quoted}"
    }}) {{ provider {{ id }} userErrors {{ field message }} }}
  }}
"""
