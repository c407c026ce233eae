"""Who is not signed in learns that a server is there, and nothing else: each route and method is
asked, as the application itself lists them.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import trunkline
from db.engine import Database
from schema.root import schema
from server.persisted_operations import PersistedOperations
from server.wiring import services_on
from tests.conftest import SECRET_KEY, SetClock
from tests.server.walking import TOKEN, Walked, walked_server
from trunkline.secrets import Secrets

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
PUBLIC = {
    ("/", "GET"), ("/", "HEAD"),
    ("/healthz", "GET"), ("/healthz", "HEAD"), ("/readyz", "GET"), ("/readyz", "HEAD"),
    # The page's files: the same for everybody, and made before anybody asked.
    ("/graphiql", "GET"), ("/graphiql", "HEAD"), ("/graphiql/", "GET"), ("/graphiql/", "HEAD"),
    ("/graphiql/name", "GET"), ("/graphiql/name", "HEAD"),
    # Signing in and out.
    ("/session", "POST"), ("/session", "DELETE"),
}  # fmt: skip
INTROSPECTION = "{ __schema { types { name } } }"
BODIES: list[Any] = [
    {"query": INTROSPECTION},
    {"query": "{ provider { nam } }"},
    {"query": "{ " + "serverInfo { version } " * 2_000 + "}"},
    {"query": "mutation { createProvider }"},
    {"query": "subscription { usageUpdated }"},
    {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}},
    {"documentId": "sha256:" + "0" * 64},
    [],
    "x",
]
ACCEPT = ("*/*", "text/event-stream", "application/graphql-response+json", "image/png", "text/html")
HEADERS = {
    "content-security-policy", "x-content-type-options", "referrer-policy", "cache-control",
    "cross-origin-opener-policy", "cross-origin-resource-policy", "x-request-id",
}  # fmt: skip
USUAL = HEADERS | {
    "date", "content-type", "content-length", "www-authenticate", "location", "connection",
    "etag", "last-modified", "accept-ranges", "transfer-encoding", "vary",
    # Of the gateway.
    "request-id", "x-trunkline-request-id", "x-should-retry",
}  # fmt: skip


@pytest.fixture
async def walked(sqlite_database: Database, clock: SetClock) -> AsyncIterator[Walked]:
    async with (
        services_on(sqlite_database, Secrets([SECRET_KEY]), clock=clock) as services,
        walked_server(services) as server,
    ):
        yield server


def without_id(answer: httpx2.Response) -> Any:
    """The body, but what is different each time."""
    if not answer.content:
        return None
    body = answer.json()
    for error in body.get("errors", ()):
        assert error["extensions"].pop("requestId") == answer.headers["x-request-id"]
    return body


async def test_everything_answers_the_same_401(walked: Walked) -> None:
    client = walked.client
    page_like = without_id(await client.get("/nowhere"))
    assert page_like["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    gateway = {
        path: (await client.post(path, json={})).content
        for path in ("/v1/messages", "/v1/chat/completions")
    }
    asked = 0
    for path in walked.paths:
        for method in METHODS:
            if (path, method) in PUBLIC:
                continue
            for place, accept in enumerate(ACCEPT):
                body = BODIES[(asked + place) % len(BODIES)]
                answer = await client.request(
                    method, path, json=body, headers={"Accept": accept, "User-Agent": "x"}
                )
                what = f"{method} {path} {accept}: {answer.text}"
                assert answer.status_code == 401, what
                assert answer.headers["www-authenticate"] == 'Bearer realm="trunkline"', what
                assert set(answer.headers) <= USUAL, what
                if path.startswith("/v1/"):
                    face = "/v1/messages" if path == "/v1/messages" else "/v1/chat/completions"
                    expected = gateway[face] if method != "HEAD" else b""
                    assert plain(answer.content) == plain(expected), what
                elif method != "HEAD":
                    assert without_id(answer) == page_like, what
                asked += 1
    assert asked > 500


def plain(body: bytes) -> bytes:
    """Without the request's id."""
    if not body:
        return b""
    found = json.loads(body)
    found.pop("request_id", None)
    return json.dumps(found).encode()


