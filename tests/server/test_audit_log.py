"""Who acted, whatever way they came; the log over GraphQL, over HTTP and on the command line."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from db.engine import Database
from db.vocabulary import AccessScope
from schema.node import encode_id
from server.sign_in import COOKIE
from server.wiring import services_on
from tests.conftest import SECRET_KEY, SetClock
from tests.program import run_program
from tests.server.served import TOKEN, Served, serving
from trunkline.access.changes import create_token, revoke_token
from trunkline.access.inputs import NewAccessToken
from trunkline.secrets import Secrets
from trunkline.services import Services

CREATE = """mutation ($slug: String!) { createProvider(input: { slug: $slug, name: $slug,
  kind: OLLAMA }) { provider { id } userErrors { message } } }"""
LOG = """query ($filter: AuditLogFilter, $first: Int, $after: String) {
  auditLog(filter: $filter, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { id at actor { kind name accessTokenId inSession } requestId action objectKind objectId
      objectLabel fieldChanges { field before after } } } }"""


@dataclass
class Front:
    """A running server, and what is needed to ask it."""

    services: Services
    served: Served
    client: httpx2.AsyncClient
    database_url: str
    folder: Path

    async def ask(self, query: str, by: dict[str, str], **variables: Any) -> httpx2.Response:
        body = {"query": query, "variables": variables}
        return await self.client.post("/graphql", json=body, headers=by)

    async def data(self, query: str, by: dict[str, str], **variables: Any) -> Any:
        answer = (await self.ask(query, by, **variables)).json()
        assert "errors" not in answer, answer
        (found,) = answer["data"].values()
        return found

    async def token(self, *scopes: AccessScope, name: str = "robot") -> tuple[int, dict[str, str]]:
        made = await create_token(self.services, NewAccessToken(name=name, scopes=scopes))
        return made.token.id, bearer(made.text)

    def cookie(self, token: str) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={token}", "Origin": f"http://127.0.0.1:{self.served.port}"}

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: text for name, text in os.environ.items() if "TRUNKLINE" not in name}
        given = {
            "TRUNKLINE_DATA_DIR": str(self.folder),
            "TRUNKLINE_DATABASE_URL": self.database_url,
            "TRUNKLINE_ADMIN_TOKEN": TOKEN,
            "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
            "LOGNAME": "ada",
        }
        return run_program(list(arguments), kept | given)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


ADMIN = bearer(TOKEN)


@pytest.fixture
async def front(sqlite_database: Database, clock: SetClock, tmp_path: Path) -> AsyncIterator[Front]:
    async with (
        services_on(sqlite_database, Secrets([SECRET_KEY]), clock=clock) as services,
        serving(services) as served,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", timeout=20) as client,
    ):
        url = f"sqlite+aiosqlite:///{tmp_path / 'trunkline.db'}"
        yield Front(services, served, client, url, tmp_path)
        await served.gate.drain()


async def test_an_entry_names_who_acted_by_whatever_way_they_came(front: Front) -> None:
    gate = front.served.gate
    linked = await gate.begin_session(await gate.issue_code())
    assert linked is not None
    token_id, robot = await front.token(AccessScope.CONFIGURE)
    begun = await front.client.post(
        "/session", json={"token": robot["Authorization"].removeprefix("Bearer ")},
        headers={"Origin": f"http://127.0.0.1:{front.served.port}"},
    )  # fmt: skip
    of_robot = front.cookie(begun.cookies[COOKIE])
    front.client.cookies.clear()
    ways = [ADMIN, front.cookie(linked.token), robot, of_robot]
    asked: list[str] = []
    for place, way in enumerate(ways):
        answer = await front.ask(CREATE, way, slug=f"p{place}")
        assert answer.json()["data"]["createProvider"]["userErrors"] == [], answer.text
        asked.append(answer.headers["x-request-id"])
    made = front.run("token", "create", "by hand", "--scope", "READ")
    assert made.returncode == 0, made.stderr
    await revoke_token(front.services, token_id)
    nodes = (await front.data(LOG, ADMIN))["nodes"][::-1]
    token = encode_id("AccessToken", token_id)

    def actor(kind: str, name: str, token: str | None = None, *, session: bool = False) -> Any:
        return {"kind": kind, "name": name, "accessTokenId": token, "inSession": session}

    assert [(one["action"], one["actor"]) for one in nodes] == [
        ("createAccessToken", actor("SYSTEM", "trunkline")),
        ("createProvider", actor("ADMIN", "admin")),
        ("createProvider", actor("ADMIN", "admin", session=True)),
        ("createProvider", actor("ACCESS_TOKEN", "robot", token)),
        ("createProvider", actor("ACCESS_TOKEN", "robot", token, session=True)),
        ("createAccessToken", actor("COMMAND_LINE", "ada")),
        ("revokeAccessToken", actor("SYSTEM", "trunkline")),
    ]
    assert [one["requestId"] for one in nodes] == [None, *asked, None, None]
    assert "tl_…" in str(nodes[0]["fieldChanges"])
    assert made.stdout.strip() not in str(nodes)


async def test_pages_filters_and_nodes_over_graphql(front: Front) -> None:
    token_id, robot = await front.token(AccessScope.CONFIGURE)
    ids = [
        (await front.data(CREATE, by, slug=f"p{place}"))["provider"]["id"]
        for place, by in enumerate([ADMIN, robot, robot])
    ]
    first = await front.data(LOG, ADMIN, first=3)
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (4, True)
    last = await front.data(LOG, ADMIN, first=3, after=first["pageInfo"]["endCursor"])
    assert [one["objectLabel"] for one in first["nodes"] + last["nodes"]] == [
        "p2", "p1", "p0", "robot"
    ]  # fmt: skip
    token = encode_id("AccessToken", token_id)
    for narrowed, labels in (
        ({"accessTokenIds": [token]}, ["p2", "p1"]),
        ({"objectIds": [ids[0], token]}, ["p0", "robot"]),
        ({"actions": ["createProvider"], "actorKinds": ["ADMIN"]}, ["p0"]),
        ({"from": "2026-11-23T15:00:01Z"}, []),
        ({"actors": ["nobody"]}, []),
    ):
        found = await front.data(LOG, ADMIN, filter=narrowed)
        assert [one["objectLabel"] for one in found["nodes"]] == labels, narrowed
    for wrong, said in (
        ({"actions": ["createprovider"]}, "createProvider"),
        ({"objectIds": [encode_id("UsageEvent", 1)]}, "no id of"),
        ({"accessTokenIds": [ids[0]]}, "AccessToken"),
        ({"from": "2026-11-23T15:00:00Z", "to": "2026-11-23T15:00:00Z"}, "before to"),
    ):
        (error,) = (await front.ask(LOG, ADMIN, filter=wrong)).json()["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert said in error["message"]
    node = "query ($id: ID!) { node(id: $id) { id ... on AuditEntry { action } } }"
    entry = first["nodes"][0]["id"]
    assert (await front.data(node, ADMIN, id=entry))["action"] == "createProvider"
    refused = (await front.ask(node, robot, id=entry)).json()
    assert refused["data"] == {"node": None}
    assert refused["errors"][0]["extensions"]["missingScope"] == "ADMIN"


async def test_the_log_goes_out_alike_over_http_and_from_the_command_line(front: Front) -> None:
    _, robot = await front.token(AccessScope.CONFIGURE)
    for place in range(3):
        await front.data(CREATE, ADMIN, slug=f"p{place}")
    answer = await front.client.get("/export/audit", headers=ADMIN)
    assert answer.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert [line["objectLabel"] for line in lines] == ["robot", "p0", "p1", "p2"]
    nodes = (await front.data(LOG, ADMIN))["nodes"]
    for line, node in zip(lines, nodes[::-1], strict=True):
        changes = node.pop("fieldChanges")
        before, after = line.pop("before"), line.pop("after")
        assert line == node
        assert before is None
        assert after == {one["field"]: json.loads(one["after"]) for one in changes}
    wanted = {"after": lines[1]["id"], "action": "createProvider", "objectKind": "provider"}
    rest = await front.client.get("/export/audit", params=wanted, headers=ADMIN)
    assert rest.content == b"".join(answer.content.splitlines(keepends=True)[2:])
    flags = ["--after", lines[1]["id"], "--action", "createProvider", "--object-kind", "provider"]
    file = front.folder / "log.ndjson"
    done = front.run("audit", "export", *flags, "--output", str(file))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert file.read_bytes() == rest.content
    for wrong, said in (
        ({"since": "x"}, "there is no parameter 'since'"),
        ({"from": "yesterday"}, "from: give an instant"),
        ({"after": "x"}, "no id of an AuditEntry"),
        ({"objectKind": "horse"}, "objectKind is one of PROVIDER"),
        ({"actor": "\0"}, "U+0000"),
    ):
        told = await front.client.get("/export/audit", params=wrong, headers=ADMIN)
        assert told.status_code == 400
        assert said in told.json()["errors"][0]["message"]
    bad = front.run("audit", "export", "--from", "yesterday")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("trunkline: from: give an instant")
    for by, status in (({}, 401), (robot, 403)):
        assert (await front.client.get("/export/audit", headers=by)).status_code == status
