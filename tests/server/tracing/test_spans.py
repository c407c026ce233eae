"""Traces as a collector gets them: a real receiver of OTLP, real requests, a simulated provider."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from db.engine import Database
from db.vocabulary import ProviderKind
from server.tracing import exporting
from server.tracing.environment import ProviderTraces, traces_of
from server.tracing.port import Traces
from tests.conftest import SECRET_KEY
from tests.server.gateway.world import KEY, TOKEN, World, open_world
from tests.server.tracing.receiver import Receiver, attributes, receiving
from trunkline.secrets import Secrets

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@asynccontextmanager
async def traced_world(
    database: Database,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    providers: ProviderTraces = "own",
) -> AsyncIterator[World]:
    """A world whose spans are with the receiver once the block is left."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    traces = traces_of(os.environ, providers)
    entered: Traces | None = traces.__enter__()
    assert entered is not None
    database.watch.trace = entered.transaction
    try:
        async with open_world(database, Secrets([SECRET_KEY]), entered) as world:
            yield world
    finally:
        # Less than the libraries would wait by themselves.
        async with asyncio.timeout(15):
            await asyncio.to_thread(traces.__exit__, None, None, None)


def identified(span: Span) -> tuple[str, str, str]:
    """Its trace, itself, its parent."""
    return span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()


async def test_a_gateway_request_is_traced_from_its_caller_to_its_providers(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        monkeypatch.setenv("OTEL_SERVICE_NAME", "gateway-north")
        async with traced_world(sqlite_database, receiver, monkeypatch) as world:
            await world.chain("first", "second", max_retries=0)
            world.script(first=["status-500"], second=["ok"])
            reply = await world.ask(headers=CALLED)
            hidden = [KEY, TOKEN, reply.text[:20], "hello", "127.0.0.1"]
            seen = world.seen
    assert {one["service.name"] for one in receiver.resources} == {"gateway-north"}
    (request,) = receiver.named("POST /v1/chat/completions")
    (gateway,) = receiver.named("gateway chat")
    (failed,) = receiver.named("chat first")
    (answered,) = receiver.named("chat second")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert gateway.parent_span_id == request.span_id
    assert {failed.parent_span_id, answered.parent_span_id} == {gateway.span_id}
    assert {span.trace_id.hex() for span in receiver.spans if span.parent_span_id} == {TRACE}
    # The provider is given the very attempt to go on with.
    assert [one.headers["traceparent"] for one in seen] == [
        f"00-{TRACE}-{span.span_id.hex()}-01" for span in (failed, answered)
    ]
    said = attributes(answered)
    usage = reply.json()["usage"]
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.model"] == "second"
    assert said["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert said["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    assert attributes(failed)["error.type"] == "TRANSIENT"
    assert attributes(failed)["http.response.status_code"] == 500
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert answered.status.code != Status.STATUS_CODE_ERROR
    request_id = reply.headers["x-trunkline-request-id"]
    assert attributes(request)["trunkline.request_id"] == request_id
    assert attributes(gateway)["trunkline.outcome"] == "ANSWERED"
    for text in hidden:
        assert text.encode() not in b"".join(receiver.bodies)


@pytest.mark.parametrize(
    ("kind", "providers", "told"),
    [
        (ProviderKind.OPENAI_COMPATIBLE, "own", True),
        (ProviderKind.ANTHROPIC, "own", False),
        (ProviderKind.ANTHROPIC, "all", True),
        (ProviderKind.OPENAI_COMPATIBLE, "none", False),
    ],
)
async def test_a_provider_is_told_of_a_trace_only_where_it_is_meant_to(
    sqlite_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    kind: ProviderKind,
    providers: ProviderTraces,
    told: bool,
) -> None:
    async with (
        receiving() as receiver,
        traced_world(sqlite_database, receiver, monkeypatch, providers) as world,
    ):
        await world.chain("first", kind=kind)
        await world.ask(headers=CALLED | {"baggage": "user=somebody"}, stream=True)
        (seen,) = world.seen
    assert ("traceparent" in seen.headers) is told
    assert "baggage" not in seen.headers


async def test_operations_and_their_transactions_are_traced_and_urls_are_not(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        receiving() as receiver,
        traced_world(sqlite_database, receiver, monkeypatch) as world,
    ):
        query = "query Named { providers { nodes { slug } } }"
        headers = world.bearer | CALLED | {"Accept": "application/json"}
        url = f"{world.url}/graphql"
        parameters = {"query": query, "secret": "sk-in-a-query"}
        async with world.session.get(url, params=parameters, headers=headers) as answer:
            assert answer.status == 200
        nowhere = f"{world.url}/sk-in-a-path?sk-in-a-query"
        await world.session.get(nowhere, headers=world.bearer)
        await world.session.get(f"{world.url}/healthz")
        async with connect(
            url.replace("http", "ws"),
            subprotocols=[Subprotocol("graphql-transport-ws")],
            additional_headers=world.bearer,
        ) as socket:
            await socket.send(json.dumps({"type": "connection_init"}))
            await socket.recv()
            payload = {"query": "query OnSocket { nothing }"}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            assert json.loads(await socket.recv())["type"] == "error"
    (request,) = receiver.named("GET /graphql")
    (unknown,) = receiver.named("GET other")
    (socket_span,) = receiver.named("SOCKET /graphql")
    first, second = receiver.named("query")
    assert identified(first) == (TRACE, first.span_id.hex(), request.span_id.hex())
    assert attributes(first)["graphql.operation.name"] == "Named"
    reads = [one for one in receiver.named("database read") if one.trace_id.hex() == TRACE]
    assert reads
    assert {one.parent_span_id for one in reads} == {first.span_id}
    assert attributes(unknown)["http.response.status_code"] == 404
    # A trace of its own, which names the socket's.
    assert not second.parent_span_id
    assert second.trace_id != socket_span.trace_id
    assert [link.span_id for link in second.links] == [socket_span.span_id]
    assert attributes(second)["trunkline.result"] == "refused"
    assert not list(receiver.named("GET /healthz"))
    assert b"sk-in-a" not in b"".join(receiver.bodies)


async def test_a_receiver_that_hangs_or_is_away_holds_up_nobody(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "LAST_SPANS_SECONDS", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    async with receiving() as receiver:
        receiver.holding = True
        async with traced_world(sqlite_database, receiver, monkeypatch) as world:
            await world.chain("first")
            await world.ask()
            await world.until(lambda: receiver.held > 0)
            # Many times more spans than the queue holds.
            for _ in range(10):
                assert (await world.ask()).status == 200
        # The world is closed, and the receiver has answered nothing yet.
        assert receiver.bodies == []
        assert not receiver.released.is_set()
        # Left alone it tries again for long, and draws from `random` in the middle of other tests.
        receiver.released.set()
        left = [one for one in threading.enumerate() if one.name.startswith("OtelBatch")]
        assert left
        for thread in left:
            await asyncio.to_thread(thread.join, 30)
            assert not thread.is_alive()


async def test_a_caller_s_nonsense_begins_a_trace_of_our_own(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        receiving() as receiver,
        traced_world(sqlite_database, receiver, monkeypatch) as world,
    ):
        for nonsense in ("00-0-0-00", "\xff" * 55, "x" * 2_000, f"00-{'0' * 32}-{PARENT}-01"):
            async with world.session.get(
                f"{world.url}/", headers={"traceparent": nonsense, "tracestate": "=,=" * 900}
            ) as answer:
                assert answer.status in {200, 307, 503}
    spans = list(receiver.named("GET /"))
    assert len(spans) == 4
    assert not any(span.parent_span_id for span in spans)
