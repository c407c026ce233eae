"""graphql-sse, "distinct connections" mode, over a real server."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from starlette.types import Message

from server.graphql_sse import EventStream
from server.outcomes import Outcome

STREAM = {"Accept": "text/event-stream"}


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, without its comments."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        fields = dict(line.split(":", 1) for line in lines)
        if fields:
            data = fields["data"].strip()
            found.append((fields["event"].strip(), json.loads(data) if data else None))
    return found


async def until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be so")


def test_a_subscription_by_post(server: Any) -> None:
    response = server.post({"query": "subscription { count(to: 2) }"}, headers=STREAM)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert events(response.text) == [
        ("next", {"data": {"count": 0}}),
        ("next", {"data": {"count": 1}}),
        ("complete", None),
    ]


def test_a_subscription_by_get(server: Any) -> None:
    parameters = {
        "query": "subscription S($n: Int!) { count(to: $n) }",
        "variables": '{"n": 1}',
        "operationName": "S",
    }
    response = server.get(params=parameters, headers=STREAM)
    assert events(response.text) == [("next", {"data": {"count": 0}}), ("complete", None)]


@pytest.mark.parametrize("query", ["{ hello }", "query Q { hello }"])
def test_a_query_streams_its_one_result(server: Any, query: str) -> None:
    response = server.post({"query": query}, headers=STREAM)
    assert events(response.text) == [
        ("next", {"data": {"hello": "hello world"}}),
        ("complete", None),
    ]


def test_a_subscription_streams_wherever_a_stream_is_accepted(server: Any) -> None:
    accept = "application/graphql-response+json, application/json, text/event-stream"
    body = {"query": "subscription { count(to: 1) }"}
    response = server.post(body, headers={"Accept": accept})
    assert response.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    "query",
    ["{", "{ nothing }", "subscription { count }", "query A { hello } query B { hello }"],
)
def test_what_is_not_executed_is_told_in_the_stream(server: Any, query: str) -> None:
    response = server.post({"query": query}, headers=STREAM)
    assert response.status_code == 200
    (kind, result), end = events(response.text)
    assert (kind, end) == ("next", ("complete", None))
    assert "data" not in result
    assert result["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_subscription_that_breaks_says_so_and_hides_why(server: Any) -> None:
    response = server.post({"query": "subscription { breaks }"}, headers=STREAM)
    first, (kind, result), end = events(response.text)
    assert first == ("next", {"data": {"breaks": 0}})
    assert (kind, end) == ("next", ("complete", None))
    assert result["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in response.text


def test_a_bad_body_is_a_400_as_elsewhere(server: Any) -> None:
    response = server.post(content=b"x", headers=STREAM)
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("application/json")


async def test_leaving_ends_the_resolver(server: Any) -> None:
    async with httpx2.AsyncClient() as client:
        request = client.stream(
            "POST",
            f"{server.url}/graphql",
            json={"query": "subscription { forever }"},
            headers=server.bearer | STREAM,
        )
        async with request as response:
            async for part in response.aiter_text():
                if "next" in part:
                    break
            assert server.witness.open_streams == 1
    await until(lambda: server.witness.open_streams == 0)


class Client:
    """Takes what a response sends, for tests of timing without a network."""

    def __init__(self) -> None:
        self.body = b""
        self.ended = False
        self.left = asyncio.Event()

    async def send(self, message: Message) -> None:
        self.body += message.get("body", b"")
        if message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}


async def forever() -> AsyncGenerator[Outcome, None]:
    yield Outcome({"data": 1}, refused=False)
    await asyncio.Event().wait()


async def test_comments_keep_a_quiet_stream_alive() -> None:
    client = Client()
    stream = EventStream(forever(), asyncio.Event(), "id", keep_alive_seconds=0.001)
    serving = asyncio.ensure_future(stream({}, client.receive, client.send))
    await until(lambda: client.body.count(b":\n\n") > 3)
    client.left.set()
    await serving


async def test_stopping_the_server_ends_a_stream_without_complete() -> None:
    client, closing = Client(), asyncio.Event()
    stream = EventStream(forever(), closing, "id")
    serving = asyncio.ensure_future(stream({}, client.receive, client.send))
    await until(lambda: b"next" in client.body)
    closing.set()
    await serving
    assert client.ended
    assert b"complete" not in client.body


async def test_an_event_is_asked_for_when_the_last_was_taken() -> None:
    asked = 0

    async def results() -> AsyncGenerator[Outcome, None]:
        nonlocal asked
        while True:
            asked += 1
            yield Outcome({"data": asked}, refused=False)

    client = Client()
    taking = asyncio.Event()

    async def send(message: Message) -> None:
        if b"next" in message.get("body", b""):
            await taking.wait()
        await client.send(message)

    serving = asyncio.ensure_future(
        EventStream(results(), asyncio.Event(), "id")({}, client.receive, send)
    )
    for _ in range(50):
        await asyncio.sleep(0)
    assert asked == 1
    client.left.set()
    await serving
