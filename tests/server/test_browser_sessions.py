"""Browser sessions, listed and revoked over the API: on both databases, over a real server."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from db.sessions import MOST_SESSIONS
from db.vocabulary import AccessScope
from schema.node import encode_id
from server.sign_in import COOKIE, SESSION_LENGTH
from tests.conftest import SetClock
from tests.server.served import TOKEN, Served, opened, said, serving, subscribe
from trunkline.access.browsers import LONGEST, browser_name
from trunkline.access.changes import create_token, revoke_token, rotate_token
from trunkline.access.inputs import NewAccessToken
from trunkline.access.sessions import NOTED_EVERY
from trunkline.services import Services

SAFARI = "Mozilla/5.0 ({}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 {}"
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)
LIST = """{ browserSessions { totalCount nodes { id signedInWith browser address current
  createdAt lastUsedAt expiresAt accessToken { name } } } }"""
REVOKE = """mutation ($id: ID!) { revokeBrowserSession(input: { id: $id }) {
  deletedId userErrors { code field } } }"""
REVOKE_OTHERS = """mutation ($all: Boolean!) {
  revokeOtherBrowserSessions(input: { ofEverybody: $all }) { revoked userErrors { code } } }"""


@dataclass
class Browsers:
    """Whoever signs in and asks."""

    served: Served
    services: Services
    client: httpx2.AsyncClient

    async def sign_in(self, user_agent: str = "", **shown: str) -> str:
        """The cookie's value."""
        body = shown or {"code": await self.served.gate.issue_code()}
        headers = {"User-Agent": user_agent}
        begun = await self.client.post("/session", json=body, headers=headers)
        assert begun.status_code == 204, begun.text
        self.client.cookies.clear()
        return str(begun.cookies[COOKIE])

    def own(self, session: str) -> dict[str, str]:
        origin = f"http://127.0.0.1:{self.served.port}"
        return {"Cookie": f"{COOKIE}={session}", "Origin": origin}

    async def ask(self, headers: dict[str, str], query: str, **variables: Any) -> Any:
        body = {"query": query, "variables": variables}
        answer = await self.client.post("/graphql", json=body, headers=headers)
        return answer.json() if answer.status_code == 200 else answer.status_code

    async def listed(self, headers: dict[str, str]) -> list[dict[str, Any]]:
        answer = await self.ask(headers, LIST)
        assert "errors" not in answer, answer
        page = answer["data"]["browserSessions"]
        assert page["totalCount"] == len(page["nodes"])
        nodes: list[dict[str, Any]] = page["nodes"]
        return nodes

    async def token(self, *scopes: AccessScope, name: str) -> Any:
        return await create_token(self.services, NewAccessToken(name=name, scopes=scopes))


ADMIN = {"Authorization": f"Bearer {TOKEN}"}


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
async def browsers(services: Services) -> AsyncIterator[Browsers]:
    async with (
        serving(services) as served,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", timeout=20) as client,
    ):
        yield Browsers(served, services, client)
    await served.gate.drain()


async def closed(connection: ClientConnection) -> int | None:
    with suppress(ConnectionClosed):
        while True:
            await said(connection)
    return connection.close_code


async def test_each_is_told_apart_by_how_it_began(browsers: Browsers, clock: SetClock) -> None:
    reader = await browsers.token(AccessScope.READ, name="dashboard")
    by_link = await browsers.sign_in(CHROME)
    await browsers.sign_in("curl/8.5.0", token=TOKEN)
    by_token = await browsers.sign_in(token=reader.text)
    now = clock().isoformat().replace("+00:00", "Z")
    newest, admins, links = await browsers.listed(browsers.own(by_link))
    assert newest["signedInWith"] == "ACCESS_TOKEN"
    assert newest["accessToken"] == {"name": "dashboard"}
    assert (admins["signedInWith"], admins["browser"]) == ("ADMIN_TOKEN", "curl/8.5.0")
    assert links.pop("id")
    assert links == {
        "signedInWith": "SIGN_IN_LINK", "browser": "Chrome 141 on Linux", "address": "127.0.0.1",
        "current": True, "createdAt": now, "lastUsedAt": now, "accessToken": None,
        "expiresAt": (clock() + SESSION_LENGTH).isoformat().replace("+00:00", "Z"),
    }  # fmt: skip
    assert not newest["current"]
    # A token sees its own alone, by whatever way it asks.
    for way in (browsers.own(by_token), bearer(reader.text)):
        assert [one["id"] for one in await browsers.listed(way)] == [newest["id"]]
    other = await browsers.token(AccessScope.CONFIGURE, name="other")
    assert await browsers.listed(bearer(other.text)) == []
    node = f'{{ node(id: "{newest["id"]}") {{ id }} }}'
    assert (await browsers.ask(bearer(other.text), node))["data"] == {"node": None}
    assert (await browsers.ask(ADMIN, node))["data"] == {"node": {"id": newest["id"]}}


