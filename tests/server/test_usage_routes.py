"""Usage as files over HTTP: a real server on both databases, and clients that misbehave."""

import asyncio
import csv
import gzip
import io
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from db.usage_export import last_event_id
from db.vocabulary import ProviderKind
from resolvers.context import OperationContext, Viewer
from schema.root import schema
from server.answers import Rejected
from server.app import FrontDoor
from server.serving import make_server
from server.sign_in import COOKIE, Gate
from server.streamed_answer import StreamedAnswer
from server.usage_routes import MOST_IMPORTS, NDJSON, patiently
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.recording import MOST_PAGE_EVENTS

TOKEN = "test-admin-token-0123456789"
LINES = {"Content-Type": NDJSON}


@dataclass
class Served:
    """A server in this test's own loop, and a client that is signed in."""

    client: httpx2.AsyncClient
    port: int
    gate: Gate
    server: uvicorn.Server

    async def export(self, **parameters: Any) -> httpx2.Response:
        return await self.client.get("/export/usage", params=parameters)

    async def is_idle(self) -> bool:
        return not self.server.server_state.tasks

    async def import_(self, content: Any, **headers: str) -> httpx2.Response:
        return await self.client.post("/import/usage", content=content, headers=LINES | headers)


@asynccontextmanager
async def listening(server: uvicorn.Server, ready: asyncio.Event) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listener]))
    await ready.wait()
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving
    listener.close()


@pytest.fixture
async def served(services: Services) -> AsyncIterator[Served]:
    await create_provider(
        services, NewProvider(slug="anthropic", name="=Anthropic", kind=ProviderKind.ANTHROPIC)
    )

    def make_context(viewer: Viewer, request_id: str) -> OperationContext:
        return OperationContext(services, viewer, request_id)

    async def check_ready() -> None:
        pass

    gate = Gate(services.database, services.clock, TOKEN)
    door = FrontDoor(schema=schema, make_context=make_context, gate=gate, check_ready=check_ready)
    ready = asyncio.Event()
    server = make_server(door, ready.set)
    async with (
        listening(server, ready) as port,
        httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as client,
    ):
        yield Served(client, port, gate, server)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


def line(key: str, **fields: Any) -> bytes:
    event = {
        "idempotencyKey": key,
        "providerSlug": "anthropic",
        "modelName": "claude-sonnet-4-5",
        "occurredAt": "2026-11-20T12:00:00Z",
        "inputTokens": 1_000,
        **fields,
    }
    return json.dumps(event).encode() + b"\n"


async def test_lines_go_in_and_come_out(served: Served) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield line("a", agent="support")
        yield line("b")[:20]
        yield line("b")[20:] + b"\n[]\n"
        yield line("c", providerSlug="nobody") + line("a", agent="support")

    answer = await served.import_(body())
    assert answer.status_code == 200
    assert answer.json() == {
        "recorded": 2,
        "duplicates": 1,
        "refused": 2,
        "badLines": [
            {
                "line": 4,
                "problems": [
                    {
                        "code": "INVALID",
                        "field": None,
                        "message": "a line holds one JSON object: {…}",
                    }
                ],
            },
            {
                "line": 5,
                "problems": [
                    {
                        "code": "NOT_FOUND",
                        "field": ["providerSlug"],
                        "message": "there is no such provider: create it first",
                    }
                ],
            },
        ],
        "badLinesLeftOut": 0,
    }
    out = await served.export(agent="support")
    assert out.status_code == 200
    assert out.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    assert out.headers["content-disposition"] == 'attachment; filename="usage-events.ndjson"'
    assert [json.loads(one)["idempotencyKey"] for one in out.text.splitlines()] == ["a"]
    again = await served.import_((await served.export()).content)
    assert again.json()["recorded"] == 0


