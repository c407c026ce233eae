"""Signing in: tokens, one-use codes, cookies, and where a cookie counts."""

import asyncio
import json
import sqlite3
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from db.engine import Database
from server.access import RETRY_SECONDS, TICK_SECONDS, AccessWatch
from server.sign_in import ADMIN, CODE_LENGTH, COOKIE, SESSION_LENGTH, Gate
from tests.conftest import SetClock
from trunkline.clock import system_clock
from trunkline.secrets import fingerprint

QUERY = {"query": "{ viewer }"}


@pytest.fixture
def cookie(server: Any) -> str:
    """The value of a living session's cookie."""
    code = server.run(server.door.gate.issue_code())
    response = httpx2.post(f"{server.url}/session", json={"code": code})
    assert response.status_code == 204
    return str(response.cookies[COOKIE])


def ask(server: Any, headers: dict[str, str], **options: Any) -> httpx2.Response:
    return httpx2.post(f"{server.url}/graphql", json=QUERY, headers=headers, **options)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": ""},
        {"Authorization": "test-admin-token-0123456789"},
        {"Authorization": "Basic test-admin-token-0123456789"},
        {"Authorization": "Bearer Bearer test-admin-token-0123456789"},
        {"Cookie": "trunkline_session="},
        {"Cookie": "other=1"},
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_without_a_valid_token_it_is_a_401(
    server: Any, headers: dict[str, str], accept: str
) -> None:
    own = {"Origin": server.url} if "Cookie" in headers else {}
    response = ask(server, headers | own | {"Accept": accept})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    error = response.json()["errors"][0]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert "trunkline sign-in-link" in error["message"] or "Bearer" in error["message"]
    assert "wrong" not in response.text


def test_a_bad_document_is_not_even_read_without_a_token(server: Any) -> None:
    assert httpx2.post(f"{server.url}/graphql", json={"query": "{"}).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_admin_token_lets_in(server: Any, scheme: str) -> None:
    response = ask(server, {"Authorization": f"{scheme} {server.token}"})
    assert response.json() == {"data": {"viewer": "admin"}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/schema.graphql", 401),
        ("/graphql?query={hello}", 401),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/", 307),
        ("/nowhere", 401),
    ],
)
def test_what_is_guarded(server: Any, path: str, expected: int) -> None:
    assert httpx2.get(f"{server.url}{path}").status_code == expected


def test_the_schema_is_served_to_whoever_is_signed_in(server: Any) -> None:
    response = server.get("/schema.graphql")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert "type Subscription {" in response.text


def test_a_code_begins_one_session_and_is_used_up(server: Any) -> None:
    code = server.run(server.door.gate.issue_code())
    first = httpx2.post(f"{server.url}/session", json={"code": code})
    assert first.status_code == 204
    attributes = first.headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
        assert attribute.lower() in attributes.lower()
    assert "secure" not in attributes.lower()
    second = httpx2.post(f"{server.url}/session", json={"code": code})
    assert second.status_code == 401
    assert "set-cookie" not in second.headers
    assert "sign-in-link" in second.json()["errors"][0]["message"]


def test_a_browser_keeps_no_session_that_somebody_gave_it(server: Any) -> None:
    """Session fixation: each sign-in makes a new one, and the one before is another's still."""
    planted = "planted-by-somebody-else"
    code = server.run(server.door.gate.issue_code())
    begun = httpx2.post(
        f"{server.url}/session",
        json={"code": code},
        headers={"Cookie": f"{COOKIE}={planted}", "Origin": server.url},
    )
    own = begun.cookies[COOKIE]
    assert own != planted
    assert len(own) == 43
    assert begun.headers["cache-control"] == "no-store"
    for value, expected in ((planted, 401), (own, 200)):
        sent = {"Cookie": f"{COOKIE}={value}", "Origin": server.url}
        assert ask(server, sent).status_code == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "http://127.0.0.1:1", "Content-Type": "application/json"}, 403),
        ({"Origin": "null", "Content-Type": "application/json"}, 403),
        ({"Origin": "http://evil.example", "Content-Type": "text/plain"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({}, 415),
    ],
)
def test_no_other_page_signs_a_visitor_in(
    server: Any, headers: dict[str, str], expected: int
) -> None:
    """Login CSRF: a form can send no JSON, and a browser names the page that sends."""
    code = server.run(server.door.gate.issue_code())
    content = json.dumps({"code": code})
    refused = httpx2.post(f"{server.url}/session", content=content, headers=headers)
    assert refused.status_code == expected
    assert "set-cookie" not in refused.headers
    # The code was not used up.
    assert httpx2.post(f"{server.url}/session", json={"code": code}).status_code == 204


def test_the_cookie_is_secure_behind_tls(server: Any) -> None:
    code = server.run(server.door.gate.issue_code())
    behind = {"X-Forwarded-Proto": "https"}
    begun = httpx2.post(f"{server.url}/session", json={"code": code}, headers=behind)
    assert "; secure" in begun.headers["set-cookie"].lower()


