"""Operations by their ids, over a real server: in each form, and as the only ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from schema.root import schema
from server.answers import GRAPHQL_RESPONSE
from server.operation_files import BadOperations, sha256_of
from server.persisted_operations import PersistedOperations
from tests.server.conftest import TOKEN, RunningServer, ServerMaker

TEXT = "query Greet($name: String!) {\n  hello(name: $name)\n}"
HASH = sha256_of(TEXT)
ANN = {"name": "Ann"}
GREETED = {"data": {"hello": "hello Ann"}}
NOT_FOUND = ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("operations")
    (folder / "own.graphql").write_text(
        f"{TEXT} subscription Count {{ count(to: 2) }} mutation Bump {{ bump }} "
        "query Two { ...F } fragment F on Query { viewer }"
    )
    (folder / "manifest.json").write_text(json.dumps({"greet-1": TEXT}))
    return folder


@pytest.fixture(scope="module")
def open_server(make_running_server: ServerMaker, folder: Path) -> RunningServer:
    return make_running_server(persisted=PersistedOperations(folder))


@pytest.fixture(scope="module")
def closed_server(make_running_server: ServerMaker, folder: Path) -> RunningServer:
    return make_running_server(persisted=PersistedOperations(folder, only=True))


def apollo(digest: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": digest}}


def told(answer: Any) -> tuple[str, str]:
    (error,) = answer["errors"]
    assert "data" not in answer
    assert error["extensions"]["requestId"]
    return error["message"], error["extensions"]["code"]


@pytest.mark.parametrize(
    "asked",
    [
        {"documentId": HASH},
        {"documentId": f"sha256:{HASH}"},
        {"documentId": "greet-1"},
        {"extensions": apollo(HASH)},
        {"extensions": apollo(HASH), "query": TEXT},
        {"extensions": apollo(HASH), "query": None, "operationName": "Greet"},
    ],
)
def test_an_operation_is_found_by_its_id(
    open_server: RunningServer, closed_server: RunningServer, asked: dict[str, Any]
) -> None:
    for server in (open_server, closed_server):
        assert server.post(asked | {"variables": ANN}).json() == GREETED
        parameters = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in (asked | {"variables": ANN}).items()
            if value is not None
        }
        assert server.get(params=parameters).json() == GREETED


@pytest.mark.parametrize(
    "asked",
    [{"documentId": "0" * 64}, {"documentId": "sha256:x"}, {"extensions": apollo("0" * 64)}],
)
def test_an_unknown_id_is_told_as_clients_know_it(
    open_server: RunningServer, asked: dict[str, Any]
) -> None:
    answer = open_server.post(asked)
    assert (answer.status_code, told(answer.json())) == (200, NOT_FOUND)
    answer = open_server.post(asked, headers={"Accept": GRAPHQL_RESPONSE})
    assert (answer.status_code, told(answer.json())) == (400, NOT_FOUND)


def test_what_a_client_sends_with_its_hash_is_executed_and_not_kept(
    open_server: RunningServer,
) -> None:
    text = "{ hello }"
    asked = {"extensions": apollo(sha256_of(text))}
    assert told(open_server.post(asked).json()) == NOT_FOUND
    assert open_server.post(asked | {"query": text}).json() == {"data": {"hello": "hello world"}}
    assert told(open_server.post(asked).json()) == NOT_FOUND


def test_a_hash_of_another_text_is_refused(open_server: RunningServer) -> None:
    message, code = told(open_server.post({"extensions": apollo(HASH), "query": "{ me }"}).json())
    assert "does not match" in message
    assert code == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"extensions": {"persistedQuery": {"version": 2, "sha256Hash": HASH}}}, "version"),
        ({"extensions": {"persistedQuery": {"sha256Hash": HASH}}}, "version"),
        ({"extensions": {"persistedQuery": "x"}}, "sha256Hash"),
        ({"extensions": apollo("")}, "1 to 300 characters"),
        ({"extensions": {"persistedQuery": {"version": 1}}}, "1 to 300 characters"),
        ({"documentId": 7}, "must be a string"),
        ({"documentId": "x" * 301}, "1 to 300 characters"),
        ({"documentId": None}, "documentId"),
    ],
)
def test_what_is_no_id_is_refused(
    open_server: RunningServer, asked: dict[str, Any], said: str
) -> None:
    answer = open_server.post(asked)
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]


def test_a_mutation_by_its_id_still_wants_post(open_server: RunningServer) -> None:
    bump = sha256_of("mutation Bump {\n  bump\n}")
    assert open_server.get(params={"documentId": bump}).status_code == 405
    assert open_server.post({"documentId": bump}).json()["data"]["bump"] > 0


async def converse(server: RunningServer, payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that a socket says to one subscribe."""
    async with server.socket() as socket:
        token = {"Authorization": f"Bearer {TOKEN}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": token}))
        await socket.recv()
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        said: list[dict[str, Any]] = []
        while not said or said[-1]["type"] == "next":
            said.append(json.loads(await socket.recv()))
        return said


