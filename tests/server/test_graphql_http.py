"""GraphQL over HTTP by its specification, over a real server."""

import json
from typing import Any

import httpx2
import pytest

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
EITHER = [GRAPHQL, JSON]


def content_type(response: httpx2.Response) -> str:
    return str(response.headers["content-type"])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (GRAPHQL, GRAPHQL),
        (JSON, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (None, JSON),
        ("", JSON),
        (f"{GRAPHQL}, {JSON};q=0.9", GRAPHQL),
        (f"{JSON};q=0.5, {GRAPHQL};q=0.9", GRAPHQL),
        (f"{JSON}, {GRAPHQL}", JSON),
        (f"{GRAPHQL};charset=utf-8, {JSON};charset=utf-8", GRAPHQL),
        (f"{GRAPHQL};q=0, */*", JSON),
        ("Application/GraphQL-Response+JSON", GRAPHQL),
        (f"nonsense, ;;, q=3, {JSON}", JSON),
        (f"{GRAPHQL}, text/event-stream, multipart/mixed", GRAPHQL),
    ],
)
def test_answers_in_the_media_type_that_is_accepted(
    server: Any, accept: str | None, expected: str
) -> None:
    request = httpx2.Request(
        "POST",
        f"{server.url}/graphql",
        headers=server.bearer,
        json={"query": "{ hello }"},
    )
    request.headers.pop("accept", None)
    if accept is not None:
        request.headers["accept"] = accept
    with httpx2.Client() as client:
        response = client.send(request)
    assert response.status_code == 200
    assert content_type(response) == f"{expected}; charset=utf-8"
    assert response.json() == {"data": {"hello": "hello world"}}


@pytest.mark.parametrize("accept", ["text/xml", "text/html;q=1", f"{JSON};q=0", "image/*", "x"])
def test_answers_406_where_nothing_of_ours_is_accepted(server: Any, accept: str) -> None:
    response = server.post({"query": "{ hello }"}, headers={"Accept": accept})
    assert response.status_code == 406
    assert content_type(response).startswith(JSON)
    assert "accept one" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "query",
    ["{", "", "{ nothing }", "query ($n: String!) { hello(name: $n) }",
     "fragment F on Query { hello }",
     "query A { hello } query B { hello }", "{" * 5_000, "[" * 5_000, '{ hello(name: "\\uD800") }',
     "\x00", "{ hello(name: 1) }", "{ me {" * 400 + " hello " + "}}" * 400],
)  # fmt: skip
def test_a_request_that_is_not_executed_has_no_data(server: Any, query: str) -> None:
    refused = server.post({"query": query}, headers={"Accept": GRAPHQL})
    assert refused.status_code == 400, refused.text
    assert content_type(refused) == f"{GRAPHQL}; charset=utf-8"
    assert "data" not in refused.json()
    error = refused.json()["errors"][0]
    assert error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["requestId"] == refused.headers["x-request-id"]

    legacy = server.post({"query": query}, headers={"Accept": JSON})
    assert legacy.status_code == 200
    assert legacy.json()["errors"][0]["message"] == error["message"]


def test_an_unknown_operation_name_is_refused(server: Any) -> None:
    body = {"query": "query A { hello }", "operationName": "B"}
    assert server.post(body, headers={"Accept": GRAPHQL}).status_code == 400


def test_the_named_operation_is_executed(server: Any) -> None:
    body = {"query": "query A { hello } query B { a: hello }", "operationName": "B"}
    assert server.post(body).json() == {"data": {"a": "hello world"}}


def test_a_syntax_error_says_where(server: Any) -> None:
    error = server.post({"query": "{ hello("}).json()["errors"][0]
    assert error["locations"] == [{"line": 1, "column": 9}]


@pytest.mark.parametrize("accept", EITHER)
def test_a_failed_field_is_a_200_with_partial_data(server: Any, accept: str) -> None:
    response = server.post({"query": "{ hello fails }"}, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "hello world", "fails": None}
    error = response.json()["errors"][0]
    assert error["extensions"] == {
        "code": "INTERNAL",
        "requestId": response.headers["x-request-id"],
    }
    assert "secret" not in response.text


