"""`/healthz` and `/readyz`: what an orchestrator asks, and what it is told."""

import asyncio

import httpx2
import pytest

from tests.server.conftest import ServerMaker


async def _away() -> None:
    raise OSError("connection refused to postgresql://user:secret@db")


async def _hangs() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (_away, "the database can't be reached"),
        (_hangs, "the database doesn't answer within 0.05 s"),
    ],
)
def test_a_server_whose_database_is_away_is_alive_and_not_ready(
    make_running_server: ServerMaker, check: object, reason: str
) -> None:
    server = make_running_server(check_ready=check, ready_seconds=0.05)
    assert httpx2.get(f"{server.url}/healthz").json() == {"status": "alive"}
    answer = httpx2.get(f"{server.url}/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "reason": reason}


def test_a_server_that_stops_says_that_it_is_not_ready(make_running_server: ServerMaker) -> None:
    server = make_running_server()
    assert httpx2.get(f"{server.url}/readyz").status_code == 200

    async def close() -> None:
        server.door.closing.set()

    server.run(close())
    answer = httpx2.get(f"{server.url}/readyz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "the server is stopping")
    assert httpx2.get(f"{server.url}/healthz").status_code == 200