async def test_graphql_says_nothing_whatever_is_asked(walked: Walked) -> None:
    expected = without_id(await walked.client.get("/nowhere"))
    for body in BODIES:
        assert without_id(await walked.client.post("/graphql", json=body)) == expected
    for content in (b"", b"{", b"[" * 50_000, b"\xff\xfe", b"x" * 2**21):
        answer = await walked.client.post("/graphql", content=content)
        assert without_id(answer) == expected
    known = next(iter(PersistedOperations().manifest()))
    for query in (INTROSPECTION, "{", "", "{ serverInfo { versio } }"):
        params = {"query": query, "documentId": known}
        assert without_id(await walked.client.get("/graphql", params=params)) == expected


async def test_what_is_public_is_the_same_for_everybody(walked: Walked) -> None:
    client = walked.client
    assert (await client.get("/healthz")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    leads = await client.get("/")
    assert (leads.status_code, leads.headers["location"], leads.content) == (307, "/graphiql", b"")
    bodies: list[object] = [
        {}, {"code": "x"}, {"token": "tl_" + "x" * 43}, {"query": INTROSPECTION}, []
    ]  # fmt: skip
    for body in bodies:
        answer = await client.post("/session", json=body)
        assert answer.status_code in {400, 401}
        assert "set-cookie" not in answer.headers
        assert_names_nothing(answer.text)
    assert (await client.delete("/session")).status_code == 204


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /%00%ff/../graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 200_000 + b"\r\n\r\n",
        b"TRACE /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
    ids=lambda one: repr(one)[2:26],
)
async def test_what_is_no_request_is_answered_without_names(
    walked: Walked, request_bytes: bytes
) -> None:
    def ask() -> bytes:
        with socket.create_connection(("127.0.0.1", walked.port), timeout=30) as connection:
            parts = []
            # It may be answered, and closed, before all of it was sent.
            with suppress(OSError):
                connection.sendall(request_bytes)
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while part := connection.recv(65_536):
                    parts.append(part)
        return b"".join(parts)

    answer = (await asyncio.to_thread(ask)).decode("latin-1")
    assert not answer or int(answer.split()[1]) >= 400
    assert_names_nothing(answer)
    assert "\r\nserver:" not in answer.lower()


def assert_names_nothing(text: str) -> None:
    """No version, nothing of what serves, no name of the schema."""
    lowered = text.lower()
    named = {name.lower() for name in schema._schema.type_map if len(name) > 8}
    for word in (trunkline.__version__, "uvicorn", "starlette", "python", "strawberry", *named):
        assert word not in lowered, f"{word}: {text}"


async def test_a_socket_says_nothing(walked: Walked) -> None:
    url = f"ws://127.0.0.1:{walked.port}"
    for path in [one for one in walked.paths if one != "/graphql"]:
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{url}{path}")
        assert caught.value.response.status_code == 401, path
    subscribe = {"id": "1", "type": "subscribe", "payload": {"query": INTROSPECTION}}
    for said, code in (
        ({"type": "connection_init"}, 4403),
        ({"type": "connection_init", "payload": {"Authorization": "Bearer x"}}, 4403),
        (subscribe, 4401),
        ({"type": "what"}, 4400),
        ([], 4400),
    ):
        async with connect(f"{url}/graphql", subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]  # a NewType of str
            await connection.send(json.dumps(said))
            with pytest.raises(ConnectionClosed):
                await connection.recv()
            assert connection.close_code == code, said
            assert_names_nothing(str(connection.close_reason))


async def test_every_answer_tells_browsers_to_take_care(walked: Walked) -> None:
    signed_in = {"Authorization": f"Bearer {TOKEN}"}
    for path in walked.paths:
        for method in ("GET", "POST", "OPTIONS"):
            for headers in ({}, signed_in):
                answer = await walked.client.request(method, path, headers=headers)
                what = f"{method} {path}: {dict(answer.headers)}"
                assert set(answer.headers) >= HEADERS, what
                assert "server" not in answer.headers, what
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["referrer-policy"] == "no-referrer"
                assert answer.headers["cross-origin-opener-policy"] == "same-origin"
                assert answer.headers["cross-origin-resource-policy"] == "same-origin"
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy, what
                assert "frame-ancestors 'none'" in policy, what
                assert "unsafe-inline" not in policy.partition("style-src")[0], what
                if not path.startswith("/graphiql"):
                    assert "no-" in answer.headers["cache-control"], what
    foreign = await walked.client.get("/graphql", headers={"Host": "evil.example"})
    assert set(foreign.headers) >= HEADERS
