"""`trunkline serve --no-auth`: all may be done from this machine, and nothing from elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from tests.console.live_server import _started, _wait_for_link
from tests.program import run_program
from tests.server.test_cli import environment

QUERY = {"query": "{ providers { totalCount } }"}


@contextmanager
def serving_everybody(folder: Path) -> Iterator[tuple[str, Path]]:
    """A server of the program itself, and its log."""
    log = folder / "log"
    own = environment(folder / "data", TRUNKLINE_LOG_FORMAT="json")
    with log.open("w") as errors, _started(own, errors.fileno(), "--no-auth") as process:
        yield _wait_for_link(process, log).partition("/graphiql")[0], log


@pytest.mark.slow
def test_whoever_is_on_this_machine_may_do_everything_and_no_other_site(tmp_path: Path) -> None:
    with (
        serving_everybody(tmp_path) as (url, log),
        httpx2.Client(base_url=url, timeout=30) as client,
    ):
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Origin": url}):
            answer = client.post("/graphql", json=QUERY, headers=headers)
            assert answer.json()["data"] == {"providers": {"totalCount": 4}}
        assert client.get("/v1/models", headers={"x-api-key": "any"}).status_code == 200
        ws = url.replace("http", "ws") + "/graphql"
        with connect(ws, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
            socket.send('{"type": "connection_init"}')
            assert "connection_ack" in str(socket.recv(30))

        for headers, status in (
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "http://127.0.0.1:1"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"X-Forwarded-For": "192.0.2.1"}, 403),
            ({"Host": "evil.example"}, 421),
        ):
            assert client.post("/graphql", json=QUERY, headers=headers).status_code == status
            assert client.get("/v1/models", headers=headers).status_code == status
        # It would be a session for when the server asks for one again.
        begun = client.post("/session", json={"token": "tl_" + "x" * 43})
        assert begun.status_code == 401
    lines = [line for line in log.read_text().splitlines() if line]
    assert lines
    assert all('"no_auth":true' in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "more", "expected"),
    [
        (["--host", "0.0.0.0"], {}, "--no-auth serves this machine alone, and 0.0.0.0"),
        ([], {"TRUNKLINE_ALLOWED_HOSTS": "trunkline.example"}, "TRUNKLINE_ALLOWED_HOSTS"),
        ([], {"TRUNKLINE_ALLOWED_ORIGINS": "https://a.example"}, "TRUNKLINE_ALLOWED_ORIGINS"),
    ],
)
def test_it_does_not_start_where_others_could_come(
    tmp_path: Path, arguments: list[str], more: dict[str, str], expected: str
) -> None:
    ended = run_program(
        ["serve", "--port", "0", "--no-auth", *arguments], environment(tmp_path / "data", **more)
    )
    assert ended.returncode == 2
    assert expected in ended.stderr
    assert ended.stderr.count("\n") == 1
