"""Official `graphql-ws` clients that lose their connections while ten thousand events come in."""

import random
import re
from collections.abc import Callable

import pytest

from tests.console.live_server import LiveServer

# Five clients a round, each with a series of its own: twenty random runs.
ROUNDS = 4

rounds: set[int] = set()
orders: list[int] = []
"""Of each client so far, in how many orders it has seen its groups."""

pytestmark = [
    pytest.mark.node,
    pytest.mark.slow,
    pytest.mark.xdist_group("reconnecting clients"),
]


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_clients_that_reconnect_at_random_end_with_what_the_query_returns(
    turn: int, shared_server: LiveServer, run_node: Callable[..., str]
) -> None:
    """What is done and asserted is in `console/checks/reconnecting.mjs`; it prints its seed."""
    printed = run_node(
        "checks/reconnecting.mjs",
        str(random.SystemRandom().randrange(1_000_000)),
        TRUNKLINE_URL=shared_server.url,
        TRUNKLINE_ADMIN_TOKEN=shared_server.admin_token,
    )
    orders.extend(map(int, re.findall(r"(\d+) orders of groups", printed)))
    rounds.add(turn)
    # Not in each round: what the others left behind may outweigh it.
    assert len(rounds) < ROUNDS or max(orders) > 1, "groups changed rank"
