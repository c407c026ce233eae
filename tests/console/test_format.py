"""What the page makes of numbers and instants."""

from collections.abc import Callable

import pytest


@pytest.mark.node
def test_the_hours_of_a_day_go_from_0_to_23(run_node: Callable[..., str]) -> None:
    run_node("checks/format.mjs")
