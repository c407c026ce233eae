"""The Dockerfile and compose.yaml, held to facts: there is no engine here to build and run them."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.settings import DEFAULT_PORT, PREFIX, Settings, read_settings, variable
from tests.server.conftest import ServerMaker

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETTINGS = {variable(one.name) for one in fields(Settings)}


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each of the Dockerfile's instructions, lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    # What goes on below a HEALTHCHECK is indented.
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions from each FROM to the next."""
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions():
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def values(stage: Sequence[tuple[str, str]], name: str) -> list[str]:
    """The arguments of each instruction of this name."""
    return [rest for found, rest in stage if found == name]


def variables(stage: Sequence[tuple[str, str]]) -> dict[str, str]:
    """What a stage's ENV sets."""
    return dict(part.split("=", 1) for rest in values(stage, "ENV") for part in shlex.split(rest))


def healthcheck() -> list[str]:
    """Its command."""
    (check,) = values(stages()[-1], "HEALTHCHECK")
    command: list[str] = json.loads(check[check.index("CMD ") + 4 :])
    return command


def test_its_python_is_one_that_the_package_takes() -> None:
    (version,) = (rest for name, rest in instructions() if name == "ARG")
    least = PROJECT["project"]["requires-python"].removeprefix(">=")
    given = version.partition("=")[2]
    assert [int(part) for part in given.split(".")] >= [int(part) for part in least.split(".")]
    node = json.loads((ROOT / "console" / "package.json").read_text())["engines"]["node"]
    assert int(stages()[0][0][1].split(":")[1].split("-")[0]) >= int(node[2:].split(".")[0])


def test_what_it_copies_exists_and_is_all_that_the_wheel_is_made_of() -> None:
    ignored = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and line[0] != "#"
    ]
    copied: set[str] = set()
    for stage in stages():
        for rest in values(stage, "COPY"):
            words = rest.split()
            if words[0].startswith("--from"):
                continue
            for source in words[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.split('/')[0]}" in ignored
                copied.add(source.rstrip("/"))
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages | {"pyproject.toml", PROJECT["project"]["readme"], "graphql"} <= copied


@pytest.mark.parametrize(
    "path",
    [
        ".env", ".trunkline/secret-key", ".trunkline/admin-token", ".git/config", "trunkline.db",
        "server/.env", "db/trunkline.db", "db/trunkline.db-wal", "server/tls.key", "tests/x.py",
        "console/node_modules/x.js", "trunkline/.trunkline/admin-token", "console/.env.local",
    ],
)  # fmt: skip
def test_no_secret_and_no_data_goes_to_the_builder(path: str) -> None:
    is_ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        # Docker's rules: the last that matches counts; of a folder it takes all that is below.
        parts = path.split("/")
        beginnings = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        names = parts if pattern.startswith("**/") else beginnings
        if any(fnmatch(name, pattern.removeprefix("**/")) for name in names):
            is_ignored = not line.startswith("!")
    assert is_ignored


def test_it_runs_as_nobody_in_particular_with_its_data_in_a_volume() -> None:
    stage = stages()[-1]
    (user,) = values(stage, "USER")
    assert all(int(part) >= 1_000 for part in user.split(":"))
    # What follows it is run by that user.
    assert [name for name, _ in stage].index("USER") < [name for name, _ in stage].index(
        "ENTRYPOINT"
    )
    own = variables(stage)
    (volume,) = json.loads(values(stage, "VOLUME")[0])
    assert own["TRUNKLINE_DATA_DIR"] == volume
    assert f"--owner={user.split(':')[0]}" in " ".join(values(stage, "RUN"))
    assert values(stage, "EXPOSE") == [str(DEFAULT_PORT)]
    assert {name for name in own if name.startswith(PREFIX)} <= SETTINGS


def test_what_it_starts_is_a_command_of_the_wheel_and_gets_signals_itself() -> None:
    stage = stages()[-1]
    (entry,) = (json.loads(one) for one in values(stage, "ENTRYPOINT"))
    (command,) = (json.loads(one) for one in values(stage, "CMD"))
    assert entry[0] in PROJECT["project"]["scripts"]
    program = Path(sys.executable).with_name(entry[0])
    shown = subprocess.run(
        [program, *entry[1:], *command, "--help"], capture_output=True, check=False
    )
    assert shown.returncode == 0


def test_its_health_is_that_of_the_server(make_running_server: ServerMaker) -> None:
    async def away() -> None:
        raise OSError("no database")

    command = healthcheck()
    assert command[0] == "python"
    for server, code in ((make_running_server(), 0), (make_running_server(check_ready=away), 1)):
        environment = {"TRUNKLINE_PORT": str(server.port)}
        found = subprocess.run(
            [sys.executable, *command[1:]], env=environment, capture_output=True, check=False
        )
        assert found.returncode == code, found.stderr


def test_compose_sets_what_is_a_setting_and_keeps_no_secret() -> None:
    text = (ROOT / "compose.yaml").read_text()
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    ours = services["trunkline"]
    given: dict[str, str] = ours["environment"]
    assert set(given) <= SETTINGS
    for name in ("TRUNKLINE_SECRET_KEYS", "TRUNKLINE_ADMIN_TOKEN"):
        assert given[name].startswith(f"${{{name}:?")
    # As compose fills it in, it is a start's settings.
    filled = {
        name: re.sub(
            r"\$\{(\w+):([?-])([^}]*)\}",
            lambda one: one[3] if one[2] == "-" else "A" * 43 + "=",
            value,
        )
        for name, value in given.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in filled.items():
            patch.setenv(name, value)
        settings = read_settings()
    assert not settings.is_sqlite
    assert settings.database_url.split("@")[1].split(":")[0] in services
    assert settings.bus_url is not None
    assert settings.bus_url.reveal().split("//")[1].split(":")[0] in services
    assert set(ours["depends_on"]) == {"postgres", "redis"}
    assert all("healthcheck" in services[name] for name in ours["depends_on"])
    assert ours["read_only"]
    # On this machine alone, unless somebody says otherwise.
    assert all(port.startswith("127.0.0.1:") for port in ours["ports"])
    assert not any("ports" in services[name] for name in ours["depends_on"])
