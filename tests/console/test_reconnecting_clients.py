"""Official `graphql-ws` clients that lose their connections while ten thousand events come in."""

import random
from collections.abc import Callable

import pytest

from tests.console.live_server import LiveServer

# Five clients a round, each with a series of its own: twenty random runs.
ROUNDS = 4


@pytest.mark.node
@pytest.mark.slow
@pytest.mark.xdist_group("reconnecting clients")
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_clients_that_reconnect_at_random_end_with_what_the_query_returns(
    turn: int, shared_server: LiveServer, run_node: Callable[..., str]
) -> None:
    """What is done and asserted is in `console/checks/reconnecting.mjs`; it prints its seed."""
    run_node(
        "checks/reconnecting.mjs",
        str(random.SystemRandom().randrange(1_000_000)),
        TRUNKLINE_URL=shared_server.url,
        TRUNKLINE_ADMIN_TOKEN=shared_server.admin_token,
    )