def test_a_race_for_one_code_has_one_winner(server: Any) -> None:
    gate = server.door.gate

    async def race() -> int:
        code = await gate.issue_code()
        begun = await asyncio.gather(*(gate.begin_session(code) for _ in range(20)))
        return sum(one is not None for one in begun)

    assert server.run(race()) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", 400), (b"x", 400), (b"[]", 400), (b"null", 400), (b"{}", 400), (b'{"code": 1}', 400),
     (b'{"code": ""}', 400), (b"[" * 100_000, 400), (b'{"code": "' + b"x" * 2**20 + b'"}', 413),
     (b'{"code": "unknown"}', 401)],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_bad_code_begins_nothing(server: Any, content: bytes, expected: int) -> None:
    response = httpx2.post(
        f"{server.url}/session", content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == expected
    assert response.json()["errors"][0]["message"]


def test_a_code_comes_as_json_and_from_our_own_page(server: Any, make_running_server: Any) -> None:
    code = server.run(server.door.gate.issue_code())
    url = f"{server.url}/session"
    assert httpx2.post(url, data={"code": code}).status_code == 415
    assert httpx2.get(url, headers=server.bearer).status_code == 405
    friendly = make_running_server(allowed_origins=("http://friend.example",))
    code = friendly.run(friendly.door.gate.issue_code())
    response = httpx2.post(
        f"{friendly.url}/session", json={"code": code}, headers={"Origin": "http://friend.example"}
    )
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "own"}, 200),
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_cookie_counts_only_from_our_own_page(
    server: Any, cookie: str, headers: dict[str, str], expected: int, method: str
) -> None:
    sent = {name: server.url if value == "own" else value for name, value in headers.items()} | {
        "Cookie": f"{COOKIE}={cookie}"
    }
    if method == "POST":
        response = ask(server, sent)
    else:
        response = httpx2.get(f"{server.url}/graphql", params={"query": "{ viewer }"}, headers=sent)
    assert response.status_code == expected
    if expected == 403:
        assert response.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_a_token_counts_beside_a_cookie(server: Any, cookie: str) -> None:
    sent = {"Cookie": f"{COOKIE}={cookie}"}
    assert ask(server, sent | server.bearer).status_code == 200
    assert ask(server, sent | {"Authorization": "Bearer wrong"}).status_code == 401


def test_a_stranger_costs_no_write(server: Any) -> None:
    """Wrong codes and cookies of nobody would wait for their turn to write, and hold up others."""
    writes = server.door.gate._database.watch.durations["write"].counts
    before = list(writes)
    for _ in range(3):
        wrong = httpx2.post(f"{server.url}/session", json={"code": "wrong"})
        assert wrong.status_code in {401, 429}
        nobody = httpx2.delete(
            f"{server.url}/session", headers={"Cookie": f"{COOKIE}=x", "Origin": server.url}
        )
        assert nobody.status_code == 204
    assert writes == before


def test_signing_out_ends_the_session(server: Any, cookie: str) -> None:
    sent = {"Cookie": f"{COOKIE}={cookie}"}
    url = f"{server.url}/session"
    assert httpx2.delete(url, headers=sent).status_code == 403
    own = sent | {"Origin": server.url}
    assert ask(server, own).status_code == 200
    response = httpx2.delete(url, headers=own)
    assert response.status_code == 204
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert ask(server, own).status_code == 401
    assert httpx2.delete(url).status_code == 204


async def test_a_cookie_opens_a_socket_from_our_own_page(server: Any, cookie: str) -> None:
    sent = {"Cookie": f"{COOKIE}={cookie}"}
    async with server.socket(additional_headers=sent, origin=server.url) as connection:
        await connection.send('{"type": "connection_init"}')
        assert json.loads(await connection.recv()) == {"type": "connection_ack"}
    for origin in (None, "http://evil.example", "null"):
        with pytest.raises(InvalidStatus) as caught:
            await server.socket(additional_headers=sent, origin=origin)
        assert caught.value.response.status_code == 403


async def subscribed(server: Any, headers: dict[str, str], **payload: str) -> Any:
    """A socket with a subscription whose first result has come."""
    connection = await server.socket(additional_headers=headers, origin=server.url)
    await connection.send(json.dumps({"type": "connection_init", "payload": payload}))
    await connection.recv()
    payload = {"query": "subscription { forever }"}
    await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
    assert json.loads(await connection.recv())["type"] == "next"
    return connection


