"""`SECURITY.md`: what it says is defended by a test is, as far as that test exists."""

import re
from dataclasses import fields
from pathlib import Path

from server.settings import PREFIX, Settings, variable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", PAGE))
    assert len(named) > 10
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"TRUNKLINE_([A-Z_]+)", PAGE))
    assert named
    assert {f"{PREFIX}{name}" for name in named} <= {variable(one.name) for one in fields(Settings)}


def test_every_claim_has_its_test() -> None:
    claims = PAGE.partition("## What is defended")[2].partition("## What is not defended")[0]
    unproven = [one for one in claims.split("\n- ")[1:] if "`tests/" not in one]
    # Which says what is open.
    assert [one.partition(":")[0] for one in unproven] == ["The page is public"]
