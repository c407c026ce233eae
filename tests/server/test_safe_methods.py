"""GET and HEAD change nothing, whoever asks: each route, each mutation, each kind of session."""

from collections.abc import AsyncIterator

import pytest

from db.engine import Database
from db.vocabulary import AccessScope
from server.sign_in import COOKIE
from server.wiring import services_on
from tests.conftest import SECRET_KEY, SetClock
from tests.schema.test_scopes import document, root_fields
from tests.server.walking import TOKEN, Walked, everything, walked_server
from trunkline.access.changes import create_token
from trunkline.access.inputs import NewAccessToken
from trunkline.secrets import Secrets

JSON = {"Accept": "application/json"}


@pytest.fixture
async def walked(sqlite_database: Database, clock: SetClock) -> AsyncIterator[Walked]:
    async with (
        services_on(sqlite_database, Secrets([SECRET_KEY]), clock=clock) as services,
        walked_server(services, operations_per_second=100_000) as server,
    ):
        yield server


async def signed_in(walked: Walked, token: str) -> dict[str, str]:
    """What a browser sends with a GET of our own page."""
    begun = await walked.client.post("/session", json={"token": token})
    assert begun.status_code == 204
    walked.client.cookies.clear()
    return {"Cookie": f"{COOKIE}={begun.cookies[COOKIE]}", "Sec-Fetch-Site": "same-origin"}


@pytest.mark.slow
async def test_no_get_changes_anything(walked: Walked) -> None:
    sessions = [await signed_in(walked, TOKEN)]
    for scope in AccessScope:
        made = await create_token(
            walked.services, NewAccessToken(name=f"of {scope}", scopes=[scope])
        )
        sessions.append(await signed_in(walked, made.text))
    before = await everything(walked.services.database)
    assert before["browser_sessions"]
    assert before["access_tokens"]
    for sent in sessions:
        for path in walked.paths:
            for method in ("GET", "HEAD"):
                answer = await walked.client.request(method, path, headers=sent | JSON)
                assert answer.status_code < 500, path
                assert "set-cookie" not in answer.headers, path
    for kind, name in root_fields():
        if kind == "query":
            params = {"query": document(kind, name)}
            answer = await walked.client.get("/graphql", params=params, headers=sessions[0] | JSON)
            assert answer.status_code == 200, name
    await walked.gate.drain()
    assert await everything(walked.services.database) == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_no_mutation_goes_by_get(walked: Walked, method: str) -> None:
    admin = await signed_in(walked, TOKEN) | JSON
    before = await everything(walked.services.database)

    async def refused(**params: str) -> None:
        answer = await walked.client.request(method, "/graphql", params=params, headers=admin)
        assert answer.status_code == 405, params
        assert answer.headers["allow"] == "POST"

    for kind, name in root_fields():
        if kind == "mutation":
            await refused(query=document(kind, name))
    # Hidden behind a query, and named by an id.
    change = document("mutation", "deleteModel").replace("mutation", "mutation B")
    both = f"query A {{ serverInfo {{ version }} }} {change}"
    await refused(query=both, operationName="B")
    manifest = (await walked.client.get("/operations.json", headers=admin)).json()
    (known,) = (one for one in manifest["operations"] if one["name"] == "RevokeBrowserSession")
    await refused(documentId=f"sha256:{known['id']}")
    assert await everything(walked.services.database) == before