async def test_a_series_comes_as_a_table(served: Served) -> None:
    await served.import_(line("a") + line("b"))
    out = await served.export(
        what="series",
        format="csv",
        dimension="provider",
        timezone="Europe/Berlin",
        **{"from": "2026-11-20T00:00:00+01:00", "to": "2026-11-22T00:00:00+01:00"},
    )
    assert out.headers["content-type"].startswith("text/csv")
    assert out.headers["content-disposition"] == 'attachment; filename="usage-series.csv"'
    rows = list(csv.DictReader(io.StringIO(out.text, newline="")))
    assert {row["label"] for row in rows} == {"'=Anthropic"}
    assert [row["requests"] for row in rows if row["requests"] != "0"] == ["2"]
    assert sum(int(row["inputTokens"]) for row in rows) == 2_000


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("wat=1", "no parameter 'wat'"),
        ("what=all", "what is one of events, series"),
        ("format=xml", "format is one of csv, ndjson"),
        ("format=csv&format=ndjson", "format is given twice"),
        ("from=yesterday", "from: give an instant"),
        ("to=2026-11-20", "to: give an instant"),
        ("from=2026-11-20T00:00:00Z&to=2026-11-20T00:00:00Z", "from must lie before to"),
        ("provider=antropic", "there is none, and never was"),
        ("agent=%00", "no name holds"),
        ("agent=%ED%A0%80&provider=%FF", "there is none"),
        ("dimension=MODEL", "only a series"),
        ("what=series&timezone=UTC&period=TODAY", "needs a dimension"),
        ("what=series&dimension=MODEL&period=TODAY", "needs a timezone"),
        ("what=series&dimension=MODEL&timezone=Mars/Base&period=TODAY", "timezone"),
        ("what=series&dimension=MODEL&timezone=UTC", "either a period, or from and to"),
        (
            "what=series&dimension=MODEL&timezone=UTC&period=TODAY&from=2026-11-20T00:00:00Z",
            "either a period, or from and to",
        ),
        (
            "what=series&dimension=MODEL&timezone=UTC&from=2026-11-20T00:01:00Z&to=2026-11-21T00:00:00Z",
            "quarter hour",
        ),
        ("what=series&dimension=MODEL&timezone=UTC&period=TODAY&topGroups=0", "topGroups"),
        ("what=series&dimension=MODEL&timezone=UTC&period=TODAY&topGroups=1e9", "whole number"),
        ("what=series&dimension=MODEL&timezone=UTC&period=TODAY&topGroups=" + "9" * 5_000, "whole"),
        ("&".join(["agent=a"] * 1_001), "at most 1000 times"),
    ],
)
async def test_a_wrong_parameter_is_told_before_the_first_byte(
    served: Served, query: str, said: str
) -> None:
    answer = await served.client.get(f"/export/usage?{query}")
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert said in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Type": "application/json"}, NDJSON),
        ({"Content-Type": ""}, NDJSON),
        ({"Content-Type": f"{NDJSON}; charset=utf-16"}, "UTF-8"),
        ({"Content-Type": NDJSON, "Content-Encoding": "gzip"}, "not compressed"),
    ],
)
async def test_a_body_of_another_kind_is_refused(
    served: Served, headers: dict[str, str], said: str
) -> None:
    answer = await served.import_(line("a"), **headers)
    assert answer.status_code == 415
    assert said in answer.json()["errors"][0]["message"]


async def test_gzip_that_says_nothing_of_it_is_refused(served: Served) -> None:
    answer = await served.import_(gzip.compress(line("a")))
    assert answer.status_code == 415
    assert "this is gzip" in answer.json()["errors"][0]["message"]


async def test_only_who_is_signed_in_gets_in(served: Served) -> None:
    nobody = {"Authorization": "Bearer nonsense"}
    assert (await served.client.get("/export/usage", headers=nobody)).status_code == 401
    assert (await served.import_(line("a"), **nobody)).status_code == 401
    begun = await served.gate.begin_session(await served.gate.issue_code())
    assert begun is not None
    url = f"http://127.0.0.1:{served.port}"
    own = {"Origin": url}
    async with httpx2.AsyncClient(base_url=url, cookies={COOKIE: begun.token}) as browser:
        refused = await browser.post("/import/usage", content=line("a"), headers=LINES)
        foreign = {"Origin": "http://evil.example"}
        assert refused.status_code == 403
        assert (await browser.get("/export/usage")).status_code == 403
        assert (await browser.get("/export/usage", headers=foreign)).status_code == 403
        taken = await browser.post("/import/usage", content=line("a"), headers=LINES | own)
        assert taken.json()["recorded"] == 1
        # What a link on our own page sends.
        link = await browser.get("/export/usage", headers={"Sec-Fetch-Site": "same-origin"})
        assert link.text.count("\n") == 1


