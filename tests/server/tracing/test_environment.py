"""Which variables ask for traces, what is said of wrong ones, and a real start with a receiver."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from server.failures import CannotStart
from server.tracing.environment import traces_of
from tests.server.test_cli import serving
from tests.server.tracing.receiver import receiving

HERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "somebody"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_SDK_DISABLED": "True"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_being_asked_nothing_is_traced(environment: Mapping[str, str]) -> None:
    with traces_of(environment, "own") as traces:
        assert traces is None


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://sk-secret@:1:2/"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: give `http/protobuf`",
        ),
    ],
)
def test_a_wrong_variable_is_named(environment: Mapping[str, str], named: str) -> None:
    with pytest.raises(CannotStart, match=named) as caught, traces_of(environment, "own"):
        pass
    assert "sk-secret" not in str(caught.value)


def test_what_is_not_installed_is_said_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server.tracing.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE}
    with pytest.raises(CannotStart, match="pip install 'trunkline"), traces_of(environment, "own"):
        pass


def test_a_server_that_shows_and_traces_nothing_loads_none_of_it() -> None:
    code = (
        "import server.serving, server.wiring, sys; "
        "print([n for n in sys.modules if n.startswith(('opentelemetry', 'prometheus_client'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
async def test_a_server_sends_its_last_spans_when_it_stops(tmp_path: Path) -> None:
    async with receiving() as receiver:
        context = serving(
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20collector-key",
            # Nothing is sent before the end.
            OTEL_BSP_SCHEDULE_DELAY="600000",
        )
        served = await asyncio.to_thread(context.__enter__)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{served.url}/schema.graphql") as answer,
        ):
            assert answer.status == 401
        assert receiver.bodies == []
        _, logged = await asyncio.to_thread(served.end, signal.SIGTERM)
        await asyncio.to_thread(context.__exit__, None, None, None)
    assert [span.name for span in receiver.named("GET /schema.graphql")]
    assert receiver.headers[0]["Authorization"] == "Bearer collector-key"
    assert {one["service.name"] for one in receiver.resources} == {"trunkline"}
    assert "collector-key" not in logged