async def test_one_that_is_revoked_is_over_and_its_sockets_are_closed(browsers: Browsers) -> None:
    first, second = [await browsers.sign_in() for _ in range(2)]
    async with opened(browsers.served, session=first) as socket:
        await subscribe(socket, "subscription { budgetChanged { kind } }")
        assert (await said(socket))["type"] == "next"
        (_, doomed) = await browsers.listed(browsers.own(second))
        done = await browsers.ask(browsers.own(second), REVOKE, id=doomed["id"])
        assert done["data"]["revokeBrowserSession"]["deletedId"] == doomed["id"]
        assert await closed(socket) == 4403
    assert await browsers.ask(browsers.own(first), LIST) == 401
    assert len(await browsers.listed(browsers.own(second))) == 1
    again = await browsers.ask(browsers.own(second), REVOKE, id=doomed["id"])
    (problem,) = again["data"]["revokeBrowserSession"]["userErrors"]
    assert problem == {"code": "NOT_FOUND", "field": ["id"]}


async def test_an_event_stream_of_one_that_is_revoked_is_ended(browsers: Browsers) -> None:
    session = await browsers.sign_in()
    sent = browsers.own(session) | {"Accept": "text/event-stream"}
    body = {"query": "subscription { budgetChanged { kind } }"}
    async with browsers.client.stream("POST", "/graphql", json=body, headers=sent) as response:
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data: {"):
                break
        await browsers.ask(ADMIN, REVOKE_OTHERS, all=True)
        rest = [line async for line in lines]
    assert "event: complete" not in rest


async def test_nobody_ends_anothers(browsers: Browsers) -> None:
    reader = await browsers.token(AccessScope.READ, name="dashboard")
    admins = await browsers.sign_in()
    (theirs,) = await browsers.listed(ADMIN)
    refused = await browsers.ask(bearer(reader.text), REVOKE, id=theirs["id"])
    assert refused["data"]["revokeBrowserSession"]["userErrors"][0]["code"] == "NOT_FOUND"
    refused = await browsers.ask(bearer(reader.text), REVOKE_OTHERS, all=True)
    assert refused["errors"][0]["extensions"]["missingScope"] == "ADMIN"
    ended = await browsers.ask(bearer(reader.text), REVOKE_OTHERS, all=False)
    assert ended["data"]["revokeOtherBrowserSessions"] == {"revoked": 0, "userErrors": []}
    assert len(await browsers.listed(browsers.own(admins))) == 1


async def test_all_others_are_revoked_ones_own_or_everybodys(browsers: Browsers) -> None:
    reader = await browsers.token(AccessScope.READ, name="dashboard")
    mine, other = [await browsers.sign_in(token=reader.text) for _ in range(2)]
    # A former text of the token is still the same holder's.
    turned = await rotate_token(browsers.services, reader.token.id, 60)
    third = await browsers.sign_in(token=turned.text)
    admins, _ = await browsers.sign_in(), await browsers.sign_in(token=TOKEN)
    ended = await browsers.ask(browsers.own(mine), REVOKE_OTHERS, all=False)
    assert ended["data"]["revokeOtherBrowserSessions"]["revoked"] == 2
    assert await browsers.ask(browsers.own(other), LIST) == 401
    assert await browsers.ask(browsers.own(third), LIST) == 401
    assert len(await browsers.listed(browsers.own(admins))) == 3
    ended = await browsers.ask(browsers.own(admins), REVOKE_OTHERS, all=False)
    assert ended["data"]["revokeOtherBrowserSessions"]["revoked"] == 1
    ended = await browsers.ask(browsers.own(admins), REVOKE_OTHERS, all=True)
    assert ended["data"]["revokeOtherBrowserSessions"]["revoked"] == 1
    (left,) = await browsers.listed(browsers.own(admins))
    assert left["current"]


async def test_what_is_over_is_not_listed(browsers: Browsers, clock: SetClock) -> None:
    expiring = await create_token(
        browsers.services,
        NewAccessToken(
            name="short", scopes=[AccessScope.READ], expires_at=clock() + timedelta(hours=1)
        ),
    )
    revoked = await browsers.token(AccessScope.READ, name="revoked")
    turned = await browsers.token(AccessScope.READ, name="turned")
    for one in (expiring, revoked, turned):
        await browsers.sign_in(token=one.text)
    await rotate_token(browsers.services, turned.token.id, 60)
    assert len(await browsers.listed(ADMIN)) == 3
    await revoke_token(browsers.services, revoked.token.id)
    assert len(await browsers.listed(ADMIN)) == 2
    clock.advance(seconds=60)
    assert [one["accessToken"]["name"] for one in await browsers.listed(ADMIN)] == ["short"]
    clock.advance(hours=1)
    assert await browsers.listed(ADMIN) == []


async def test_a_use_is_noted_to_the_minute(browsers: Browsers, clock: SetClock) -> None:
    own = browsers.own(await browsers.sign_in())
    begun = clock()
    for passed, noted in ((NOTED_EVERY / 2, begun), (NOTED_EVERY / 2, begun + NOTED_EVERY)):
        clock.now += passed
        await browsers.listed(own)
        await browsers.served.gate.drain()
        (session,) = await browsers.listed(ADMIN)
        assert session["lastUsedAt"] == noted.isoformat().replace("+00:00", "Z")


async def test_one_holder_has_so_many_and_pushes_nobody_out(browsers: Browsers) -> None:
    reader = await browsers.token(AccessScope.READ, name="dashboard")
    admins = await browsers.sign_in()
    gate = browsers.served.gate
    first = await browsers.sign_in(token=reader.text)
    holder = await gate.holder(reader.text, None)  # type: ignore[arg-type]  # of wrong ones only
    for _ in range(MOST_SESSIONS - 1):
        await gate.begin_session_of(holder)
    assert await browsers.ask(browsers.own(first), "{ serverInfo { version } }") != 401
    await gate.begin_session_of(holder)
    assert await browsers.ask(browsers.own(first), "{ serverInfo { version } }") == 401
    count = "{ browserSessions(first: 0) { totalCount } }"
    answer = await browsers.ask(browsers.own(admins), count)
    assert answer["data"]["browserSessions"]["totalCount"] == MOST_SESSIONS + 1


async def test_pages_follow_each_other(browsers: Browsers) -> None:
    for _ in range(3):
        await browsers.sign_in()
    seen: list[str] = []
    after: str | None = None
    query = """query ($after: String) { browserSessions(first: 2, after: $after) {
      nodes { id } pageInfo { hasNextPage endCursor } } }"""
    for more in (True, False):
        page = (await browsers.ask(ADMIN, query, after=after))["data"]["browserSessions"]
        assert page["pageInfo"]["hasNextPage"] is more
        seen += [one["id"] for one in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert seen == [encode_id("BrowserSession", number) for number in (3, 2, 1)]
    answer = await browsers.ask(ADMIN, query, after="nonsense")
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (CHROME, "Chrome 141 on Linux"),
        (CHROME + " Edg/141.0", "Edge 141 on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; rv:132.0) Gecko/20100101 Firefox/132.0",
         "Firefox 132 on Windows"),
        (SAFARI.format("Macintosh; Intel Mac OS X 10_15_7", "Safari/605.1.15"),
         "Safari 18 on macOS"),
        (SAFARI.format("iPhone; CPU iPhone OS 18_1 like Mac OS X", "Mobile/15E1 Safari/604.1"),
         "Safari 18 on iPhone"),
        ("python-httpx/0.28", "python-httpx/0.28"),
        ("\x1b[2J<script>ä", "[2J<script>"),
        ("x" * 10_000, "x" * LONGEST),
        ("", None),
        (None, None),
    ],
    ids=lambda one: repr(one)[-24:],
)  # fmt: skip
def test_a_browser_has_a_short_name(user_agent: str | None, name: str | None) -> None:
    assert browser_name(user_agent) == name
