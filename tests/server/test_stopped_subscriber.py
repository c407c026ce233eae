"""A dashboard that stops reading for a minute: it costs nothing, then it shows the newest state."""

import asyncio
import gc
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from db.vocabulary import ProviderKind
from tests.conftest import Execute, SetClock
from tests.server.served import TOKEN, serving
from tests.trunkline.usage.live import Counted, eventually, with_hub
from tests.trunkline.usage.timing import Time
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.feed import TICK_SECONDS
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

MINUTE = int(60 / TICK_SECONDS)
AGENTS = 30
LONG = "a-team-with-a-long-name/" * 7

GROUPS = """key label totals { requests inputTokens costUsd }
  points { start requests inputTokens costUsd }"""
SERIES = f"from to asOf totals {{ requests inputTokens costUsd }} groups {{ {GROUPS} }}"
INPUT: dict[str, Any] = {
    "dimension": "AGENT", "window": {"period": "TODAY"}, "timezone": "UTC", "topGroups": 100
}  # fmt: skip
QUERY = f"query ($input: UsageSeriesInput!) {{ usageSeries(input: $input) {{ {SERIES} }} }}"
WATCH = f"""subscription ($input: UsageSeriesInput!) {{ usageUpdated(input: $input) {{
  ... on UsageSnapshot {{ series {{ {SERIES} }} }}
  ... on UsageDelta {{
    asOf order totals {{ requests inputTokens costUsd }} changes {{ {GROUPS} }} }} }} }}"""


class Dashboard:
    """Merges what it reads, by the contract's rules."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.held: dict[str, Any] = {}
        self.updates = 0
        self.bytes = 0

    async def reads(self) -> None:
        """Take the next update."""
        text = await asyncio.wait_for(self.connection.recv(), 20)
        message = json.loads(text)
        assert message["type"] == "next", message
        self.updates += 1
        self.bytes += len(text)
        update = message["payload"]["data"]["usageUpdated"]
        if "series" in update:
            self.held = update["series"]
            return
        groups = {group["key"]: group for group in self.held["groups"]}
        for change in update["changes"]:
            before = groups.get(change["key"], {"points": []})
            points = {point["start"]: point for point in before["points"] + change["points"]}
            groups[change["key"]] = change | {"points": [points[one] for one in sorted(points)]}
        self.held |= {
            "asOf": update["asOf"],
            "totals": update["totals"],
            "groups": [groups[key] for key in update["order"]],
        }


@pytest.fixture
def time(clock: SetClock) -> Time:
    return Time(clock)


@pytest.fixture
async def services(services: Services, time: Time) -> Services:
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    return with_hub(services, time, Counted())


@pytest.fixture
async def port(services: Services) -> AsyncIterator[int]:
    """Of a server on these services. What the system holds for a client is small there."""
    async with serving(services, held_bytes=16_384) as found:
        yield found.port


@asynccontextmanager
async def dashboard(port: int) -> AsyncIterator[Dashboard]:
    """A dashboard that watches. What it doesn't ask for stays where it is."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    async with connect(
        f"ws://127.0.0.1:{port}/graphql",
        sock=raw,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
        additional_headers={"Authorization": f"Bearer {TOKEN}"},
        max_queue=1,
        # What it does not read holds no answer to a ping either.
        ping_interval=None,
        close_timeout=1,
        compression=None,
    ) as connection:
        await connection.send(json.dumps({"type": "connection_init"}))
        assert json.loads(await connection.recv()) == {"type": "connection_ack"}
        payload = {"query": WATCH, "variables": {"input": INPUT}}
        await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        yield Dashboard(connection)


def traced_bytes() -> int:
    """What is held of all that was allocated since tracing began."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def everybody_reports(services: Services, turn: int) -> None:
    """A change to every group."""
    event = NewUsageEvent(
        idempotency_key="", provider_slug="local", model_name="llama", input_tokens=turn
    )
    await record_usage(
        services,
        [
            replace(event, idempotency_key=f"{turn}-{number}", agent=f"{LONG}{number}")
            for number in range(AGENTS)
        ],
    )


# What waits for a client is no matter of the store's.
@pytest.mark.slow
@pytest.mark.parametrize("template", ["sqlite"], indirect=True)
async def test_a_minute_without_reading_costs_nothing_and_ends_with_the_newest_state(
    services: Services, time: Time, port: int, execute: Execute
) -> None:
    await everybody_reports(services, 0)
    async with dashboard(port) as reading, dashboard(port) as stopped:
        await reading.reads()
        await stopped.reads()
        assert stopped.held == reading.held
        held_bytes = sent_by_then = 0
        for turn in range(1, MINUTE + 1):
            await eventually(lambda: bool(time.sleepers))
            time.advance(seconds=TICK_SECONDS)
            await everybody_reports(services, turn)
            await reading.reads()
            # By then everything is warm, and every buffer on the way is full.
            if turn == MINUTE // 4:
                tracemalloc.start()
            elif turn == MINUTE // 2:
                sent_by_then = reading.bytes
                held_bytes = traced_bytes()
        held_bytes = traced_bytes() - held_bytes
        tracemalloc.stop()
        assert reading.bytes - sent_by_then > 1_500_000
        assert held_bytes < 500_000, "what wasn't read isn't kept"

        answered = (await execute(QUERY, input=INPUT))["usageSeries"]
        assert reading.held == answered
        assert (reading.updates, stopped.updates) == (1 + MINUTE, 1)
        while stopped.held != answered:
            await stopped.reads()
        # What lay in the system's buffers, the message that didn't fit, then the newest state.
        assert stopped.updates < MINUTE // 4, "what lay between was never sent"
        assert answered["totals"]["requests"] == AGENTS * (MINUTE + 1)
