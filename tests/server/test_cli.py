"""The program itself: commands, errors in one line, the second server, and how it ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import trunkline
from db.vocabulary import AccessScope, AuditActorKind, AuditObjectKind
from server.sign_in import COOKIE
from tests.program import run_program

PROGRAM = str(Path(sys.executable).with_name("trunkline"))
TOKEN = "token-for-the-command-line"


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    return kept | {"TRUNKLINE_DATA_DIR": str(data_dir), "TRUNKLINE_ADMIN_TOKEN": TOKEN} | more


def run(data_dir: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return run_program(arguments, environment(data_dir, **more))


@dataclass
class Served:
    """A served program."""

    process: "subprocess.Popen[str]"
    port: int
    link: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self, how: signal.Signals) -> tuple[float, str]:
        """Seconds that it took to end, and what it logged."""
        began = time.perf_counter()
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=20)
        return time.perf_counter() - began, errors


@contextmanager
def serving(data_dir: Path, **more: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [PROGRAM, "serve", "--port", "0"],
        env=environment(data_dir, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "#code=" in line:
                link = line.strip()
                break
        else:
            _, errors = process.communicate()
            raise AssertionError(errors)
        yield Served(process, int(link.split(":")[2].split("/")[0]), link)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("arguments", "more", "expected"),
    [
        (["nonsense"], {}, "nonsense"),
        (["serve", "--nonsense"], {}, "--nonsense"),
        (["serve", "--port", "abc"], {}, "--port"),
        (["token", "nonsense"], {}, "nonsense"),
        (["token", "create", "--scope", "READ"], {}, "NAME"),
        (["token", "create", "ci"], {}, "--scope"),
        (["simulate-provider", "--port", "70000"], {}, "0<=x<=65535"),
        (["simulate-provider", "--latency-ms", "abc"], {}, "is not a valid number"),
        (["serve", "--port", "70000"], {}, "TRUNKLINE_PORT"),
        (["serve"], {"TRUNKLINE_LOG_FORMAT": "xml"}, "TRUNKLINE_LOG_FORMAT"),
        (["serve"], {"TRUNKLINE_SECRET_KEYS": "hunter2"}, "TRUNKLINE_SECRET_KEYS"),
        (["serve"], {"TRUNKLINE_HOST": "192.0.2.1"}, "TRUNKLINE_HOST"),
        (["serve", "--host", "a..b"], {}, "TRUNKLINE_HOST: a..b is no address"),
        (["serve", "--database-url", "mysql://h/d"], {}, "TRUNKLINE_DATABASE_URL"),
        (["serve", "--database-url", "sqlite:////no/such/x.db"], {}, "TRUNKLINE_DATABASE_URL"),
        (["serve", "--database-url", "postgresql://u:hunter2@127.0.0.1:1/d"],
         {"TRUNKLINE_SECRET_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="},
         "TRUNKLINE_DATABASE_URL"),
        (["serve", "--database-url", "postgresql://u:hunter2@h/d"], {}, "TRUNKLINE_SECRET_KEYS"),
        (["serve"], {"HTTPS_PROXY": "socks5://u:hunter2@h:1080"}, "HTTPS_PROXY names a proxy of"),
        (["serve"], {"SSL_CERT_FILE": "/no/such/bundle.pem"}, "SSL_CERT_FILE names a file that"),
        (["sign-in-link"], {}, "trunkline serve"),
        (["export-schema", "--output", "/no/such/folder/schema.graphql"], {}, "/no/such"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_2(
    tmp_path: Path, arguments: list[str], more: dict[str, str], expected: str
) -> None:
    ended = run(tmp_path / "data", *arguments, **more)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert expected in ended.stderr
    assert ended.stderr.startswith("trunkline: ")
    assert ended.stderr.count("\n") == 1
    assert "hunter2" not in ended.stderr


def test_what_a_message_names_moves_no_cursor(tmp_path: Path) -> None:
    done = run(tmp_path, "restore", "a\x1b[2Jb\udcff")
    assert (done.returncode, done.stderr) == (2, "trunkline: a�[2Jb� is no file\n")


def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes and no database at all" * 100)
    ended = run(tmp_path / "data", "serve", "--database-url", f"sqlite:///{path}")
    assert ended.returncode == 2
    assert ended.stderr.startswith("trunkline: TRUNKLINE_DATABASE_URL: ")
    assert ended.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(tmp_path / "data", "serve", "--port", port)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"trunkline: TRUNKLINE_PORT: {port} is taken")


def test_a_mistake_ends_the_program_itself_with_2(tmp_path: Path) -> None:
    ended = subprocess.run(
        [PROGRAM, "nonsense"], env=environment(tmp_path), capture_output=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (2, b"")


def test_version_and_help(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"trunkline {trunkline.__version__}\n"
    for arguments in ([], ["--help"]):
        shown = run(tmp_path, *arguments)
        assert shown.returncode == 0
        for command in ("serve", "export-schema", "sign-in-link", "demo"):
            assert command in shown.stdout


@pytest.mark.parametrize("group", ["audit", "session", "token", "usage"])
def test_a_group_without_a_command_prints_its_help(tmp_path: Path, group: str) -> None:
    shown = run(tmp_path, group)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == run(tmp_path, group, "--help").stdout
    assert "Commands:" in shown.stdout


# A table is left in a buffer to the end, where Click no longer looks.
@pytest.mark.parametrize(
    "arguments", [["--help"], ["export-schema"], ["doctor"], ["token", "list"]]
)
def test_what_nobody_reads_on_ends_without_a_word(
    tmp_path: Path, sqlite_template: Path, arguments: list[str]
) -> None:
    shutil.copy(sqlite_template, tmp_path / "trunkline.db")
    kept = environment(tmp_path)
    kept.pop("PYTHONUNBUFFERED", None)
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([PROGRAM, *arguments], env=kept, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_doctor_whom_nobody_listens_to_any_more_ends_without_a_word(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """As `trunkline doctor | head -5` does, which leaves while the database is looked at."""
    shutil.copy(sqlite_template, tmp_path / "trunkline.db")
    with subprocess.Popen(
        [PROGRAM, "doctor", "--no-providers"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as ended:
        assert ended.stdout is not None
        assert ended.stderr is not None
        assert any(b" server: " in line for line in ended.stdout)
        ended.stdout.close()
        said = ended.stderr.read()
    assert (ended.returncode, said) == (1, b"")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_standard_streams_may_be_closed(tmp_path: Path, closed: str) -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", f'exec "{PROGRAM}" doctor {closed}'],
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert (b"data directory" in ended.stdout) == ("1>" not in closed)


def test_help_names_all_that_an_option_takes(tmp_path: Path) -> None:
    taken: tuple[tuple[str, str, type[StrEnum]], ...] = (
        ("audit", "export", AuditObjectKind), ("audit", "export", AuditActorKind),
        ("token", "create", AccessScope),
    )  # fmt: skip
    for group, command, kinds in taken:
        shown = run(tmp_path, group, command, "--help").stdout
        assert [kind for kind in kinds if kind not in shown] == []


def test_help_imports_none_of_the_heavy_parts() -> None:
    code = (
        "import sys, server.cli; "
        "heavy = ('strawberry', 'sqlalchemy', 'uvicorn', 'aiohttp', 'pydantic', 'typer'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [["serve", "--data-dir", ""], ["export-schema", "--output", ""], ["backup", ""]],
)
def test_a_path_that_is_empty_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "it is empty, and names nothing" in line


def test_the_schema_is_exported_sorted(tmp_path: Path) -> None:
    shown = run(tmp_path, "export-schema")
    assert shown.returncode == 0
    assert "type Mutation {" in shown.stdout
    written = tmp_path / "schema.graphql"
    assert run(tmp_path, "export-schema", "--output", str(written)).stdout == ""
    assert written.read_text() == shown.stdout


@pytest.mark.slow
def test_a_start_serves_and_signs_in_by_its_link_and_another(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert httpx2.get(f"{served.url}/readyz").json() == {"status": "ready"}
        another = run(tmp_path, "sign-in-link", "--port", str(served.port))
        assert another.returncode == 0
        assert another.stdout.startswith(f"{served.url}/graphiql#code=")
        for link in (served.link, another.stdout.strip()):
            with httpx2.Client(headers={"Origin": served.url}) as browser:
                code = link.partition("#code=")[2]
                begun = browser.post(f"{served.url}/session", json={"code": code})
                assert begun.status_code == 204
                answer = browser.post(
                    f"{served.url}/graphql", json={"query": "{ serverInfo { version } }"}
                )
                assert answer.json()["data"] == {"serverInfo": {"version": trunkline.__version__}}
                assert COOKIE in browser.cookies
        _, errors = served.end(signal.SIGINT)
    for secret in (TOKEN, served.link.partition("#code=")[2], another.stdout.strip()[-20:]):
        assert secret not in errors


@pytest.mark.slow
def test_a_second_server_on_one_file_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        second = run(tmp_path, "serve", "--port", "0")
        assert second.returncode == 2
        assert "another server is running" in second.stderr
        assert second.stderr.count("\n") == 1
        assert httpx2.get(f"{served.url}/readyz").status_code == 200
        served.end(signal.SIGKILL)
    with serving(tmp_path) as again:
        assert httpx2.get(f"{again.url}/readyz").status_code == 200


@pytest.mark.slow
def test_keys_in_the_environment_are_offered_and_not_taken(tmp_path: Path) -> None:
    key = "sk-ant-api03-hunter2hunter2"
    with serving(tmp_path, ANTHROPIC_API_KEY=key) as served:
        answer = httpx2.post(
            f"{served.url}/graphql",
            json={"query": '{ provider(slug: "anthropic") { apiKey { masked } } }'},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        assert answer.json()["data"] == {"provider": {"apiKey": None}}
        _, errors = served.end(signal.SIGTERM)
    assert "ANTHROPIC_API_KEY" in errors
    assert "hunter2" not in errors


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_sockets_and_streams_open(
    tmp_path: Path, how: signal.Signals
) -> None:
    subscription = {"query": "subscription { providerChanged { kind } }"}
    with serving(tmp_path, TRUNKLINE_LOG_FORMAT="json") as served:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        uri = f"ws://127.0.0.1:{served.port}/graphql"
        protocol: Any = ["graphql-transport-ws"]
        with (
            connect(uri, subprotocols=protocol, additional_headers=bearer) as connection,
            connect(uri, subprotocols=protocol) as idle,
            httpx2.stream(
                "POST",
                f"{served.url}/graphql",
                json=subscription,
                headers=bearer | {"Accept": "text/event-stream"},
            ) as stream,
        ):
            connection.send('{"type": "connection_init"}')
            assert json.loads(connection.recv()) == {"type": "connection_ack"}
            connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscription}))
            assert json.loads(connection.recv())["type"] == "next"
            events = stream.iter_lines()
            assert any("event: next" in line for line in events)
            seconds, errors = served.end(how)
            for one in (connection, idle):
                with pytest.raises(ConnectionClosed) as caught:
                    one.recv(timeout=30)
                assert caught.value.rcvd is not None
                assert caught.value.rcvd.code == 1012
            assert not any("complete" in line for line in events)
    assert seconds < 3
    assert served.process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["event"] for line in lines if line["level"] != "info"] == []
    assert lines[-1]["event"] == "stopped"