@pytest.mark.parametrize("accept", EITHER)
def test_null_data_of_an_executed_operation_is_a_200(server: Any, accept: str) -> None:
    response = server.post({"query": "{ required }"}, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.json()["data"] is None
    assert response.json()["errors"][0]["message"] == "ask differently"


BAD_BODIES: list[bytes] = [
    b"", b" ", b"x", b'"x"', b"null", b"1", b"true", b"[]", b'[{"query": "{ hello }"}]', b"{}",
    b'{"query":', b"NaN", b'{"query": NaN}', b'{"query": "{ hello }", "variables": {"a": NaN}}',
    b'{"query": "{ hello }", "variables": {"a": Infinity}}',
    b"\xff\xfe\x00", b'{"query": "\xff"}', b'{"query": "\\ud800"}', b"\x00" * 100,
    b"[" * 100_000, b'{"a":' * 100_000, b'{"query": "{ hello }", "variables": ' + b"[" * 100_000,
    b"{'query': '{ hello }'}", b'{"query": "{ hello }"} trailing', b"\xef\xbb\xbf{}",
    b'{"qeury": "{ hello }"}', b'{"query": null}',
]  # fmt: skip


@pytest.mark.parametrize("accept", EITHER)
@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:24]))
def test_a_body_that_is_no_request_is_a_400_that_says_why(
    server: Any, body: bytes, accept: str
) -> None:
    response = server.post(content=body, headers={"Accept": accept})
    assert response.status_code == 400
    assert content_type(response) == f"{accept}; charset=utf-8"
    assert "data" not in response.json()
    assert response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        *(("query", value) for value in ({"a": 1}, 0, False, ["a"])),
        *(("operationName", value) for value in ({"a": 1}, 0, False, ["a"])),
        *(("variables", value) for value in ("s", 0, False, ["a"])),
        *(("extensions", value) for value in ("s", 0, False, ["a"])),
    ],
)
def test_a_parameter_of_the_wrong_type_is_a_400_that_names_it(
    server: Any, parameter: str, wrong: object
) -> None:
    body = {"query": "{ hello }", parameter: wrong}
    response = server.post(body, headers={"Accept": GRAPHQL})
    assert response.status_code == 400
    assert f"`{parameter}`" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("parameter", ["variables", "operationName", "extensions"])
def test_null_parameters_are_as_if_left_out(server: Any, parameter: str) -> None:
    assert server.post({"query": "{ hello }", parameter: None}).json() == {
        "data": {"hello": "hello world"}
    }


def test_unknown_properties_are_passed_over(server: Any) -> None:
    body = {"query": "{ hello }", "extensions": {"some": "value"}, "more": 1}
    assert server.post(body).status_code == 200


def test_of_a_repeated_key_the_last_counts(server: Any) -> None:
    body = b'{"query": "{", "query": "{ hello }"}'
    assert server.post(content=body).json() == {"data": {"hello": "hello world"}}


@pytest.mark.parametrize(
    "given",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x", "",
     "application/json; charset=utf-16", "application/graphql", "text/json"],
)  # fmt: skip
def test_other_content_types_are_415(server: Any, given: str) -> None:
    response = server.post(content=b'{"query": "{ hello }"}', headers={"Content-Type": given})
    assert response.status_code == 415
    assert response.headers["accept-post"] == JSON
    assert "Content-Type" in response.text or "UTF-8" in response.text


@pytest.mark.parametrize(
    "given",
    ["application/json; charset=utf-8", 'application/json;charset="UTF-8"', "Application/JSON"],
)
def test_utf_8_may_be_spelled_out(server: Any, given: str) -> None:
    body = '{"query": "{ hello(name: \\"Grüße 👋\\") }"}'.encode()
    response = server.post(content=body, headers={"Content-Type": given})
    assert response.json() == {"data": {"hello": "hello Grüße 👋"}}


