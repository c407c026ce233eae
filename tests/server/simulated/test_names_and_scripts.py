"""What names of models say, what scripts say, and which of them counts."""

import re
from pathlib import Path

import pytest

from server.simulated.behaviour import Behaviour
from server.simulated.faults import Fault
from server.simulated.model_names import PHRASES, NotUnderstood, reaction_of, read_behaviour
from server.simulated.reaction import Ending, Reaction, RetryAfter, WaitForm
from server.simulated.script import BadScript, Script, Sequel
from server.simulated.timing import SkippedTiming
from tests.server.simulated.asking import Client

PAGE = Path(__file__).parents[3] / "docs" / "simulated-provider.md"
PLAIN = Reaction()


def test_words_combine() -> None:
    read = reaction_of("sim-latency-200ms-tps-50-tokens-9-cut-after-5", PLAIN)
    assert (read.fault, read.after_tokens) == (Fault.CUT, 5)
    assert (read.pace.latency_seconds, read.pace.tokens_per_second) == (0.2, 50)
    assert read.content.output_tokens == 9
    read = reaction_of("fail-429-retry-after-2", PLAIN)
    assert (read.fault, read.status) == (Fault.STATUS, 429)
    assert read.retry_after == RetryAfter(2)
    read = reaction_of("overloaded-retry-after-ms-1500-flap-3-2", PLAIN)
    assert read.retry_after == RetryAfter(1.5, WaitForm.MILLISECONDS)
    assert read.flap == (3, 2)
    read = reaction_of("SIM-Slow-First-Token-1.5s-refusal-thinking", PLAIN)
    assert read.pace.first_token_seconds == 1.5
    assert read.content.ending is Ending.REFUSAL
    assert read.content.reasoning_tokens == 12


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o", "gpt-5", "claude-sonnet-4-5", "gemini-2.5-flash", "llama3.2:1b", "grok-4-fast",
        "qwen3-4b-thinking-2507", "simulated-large", "", "-", "cut-aftr-5", "cut-after-x", "é",
    ],
)  # fmt: skip
def test_a_name_that_is_not_understood_whole_is_healthy(name: str) -> None:
    assert reaction_of(name, PLAIN) == PLAIN


@pytest.mark.parametrize("name", ["acme/cut-after-5", "cut-after-5:latest", "a/b/sim-cut-after-5"])
def test_a_vendor_and_a_tag_do_not_count(name: str) -> None:
    assert reaction_of(name, PLAIN).fault is Fault.CUT


@pytest.mark.parametrize("name", ["sim-cut-aftr-5", "sim-cut-after", "sim-reset-silent", "sim-x"])
async def test_behind_sim_a_slip_of_the_pen_is_refused(client: Client, name: str) -> None:
    answered = await client.ask("openai", name)
    assert answered.status == 404
    assert name in answered.json["error"]["message"]


@pytest.mark.parametrize(
    "text", ["status-99", "status-600", "flap-0-2", "tokens", "reset-cut-after-2", "x" * 300]
)
def test_what_makes_no_sense_is_not_understood(text: str) -> None:
    with pytest.raises(NotUnderstood):
        read_behaviour(text, PLAIN)


def test_every_phrase_is_read_by_itself() -> None:
    for phrase in PHRASES:
        text = phrase.words.replace("status-N", "status-503").replace("fail-N", "fail-503")
        for letter, value in (("N", "3"), ("M", "2"), ("P", "50"), ("T", "250ms")):
            text = text.replace(letter, value)
        read_behaviour(text, PLAIN)


def test_the_page_for_users_has_every_phrase_and_no_other() -> None:
    section = PAGE.read_text().partition("## Names of models")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    told = {word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert told == {phrase.words for phrase in PHRASES}


async def statuses(client: Client, model: str, times: int) -> list[int]:
    return [(await client.ask("openai", model)).status for _ in range(times)]


async def test_a_script_is_followed_request_by_request(client: Client) -> None:
    client.behaviour.set_script(
        Script(
            {
                "gpt-5": ["status-503", "fail-429-retry-after-2", "ok"],
                "claude": Sequel(("status-500", "ok"), then="status-529"),
                "*": ["overloaded"],
            }
        )
    )
    assert await statuses(client, "gpt-5", 5) == [503, 429, 200, 200, 200]
    assert await statuses(client, "claude", 4) == [500, 200, 529, 529]
    # A script counts before what a name says.
    assert await statuses(client, "status-418", 2) == [503, 503]
    client.behaviour.set_script(None)
    assert await statuses(client, "gpt-5", 1) == [200]


async def test_a_step_may_be_a_whole_reaction(client: Client) -> None:
    client.behaviour.set_script(Script({"m": [Reaction(fault=Fault.NO_CREDIT), "ok"]}))
    assert await statuses(client, "m", 2) == [429, 200]


async def test_a_model_heals_after_a_while(client: Client, timing: SkippedTiming) -> None:
    client.behaviour.set_script(
        Script(
            {
                "slow": Sequel(("status-503",), healthy_after_seconds=30),
                "few": Sequel(("status-503",), healthy_after_requests=2),
            }
        )
    )
    assert await statuses(client, "few", 4) == [503, 503, 200, 200]
    assert await statuses(client, "slow", 2) == [503, 503]
    timing.advance(29)
    assert await statuses(client, "slow", 1) == [503]
    timing.advance(1)
    assert await statuses(client, "slow", 1) == [200]


async def test_lists_have_steps_of_their_own(client: Client) -> None:
    client.behaviour.set_script(Script({"@list": ["status-503", "ok"], "*": ["status-500"]}))
    for expected in (503, 200):
        async with client.session.get("/v1/models") as response:
            assert response.status == expected


@pytest.mark.parametrize(
    "script",
    [
        None, [], {}, {"models": []}, {"models": {"m": []}}, {"models": {"m": "ok"}},
        {"models": {"m": [7]}}, {"models": {"m": ["cut-aftr-5"]}},
        {"models": {"m": ["ok"]}, "a": 1},
        {"models": {"m": {"behaviours": ["ok"], "than": "ok"}}},
        {"models": {"m": {"behaviours": ["ok"], "then": 7}}},
        {"models": {"m": {"behaviours": ["ok"], "healthyAfterSeconds": "30"}}},
    ],
)  # fmt: skip
def test_a_bad_script_is_refused_whole(script: object) -> None:
    with pytest.raises(BadScript):
        Script.from_json(script)


def test_a_script_is_read_from_json() -> None:
    sequel = {"behaviours": ["overloaded"], "then": "ok", "healthyAfterRequests": 3}
    script = Script.from_json({"models": {"a": ["ok"], "*": sequel}})
    assert script.sequel_of("a") == Sequel(("ok",))
    assert script.sequel_of("b") == Sequel(("overloaded",), "ok", None, 3)
    assert script.sequel_of(None) is None


def test_made_up_names_take_no_memory_without_end() -> None:
    behaviour = Behaviour(timing=SkippedTiming())
    for number in range(11_000):
        behaviour.next_reaction(f"model-{number}")
    assert behaviour._turns is not None
    assert len(behaviour._turns._counts) == 10_000
