"""How the audit log names who acts."""

import os

import pytest

from trunkline.audit.actors import command_line


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number of its own."""
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setattr(os, "getuid", lambda: 10_001_000)
    assert command_line().row.name == "user 10001000"