async def closed(connection: Any) -> int | None:
    """The code that it was closed with, after whatever else came."""
    async with asyncio.timeout(10):
        with suppress(ConnectionClosed):
            async for _ in connection:
                pass
        await connection.wait_closed()
    code: int | None = connection.close_code
    return code


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_sockets_of_a_session_that_ends_are_closed_with_4403(
    server: Any, cookie: str, elsewhere: bool
) -> None:
    sent = {"Cookie": f"{COOKIE}={cookie}"}
    first, second = await subscribed(server, sent), await subscribed(server, sent)
    with_token = await subscribed(server, sent, Authorization=f"Bearer {server.token}")
    if elsewhere:
        # By another server on the same database.
        gate = server.door.gate
        other = Gate(gate._database, system_clock, "token-of-the-admin")
        await asyncio.to_thread(server.run, other.end_session(cookie))
    else:
        own = {"Cookie": f"{COOKIE}={cookie}", "Origin": server.url}
        await asyncio.to_thread(httpx2.delete, f"{server.url}/session", headers=own)
    assert await closed(first) == 4403
    assert await closed(second) == 4403
    await with_token.send('{"type": "ping"}')
    while json.loads(await with_token.recv())["type"] != "pong":
        pass
    await with_token.close()


async def test_a_stream_of_a_session_that_ends_is_ended(server: Any, cookie: str) -> None:
    own = {"Cookie": f"{COOKIE}={cookie}", "Origin": server.url, "Accept": "text/event-stream"}
    async with (
        httpx2.AsyncClient(timeout=10) as client,
        client.stream(
            "POST",
            f"{server.url}/graphql",
            headers=own,
            json={"query": "subscription { forever }"},
        ) as response,
    ):
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data: {"):
                break
        await asyncio.to_thread(httpx2.delete, f"{server.url}/session", headers=own)
        rest = [line async for line in lines]
    assert "event: complete" not in rest


async def test_nobody_is_thrown_out_by_a_bad_moment_of_the_store(
    database: Database, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(database, clock, "token-of-the-admin")
    begun = await gate.begin_session(await gate.issue_code())
    assert begun is not None
    session = fingerprint(begun.token)
    slept: asyncio.Queue[float] = asyncio.Queue()
    go_on: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)
        await go_on.get()

    watch = AccessWatch(database, clock, sleep=sleep)
    ended: list[str] = []
    with watch.watching((session,), lambda: ended.append("it")):
        right = database.read
        assert await slept.get() == TICK_SECONDS
        monkeypatch.setattr(database, "read", None)
        go_on.put_nowait(None)
        assert await slept.get() == RETRY_SECONDS
        monkeypatch.setattr(database, "read", right)
        go_on.put_nowait(None)
        assert await slept.get() == TICK_SECONDS
        assert ended == []
        clock.now = begun.expires_at
        go_on.put_nowait(None)
        assert await slept.get() == TICK_SECONDS
        assert ended == ["it"]
    assert watch._looking is None
    with watch.watching((), lambda: ended.append("never")):
        assert watch._looking is None


async def test_a_bad_token_in_the_payload_is_not_mended_by_a_cookie(
    server: Any, cookie: str
) -> None:
    sent = {"Cookie": f"{COOKIE}={cookie}"}
    async with server.socket(additional_headers=sent, origin=server.url) as connection:
        await connection.send('{"type":"connection_init","payload":{"Authorization":"Bearer x"}}')
        with pytest.raises(ConnectionClosed) as caught:
            await connection.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4403


async def test_codes_and_sessions_end_on_time(database: Database, clock: Any) -> None:
    gate = Gate(database, clock, "token-of-the-admin")
    late = await gate.issue_code()
    clock.advance(seconds=CODE_LENGTH.total_seconds())
    assert await gate.begin_session(late) is None
    code = await gate.issue_code()
    clock.advance(seconds=CODE_LENGTH.total_seconds() - 1)
    begun = await gate.begin_session(code)
    assert begun is not None
    assert begun.expires_at == clock() + SESSION_LENGTH
    clock.advance(seconds=SESSION_LENGTH.total_seconds() - 1)
    assert await gate._session(begun.token) == replace(ADMIN, session=fingerprint(begun.token))
    clock.advance(seconds=1)
    assert await gate._session(begun.token) is None


def test_only_hashes_are_stored(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "trunkline.db"
    path.write_bytes(sqlite_template.read_bytes())

    async def sign_in() -> list[str]:
        database = Database.open(f"sqlite+aiosqlite:///{path}")
        gate = Gate(database, system_clock, "token-of-the-admin")
        unused, used = await gate.issue_code(), await gate.issue_code()
        begun = await gate.begin_session(used)
        assert begun is not None
        assert begun.token not in repr(begun)
        await database.close()
        return [unused, used, begun.token]

    shown = asyncio.run(sign_in())
    connection = sqlite3.connect(path)
    stored = "\n".join(connection.iterdump())
    connection.close()
    assert 'INSERT INTO "sign_in_codes"' in stored
    for secret in [*shown, "token-of-the-admin"]:
        assert secret not in stored
        assert secret.encode().hex().upper() not in stored


def test_lengths_are_what_the_page_says() -> None:
    assert timedelta(minutes=10) == CODE_LENGTH
    assert timedelta(hours=12) == SESSION_LENGTH