async def test_other_methods_are_refused_and_head_makes_nothing(served: Served) -> None:
    assert (await served.client.post("/export/usage")).status_code == 405
    assert (await served.client.get("/import/usage")).status_code == 405
    head = await served.client.head("/export/usage", params={"format": "csv"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-disposition"] == 'attachment; filename="usage-events.csv"'


async def test_an_empty_body_and_an_empty_store_are_fine(served: Served) -> None:
    assert (await served.import_(b"")).json()["recorded"] == 0
    assert (await served.export()).content == b""


async def open_import(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An import whose body is still to come; the server has begun to read it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = (
        f"POST /import/usage HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: {NDJSON}\r\n"
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    )
    writer.write(head.encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    return reader, writer


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


async def test_a_client_that_hangs_up_keeps_its_whole_pages(
    served: Served, services: Services
) -> None:
    _, writer = await open_import(served)
    lines = b"".join(line(f"key-{number}") for number in range(MOST_PAGE_EVENTS))
    writer.write(chunk(lines) + chunk(line("half")[:-20]))
    await writer.drain()

    async def recorded() -> int:
        async with services.database.read() as connection:
            return await last_event_id(connection)

    async def in_the_store() -> bool:
        return await recorded() == MOST_PAGE_EVENTS

    await until(in_the_store)
    writer.transport.abort()
    await until(served.is_idle)
    assert await recorded() == MOST_PAGE_EVENTS
    whole = await served.import_(lines + line("half"))
    assert whole.json()["recorded"] == 1
    assert whole.json()["duplicates"] == MOST_PAGE_EVENTS


async def test_too_many_imports_at_once_are_asked_to_come_back(served: Served) -> None:
    under_way = [await open_import(served) for _ in range(MOST_IMPORTS)]
    refused = await served.import_(line("a"))
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "10"
    assert refused.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    for reader, writer in under_way:
        writer.write(b"0\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()
    assert (await served.import_(line("a"))).json()["recorded"] == 1


async def test_an_import_that_sends_nothing_is_given_up() -> None:
    async def stalled() -> AsyncGenerator[bytes, None]:
        yield b"first"
        await asyncio.Event().wait()

    pieces = patiently(stalled(), seconds=0.01)
    assert await anext(pieces) == b"first"
    with pytest.raises(Rejected, match="send all of it again") as refused:
        await anext(pieces)
    assert refused.value.status == 408


@pytest.mark.slow
async def test_a_client_that_goes_away_ends_the_work(served: Served) -> None:
    lines = b"".join(line(f"key-{number}") for number in range(20_000))
    await served.import_(lines)
    async with served.client.stream("GET", "/export/usage") as answer:
        await anext(answer.aiter_raw())
    await until(served.is_idle)


class Parts:
    """Parts that note how far they were made, and whether they were closed."""

    def __init__(self, fails_after: int = 10**9) -> None:
        self.made = 0
        self.closed = False
        self._fails_after = fails_after

    async def make(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                if self.made == self._fails_after:
                    raise OSError("the disk is gone")
                self.made += 1
                yield b"x" * 1_000
        finally:
            self.closed = True


async def test_no_more_is_made_than_the_client_takes() -> None:
    parts = Parts()
    gone = asyncio.Event()
    stuck = asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            stuck.set()
            await asyncio.Event().wait()

    answer = StreamedAnswer(parts.make(), {})
    sending = asyncio.create_task(answer({"type": "http", "method": "GET"}, receive, send))
    await stuck.wait()
    assert parts.made == 1
    gone.set()
    await sending
    assert parts.made == 1
    assert parts.closed


async def test_what_breaks_in_the_middle_is_cut_and_never_ends_well() -> None:
    parts = Parts(fails_after=3)

    async def export(_request: Request) -> StreamedAnswer:
        return StreamedAnswer(parts.make(), {"content-type": NDJSON})

    ready = asyncio.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.set()

    app: ASGIApp = Starlette(routes=[Route("/", export)])
    config = uvicorn.Config(app, http="httptools", lifespan="off", log_config=None)
    async with listening(Server(config), ready) as port, httpx2.AsyncClient() as client:

        async def read() -> None:
            async with client.stream("GET", f"http://127.0.0.1:{port}/") as answer:
                await answer.aread()

        with pytest.raises(httpx2.RemoteProtocolError):
            await read()
    assert parts.closed
