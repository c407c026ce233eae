"""Host, Origin and CORS, over a real server."""

import json
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from server.sign_in import COOKIE

QUERY = {"query": "{ hello }"}
ALLOWED = {"Origin": "https://dashboard.example"}


@pytest.fixture(scope="module")
def friendly(make_running_server: Any) -> Any:
    return make_running_server(
        allowed_hosts=("localhost", "127.0.0.1", "[::1]", "trunkline.example:8443"),
        allowed_origins=("https://dashboard.example",),
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:1", 200),
        ("localhost", 200),
        ("LOCALHOST:8787", 200),
        ("[::1]:8787", 200),
        ("[::1]", 200),
        ("trunkline.example:8443", 200),
        ("trunkline.example", 421),
        ("trunkline.example:1", 421),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:8787:1", 421),
        ("localhost.", 421),
        ("@localhost", 421),
        ("::1", 421),
    ],
)
def test_only_known_hosts_are_answered(friendly: Any, host: str, expected: int) -> None:
    response = friendly.post(QUERY, headers={"Host": host})
    assert response.status_code == expected
    if expected == 421:
        assert "TRUNKLINE_ALLOWED_HOSTS" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("hosts", [b"", b"Host:\r\n", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_one_host_is_needed(friendly: Any, hosts: bytes) -> None:
    answer = friendly.raw(b"GET /graphiql HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("path", ["/graphiql", "/schema.graphql", "/", "/session", "/nowhere"])
def test_a_foreign_host_gets_nothing_anywhere(friendly: Any, path: str) -> None:
    response = httpx2.get(f"{friendly.url}{path}", headers={"Host": "evil.example"})
    assert response.status_code == 421


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_may_use_any_host(friendly: Any, path: str) -> None:
    assert httpx2.get(f"{friendly.url}{path}", headers={"Host": "10.1.2.3"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://dashboard.example", ""]
)
def test_a_foreign_origin_is_refused_with_a_token_too(friendly: Any, origin: str) -> None:
    before = friendly.witness.bumps
    response = friendly.post({"query": "mutation { bump }"}, headers={"Origin": origin})
    assert response.status_code == 403
    assert response.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert friendly.witness.bumps == before


def test_our_own_origin_needs_no_entry(friendly: Any) -> None:
    assert friendly.post(QUERY, headers={"Origin": friendly.url}).status_code == 200


def test_an_allowed_origin_may_read_answers_and_sends_no_cookie(friendly: Any) -> None:
    response = friendly.post(QUERY, headers={"Origin": "https://dashboard.example"})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://dashboard.example"
    assert "access-control-allow-credentials" not in response.headers
    assert "x-request-id" in response.headers["access-control-expose-headers"].lower()


def test_an_allowed_origin_may_read_errors_too(friendly: Any) -> None:
    response = httpx2.post(
        f"{friendly.url}/graphql", json=QUERY, headers={"Origin": "https://dashboard.example"}
    )
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "https://dashboard.example"


def preflight(server: Any, origin: str, path: str = "/graphql") -> httpx2.Response:
    return httpx2.options(
        f"{server.url}{path}",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )


def test_preflights_of_allowed_origins_are_answered_without_a_token(friendly: Any) -> None:
    allowed = preflight(friendly, "https://dashboard.example")
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://dashboard.example"
    assert preflight(friendly, "https://evil.example").status_code == 403


@pytest.mark.parametrize(
    "options",
    [{"origin": "http://evil.example"}, {"additional_headers": {"Host": "evil.example"}}],
)
async def test_sockets_are_refused_before_they_are_accepted(friendly: Any, options: Any) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await friendly.socket(**options)
    assert caught.value.response.status_code in {400, 403, 421}
    assert json.loads(caught.value.response.body)["errors"][0]["message"]


async def test_sockets_of_allowed_origins_are_accepted(friendly: Any) -> None:
    async with friendly.socket(origin="https://dashboard.example") as connection:
        await connection.send('{"type": "ping"}')
        assert json.loads(await connection.recv()) == {"type": "pong"}


@pytest.mark.parametrize("path", ["/graphql", "/session", "/v1/chat/completions", "/nowhere"])
def test_no_origin_is_let_in_by_a_wildcard_or_with_cookies(friendly: Any, path: str) -> None:
    """What a cache holds for one origin it must not give to another."""
    allowed = preflight(friendly, "https://dashboard.example", path)
    answers = [allowed, httpx2.post(f"{friendly.url}{path}", headers=ALLOWED)]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "https://dashboard.example"
        assert "origin" in answer.headers["vary"].lower()
        assert "access-control-allow-credentials" not in answer.headers
    assert set(allowed.headers["access-control-allow-methods"].split(", ")) == {"GET", "POST"}
    for origin in (friendly.url, "https://evil.example", "null", "*"):
        refused = httpx2.post(f"{friendly.url}{path}", headers={"Origin": origin})
        assert "access-control-allow-origin" not in refused.headers
        assert "access-control-allow-origin" not in preflight(friendly, origin, path).headers


def test_a_cookie_of_an_allowed_origin_does_not_count(friendly: Any) -> None:
    code = friendly.run(friendly.door.gate.issue_code())
    cookie = httpx2.post(f"{friendly.url}/session", json={"code": code}).cookies[COOKIE]
    sent = {"Cookie": f"{COOKIE}={cookie}"}
    asked = httpx2.post(f"{friendly.url}/graphql", json=QUERY, headers=sent | ALLOWED)
    assert asked.status_code == 403
    ended = httpx2.delete(f"{friendly.url}/session", headers=sent | ALLOWED)
    assert ended.status_code == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_other_ports_of_our_host_are_other_origins(friendly: Any, name: str) -> None:
    """A browser sends them our cookie: to it, they are the same site."""
    code = friendly.run(friendly.door.gate.issue_code())
    cookie = httpx2.post(f"{friendly.url}/session", json={"code": code}).cookies[COOKIE]
    sent = {"Cookie": f"{COOKIE}={cookie}"}
    nothing: dict[str, str] = {}
    for origin in (f"http://{name}:{friendly.port + 1}", f"http://{name}", f"https://{name}"):
        for more in (nothing, friendly.bearer):
            asked = httpx2.post(
                f"{friendly.url}/graphql", json=QUERY, headers=sent | more | {"Origin": origin}
            )
            assert asked.status_code == 403