async def test_a_socket_takes_ids_too(
    open_server: RunningServer, closed_server: RunningServer
) -> None:
    digest = sha256_of("subscription Count {\n  count(to: 2)\n}")
    for server in (open_server, closed_server):
        for payload in ({"documentId": digest}, {"extensions": apollo(digest)}):
            said = await converse(server, payload)
            assert [one["type"] for one in said] == ["next", "next", "complete"]
            assert said[0]["payload"] == {"data": {"count": 0}}


async def test_a_socket_is_told_of_an_unknown_id(open_server: RunningServer) -> None:
    (said,) = await converse(open_server, {"extensions": apollo("0" * 64)})
    assert said["type"] == "error"
    assert said["payload"][0]["message"] == "PersistedQueryNotFound"
    assert said["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize(
    "asked",
    [
        {"query": "{ hello }"},
        {"query": "{ __typename hello }"},
        {"query": "{ hello }", "extensions": apollo(sha256_of("{ hello }"))},
        {"query": "query A { __typename } query Greet { hello }", "operationName": "Greet"},
        {"query": "{ ...F } fragment F on Query { hello }"},
    ],
)
async def test_nothing_else_is_executed_where_only_known_ones_are(
    closed_server: RunningServer, asked: dict[str, Any]
) -> None:
    message, code = told(closed_server.post(asked).json())
    assert "GET /operations.json" in message
    assert code == "FORBIDDEN"
    (said,) = await converse(closed_server, asked)
    assert said["payload"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    "query",
    [
        TEXT,
        "# however it is laid out\nquery Greet($name:String!,){hello(name:$name)}",
        "fragment F on Query { viewer } query Two { ...F }",
        "{ __schema { queryType { name } } }",
        '{ __type(name: "Query") { name } __typename }',
    ],
)
def test_a_known_text_and_introspection_are(closed_server: RunningServer, query: str) -> None:
    answer = closed_server.post({"query": query, "variables": ANN}).json()
    assert "errors" not in answer


def test_the_list_of_operations_is_there_for_who_is_signed_in(open_server: RunningServer) -> None:
    listed = open_server.get("/operations.json").json()
    by_id = {one["id"]: one for one in listed["operations"]}
    assert by_id[HASH] == {"id": HASH, "name": "Greet", "type": "query", "body": TEXT}
    assert {"ProviderOverview", "LiveUsage"} <= {one["name"] for one in listed["operations"]}
    assert open_server.get("/operations.json", headers={"Authorization": ""}).status_code == 401


def test_what_an_operator_gives_is_checked_by_the_schema(tmp_path: Path) -> None:
    PersistedOperations(only=True).load(schema)
    (tmp_path / "own.graphql").write_text("query A { nothing }")
    with pytest.raises(BadOperations, match=r"own\.graphql: A: Cannot query field 'nothing'"):
        PersistedOperations(tmp_path).load(schema)


def test_an_id_that_stands_for_two_operations_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"one": "query A { serverInfo { version } }"}')
    (tmp_path / "b.json").write_text('{"one": "query A { serverInfo { version } }"}')
    PersistedOperations(tmp_path).load(schema)
    (tmp_path / "b.json").write_text('{"one": "query B { serverInfo { database } }"}')
    with pytest.raises(BadOperations, match=r"b\.json: one is the id of another operation too"):
        PersistedOperations(tmp_path).load(schema)
