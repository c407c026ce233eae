"""What a log line holds, and what it never does."""

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from server.logs import configure_logs

SECRETS = (
    "test-admin-token-0123456789",
    "wrong-token-of-somebody",
    "value-of-a-variable",
    "secret-of-a-cookie",
    "name-in-a-document",
    "secret-in-a-body",
)


@pytest.fixture
def lines() -> Iterator[Any]:
    """Everything that is logged, as JSON lines."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    output = io.StringIO()
    configure_logs("json", output)
    yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


@pytest.mark.parametrize("value", ["/data/\udcff", 2**70])
def test_a_line_that_orjson_can_not_write_is_written(lines: Any, value: object) -> None:
    structlog.get_logger("trunkline.server").info("admin token generated", file=value)
    (line,) = lines()
    assert (line["event"], line["file"]) == ("admin token generated", value)


def exercise(server: Any) -> None:
    """Requests of every kind, with a secret wherever one could be."""
    named = {
        "query": 'query Named($n: String!) { hello(name: $n) b: hello(name: "name-in-a-document")}',
        "variables": {"n": "value-of-a-variable"},
    }
    server.post(named)
    server.get(params={"query": named["query"], "variables": json.dumps(named["variables"])})
    server.post(named, headers={"Authorization": "Bearer wrong-token-of-somebody"})
    server.post(named, headers={"Cookie": "trunkline_session=secret-of-a-cookie"})
    server.post(content=b'{"query": "secret-in-a-body')
    server.post({"query": "query { fails }"})
    server.post({"query": "{ hello }", "operationName": "secret-in-a-body"})


def logged(lines: Any, event: str, count: int) -> list[Any]:
    """So many lines of this event: they are written when the answer is already with the client."""
    for _ in range(1_000):
        found = [line for line in lines() if line["event"] == event]
        if len(found) >= count:
            break
        time.sleep(0.01)
    assert len(found) == count
    return found


def test_one_line_a_request_and_no_secret_in_any(server: Any, lines: Any) -> None:
    exercise(server)
    requests = logged(lines, "request", 7)
    assert [line["status"] for line in requests] == [200, 200, 401, 200, 400, 200, 200]
    first = requests[0]
    assert first["operation"] == "Named"
    assert (first["method"], first["path"]) == ("POST", "/graphql")
    assert first["milliseconds"] >= 0
    assert len(first["request_id"]) == 32
    text = json.dumps(lines())
    for secret in SECRETS:
        assert secret not in text


def test_an_internal_error_is_logged_under_the_id_that_the_client_sees(
    server: Any, lines: Any
) -> None:
    response = server.post({"query": "{ fails }"})
    shown = response.json()["errors"][0]["extensions"]["requestId"]
    (line,) = logged(lines, "operation failed", 1)
    assert line["request_id"] == shown == response.headers["x-request-id"]
    assert line["level"] == "error"
    assert "ValueError" in json.dumps(line["exception"])
    assert "locals" not in json.dumps(line["exception"])


async def test_operations_on_sockets_have_lines_of_their_own(
    server: Any, lines: Any, initialized: Any
) -> None:
    async with await initialized() as connection:
        await connection.send(
            json.dumps(
                {"id": "1", "type": "subscribe", "payload": {"query": "query Named { hello }"}}
            )
        )
        for _ in range(2):
            await connection.recv()
    (operation,) = await asyncio.to_thread(logged, lines, "operation", 1)
    assert (operation["operation"], operation["status"]) == ("Named", "completed")
    assert "test-admin-token" not in json.dumps(lines())


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_tracebacks_show_no_local_variables(lines: Any, log_format: Any) -> None:
    output = io.StringIO()
    configure_logs(log_format, output)

    def fail() -> None:
        api_key = "sk-ant-" + "local"
        raise ValueError(len(api_key))

    try:
        fail()
    except ValueError:
        structlog.get_logger("x").exception("it broke")
        logging.getLogger("elsewhere").exception("it broke")
    assert output.getvalue().count("it broke") == 2
    assert "ValueError" in output.getvalue()
    assert "sk-ant-local" not in output.getvalue()


def test_libraries_come_out_the_same_way(lines: Any) -> None:
    logging.getLogger("some.library").warning("it %s", "happened")
    (line,) = lines()
    assert (line["event"], line["level"]) == ("it happened", "warning")
