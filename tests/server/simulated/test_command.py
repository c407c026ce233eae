"""`trunkline simulate-provider`: the program itself, and what its flags say."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from server.failures import CannotStart
from server.simulated.command import EXAMPLES, Asked, behaviour_asked
from server.simulated.model_names import read_behaviour
from server.simulated.reaction import Reaction

PROGRAM = [str(Path(sys.executable).with_name("trunkline")), "simulate-provider"]
DEFAULTS = Asked("127.0.0.1", 0, None, 0, 0, 0, None)


def test_it_prints_where_it_is_and_serves_until_a_signal(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"models": {"gpt-5": ["status-503", "ok"]}}')
    flags = ["--port", "0", "--api-key", "key-0123456789", "--script", str(script)]
    with subprocess.Popen(
        [*PROGRAM, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            told = ""
            while not told.endswith("  }\n"):
                told += process.stdout.readline()
            url = told.split()[2]
            assert f"OpenAI and compatible       {url}/v1" in told
            assert f'baseUrl: "{url}/v1"' in told
            assert "key-0123456789" not in told
            bearer = {"Authorization": "Bearer key-0123456789"}
            models = httpx2.get(f"{url}/v1/models", headers=bearer).json()["data"]
            assert {"gpt-5", "sim-cut-after-5"} <= {model["id"] for model in models}
            asked = {"model": "gpt-5", "messages": [{"role": "user", "content": "hello"}]}
            statuses = [
                httpx2.post(f"{url}/v1/chat/completions", json=asked, headers=headers).status_code
                for headers in ({}, bearer, bearer)
            ]
            assert statuses == [401, 503, 200]
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--port", "99999"], "--port"),
        (["--error-rate", "20"], "--error-rate"),
        (["--latency-ms", "fast"], "--latency-ms"),
        (["--tokens-per-second", "nan"], "--tokens-per-second"),
        (["--script", "/nowhere.json"], "--script"),
        (["--host", "x" * 70], "--host"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_a_bad_flag_is_one_line_and_exit_2(flags: list[str], named: str) -> None:
    ended = subprocess.run(
        [*PROGRAM, *flags], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert named in ended.stderr


@pytest.mark.parametrize("text", ["{", "[]", '{"models": {"m": ["cut-aftr-5"]}}'])
def test_a_bad_script_says_where(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.json"
    path.write_text(text)
    with pytest.raises(CannotStart, match=r"--script: .*script\.json"):
        behaviour_asked(Asked("127.0.0.1", 0, None, 0, 0, 0, path))


def test_flags_are_what_every_answer_begins_with() -> None:
    asked = Asked("127.0.0.1", 0, None, 50, 200, 0.25, None)
    behaviour = behaviour_asked(asked)
    usual = behaviour.usual.pace
    assert (usual.latency_seconds, usual.tokens_per_second) == (0.2, 50)
    assert behaviour.error_share == 0.25
    assert behaviour.next_reaction("sim-fast").pace.latency_seconds == 0
    assert behaviour.next_reaction("tps-9").pace.tokens_per_second == 9


def test_every_example_is_understood() -> None:
    for name in EXAMPLES:
        read_behaviour(name.removeprefix("sim-"), Reaction())
    assert set(EXAMPLES) <= set(behaviour_asked(DEFAULTS).models)


def test_help_comes_without_the_server() -> None:
    code = "import sys, server.cli; print([m for m in sys.modules if 'simulated' in m])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout.replace("'", '"')) == []