def test_a_missing_content_type_is_415(server: Any) -> None:
    head = f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n"
    answer = server.raw(head.encode() + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 415")


def test_a_body_past_the_limit_is_413(server: Any) -> None:
    body = json.dumps({"query": "{ hello }", "extensions": {"pad": "x" * 2**20}}).encode()
    assert server.post(content=body).status_code == 413


def test_a_chunked_body_past_the_limit_is_413(server: Any) -> None:
    def chunks() -> Any:
        yield b'{"query": "'
        for _ in range(40):
            yield b"x" * 65_536

    assert server.post(content=chunks()).status_code == 413


def test_a_chunked_body_is_read(server: Any) -> None:
    def chunks() -> Any:
        yield b'{"query": '
        yield b'"{ hello }"}'

    assert server.post(content=chunks()).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_405_with_those_allowed(server: Any, method: str) -> None:
    response = httpx2.request(method, f"{server.url}/graphql", headers=server.bearer)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, POST"
    assert response.json()["errors"][0]["message"]


def test_a_query_by_get(server: Any) -> None:
    parameters = {
        "query": "query Q($n: String!) { hello(name: $n) }",
        "variables": '{"n": "you"}',
        "operationName": "Q",
        "extensions": "",
    }
    response = server.get(params=parameters, headers={"Accept": GRAPHQL})
    assert response.status_code == 200
    assert response.json() == {"data": {"hello": "hello you"}}


def test_head_is_a_get_without_a_body(server: Any) -> None:
    response = httpx2.head(
        f"{server.url}/graphql", params={"query": "{ hello }"}, headers=server.bearer
    )
    assert response.status_code == 200
    assert response.content == b""


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": "{ hello }", "variables": "x"},
        {"query": "{ hello }", "variables": "[1]"},
        {"query": "{ hello }", "variables": "NaN"},
        {"query": "{ hello }", "extensions": "1"},
        [("query", "{ hello }"), ("query", "{ viewer }")],
        {"query": "{ hello }", "variables": "[" * 5_000},
    ],
)
def test_a_bad_get_is_a_400(server: Any, parameters: Any) -> None:
    response = server.get(params=parameters, headers={"Accept": GRAPHQL})
    assert response.status_code == 400
    assert "data" not in response.json()


def test_bytes_in_a_url_that_are_no_text_get_an_answer(server: Any) -> None:
    head = "GET /graphql?query=%ff%fe%ed%a0%80&x=\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    answer = server.raw(
        head.encode("latin-1")
        + f"Authorization: Bearer {server.token}\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))


@pytest.mark.parametrize("accept", [*EITHER, "text/event-stream"])
def test_a_mutation_by_get_is_405_and_not_executed(server: Any, accept: str) -> None:
    before = server.witness.bumps
    response = server.get(params={"query": "mutation { bump }"}, headers={"Accept": accept})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert server.witness.bumps == before


def test_a_mutation_by_post_is_executed_once(server: Any) -> None:
    before = server.witness.bumps
    assert server.post({"query": "mutation { bump }"}).json() == {"data": {"bump": before + 1}}


@pytest.mark.parametrize("accept", [*EITHER, "*/*"])
def test_a_subscription_without_a_stream_is_a_400_that_says_how(server: Any, accept: str) -> None:
    response = server.post({"query": "subscription { count(to: 2) }"}, headers={"Accept": accept})
    assert response.status_code == 400
    assert "text/event-stream" in response.json()["errors"][0]["message"]
    assert "graphql-transport-ws" in response.json()["errors"][0]["message"]


def test_each_operation_has_a_context_of_its_own(server: Any) -> None:
    server.witness.contexts.clear()
    for _ in range(2):
        assert server.post({"query": "{ viewer }"}).json() == {"data": {"viewer": "admin"}}
    first, second = server.witness.contexts
    assert first is not second


def test_other_paths_answer_in_json(server: Any) -> None:
    response = server.get("/nowhere")
    assert response.status_code == 404
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert httpx2.post(f"{server.url}/healthz", headers=server.bearer).status_code == 405
    assert server.get("/graphql/").status_code == 404


def test_another_path_is_told_where_there_is_something(server: Any) -> None:
    """As for an SDK whose base URL lacks the `/v1`."""
    response = httpx2.post(f"{server.url}/chat/completions", headers=server.bearer, json={})
    assert response.status_code == 404
    (error,) = response.json()["errors"]
    assert "GraphQL is at /graphql, the gateway below /v1" in error["message"]
