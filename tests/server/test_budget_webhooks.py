"""Webhooks of real servers: what a killed one owed is sent, and nothing in their logs is secret."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import SECRET_KEY, skip_or_fail
from tests.console.live_server import ADMIN_TOKEN, _started, _wait_for_link
from tests.trunkline.budgets.receiver import Receiver, receiving
from trunkline.budgets.webhooks import generate_secret, signed_headers
from trunkline.clock import system_clock

DOCUMENT = (Path(__file__).parents[2] / "docs" / "budgets.md").read_text()
CREATE = """mutation ($input: CreateBudgetInput!) { createBudget(input: $input) {
  budget { id } webhookSecret userErrors { field message } } }"""
RECORD = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded userErrors { message } } }"""
ALERTS = """{ budgetAlerts { nodes { threshold delivery { status attempts httpStatus error } } }
  budgets { nodes { webhook { lastDelivery { status } } state { blocked } } } }"""


@contextmanager
def server(database_url: str, folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A server whose webhooks may reach this machine; its URL and process. Not ended cleanly."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")},
        "TRUNKLINE_DATA_DIR": str(folder / "data"),
        "TRUNKLINE_DATABASE_URL": database_url,
        "TRUNKLINE_ADMIN_TOKEN": ADMIN_TOKEN,
        "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
        "TRUNKLINE_PRIVATE_NETWORKS": "allow-webhooks",
    }
    with (folder / "log").open("a") as errors, _started(environment, errors.fileno()) as process:
        yield _wait_for_link(process, folder / "log").partition("/graphiql")[0], process


async def ask(url: str, query: str, **variables: Any) -> Any:
    async with httpx2.AsyncClient(timeout=30) as client:
        response = await client.post(
            f"{url}/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        )
    body = response.json()
    assert "errors" not in body, body
    return body["data"]


async def alerts_when(url: str, condition: Callable[[Any], bool]) -> Any:
    """What `budgetAlerts` shows once it is so."""
    async with asyncio.timeout(30):
        while True:
            found = await ask(url, ALERTS)
            if condition(found):
                return found
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_an_alert_of_a_killed_process_is_sent_by_the_next(
    database_url: str, tmp_path: Path
) -> None:
    async with receiving() as receiver:
        killed = await asyncio.to_thread(
            subprocess.run,
            [
                *(sys.executable, "-m", "tests.server.alerting_process"),
                *(database_url, SECRET_KEY, f"{receiver.url}/hook"),
            ],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        assert receiver.received == []
        for _ in range(2):
            with server(database_url, tmp_path) as (url, process):
                shown = await alerts_when(
                    url,
                    lambda data: (
                        data["budgetAlerts"]["nodes"][0]["delivery"]["status"] == "DELIVERED"
                    ),
                )
                assert len(shown["budgetAlerts"]["nodes"]) == 1
                process.kill()
                await asyncio.to_thread(process.wait, 30)
    # Once, by the first server that came; the second had nothing to say.
    [request] = receiver.received
    assert request.signed_by(killed.stdout.strip())
    assert request.message["data"]["threshold"] == 100


@pytest.mark.slow
async def test_a_server_alerts_blocks_and_delivers_and_keeps_what_is_secret(
    database_url: str, tmp_path: Path
) -> None:
    async with receiving() as receiver:
        with server(database_url, tmp_path) as (url, process):
            await spend_a_budget(url, receiver)
            shown = await alerts_when(url, both_answered)
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait, 30) == 0
    # One was taken, and the other is to be tried again.
    assert sorted(one["delivery"]["status"] for one in shown["budgetAlerts"]["nodes"]) == [
        "DELIVERED",
        "PENDING",
    ]
    assert shown["budgets"]["nodes"][0]["state"] == {"blocked": True}
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 2
    logged = (tmp_path / "log").read_text()
    assert "planted" not in logged
    assert "whsec_" not in logged


def both_answered(data: Any) -> bool:
    deliveries = [one["delivery"] for one in data["budgetAlerts"]["nodes"]]
    return len(deliveries) == 2 and all(one["httpStatus"] is not None for one in deliveries)


async def spend_a_budget(url: str, receiver: Receiver) -> None:
    receiver.answers = [(200, {}), (500, {})]
    budget = {
        "name": "Everything", "scope": {"all": True}, "amountUsd": "1",
        "period": "CALENDAR_MONTH", "timezone": "UTC", "action": "BLOCK", "thresholds": [50, 100],
        "webhookUrl": f"{receiver.url}/hook?token=planted",
    }  # fmt: skip
    created = (await ask(url, CREATE, input=budget))["createBudget"]
    assert created["userErrors"] == []
    event = {
        "idempotencyKey": "one", "providerSlug": "anthropic", "modelName": "claude-sonnet-4-5",
        "inputTokens": 1, "costUsd": "1",
    }  # fmt: skip
    recorded = (await ask(url, RECORD, events=[event]))["recordUsage"]
    assert recorded == {"recorded": 1, "userErrors": []}
    async with asyncio.timeout(30):
        while len(receiver.received) < 2:
            receiver.arrived.clear()
            await receiver.arrived.wait()
    assert all(one.signed_by(created["webhookSecret"]) for one in receiver.received)


def example(language: str) -> str:
    """The code of this language that the page shows."""
    _, _, rest = DOCUMENT.partition(f"```{language}\n")
    return rest.partition("```")[0]


def messages() -> list[tuple[str, dict[str, str], bytes, bool]]:
    """Secret, headers, body, and whether a receiver may believe it."""
    secret, other, body = generate_secret(), generate_secret(), '{"a":"ü"}'.encode()
    now = system_clock()
    good = dict(signed_headers("msg_1", body, [secret], now))
    both = dict(signed_headers("msg_1", body, [other, secret], now))
    old = dict(signed_headers("msg_1", body, [secret], now.replace(year=now.year - 1)))
    return [
        (secret, good, body, True),
        (secret, both, body, True),
        (other, good, body, False),
        (secret, good, body + b" ", False),
        (secret, good | {"webhook-id": "msg_2"}, body, False),
        (secret, good | {"webhook-timestamp": str(int(time.time()) + 1)}, body, False),
        (secret, old, body, False),
        (secret, good | {"webhook-timestamp": "x"}, body, False),
    ]


def test_the_pages_python_verifies_what_is_signed() -> None:
    found: dict[str, Any] = {}
    exec(example("python"), found)  # our own page
    for secret, headers, body, believed in messages():
        if believed:
            found["verify"](secret, headers, body)
        else:
            with pytest.raises(ValueError):
                found["verify"](secret, headers, body)


@pytest.mark.node
def test_the_pages_javascript_verifies_what_is_signed(tmp_path: Path) -> None:
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if node is None:
        skip_or_fail("no node on this machine")
    assert node is not None
    calls = [
        f"check({secret!r}, {headers!r}, {body.decode()!r}, {str(believed).lower()});"
        for secret, headers, body, believed in messages()
    ]
    script = tmp_path / "verify.mjs"
    script.write_text(
        example("js")
        + """
function check(secret, headers, body, believed) {
  let fine = true;
  try { verify(secret, headers, Buffer.from(body)); } catch { fine = false; }
  if (fine !== believed) { console.error(headers, body); process.exit(1); }
}
"""
        + "\n".join(calls)
    )
    subprocess.run([node, script], check=True, timeout=60)
