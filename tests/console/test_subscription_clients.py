"""The official `graphql-ws` and `graphql-sse` clients from npm against a real server."""

from collections.abc import Callable

import pytest

from tests.console.live_server import LiveServer


@pytest.mark.node
@pytest.mark.parametrize(
    "check",
    [
        "ws-provider-changes",
        "ws-usage",
        "ws-merge",
        "ws-query",
        "ws-bad-token",
        "ws-no-token",
        "sse-provider-changes",
        "sse-usage",
        "sse-query",
        "sse-bad-token",
    ],
)
def test_official_client(check: str, live_server: LiveServer, run_node: Callable[..., str]) -> None:
    """What each check asserts is in `console/checks/subscriptions.mjs`."""
    run_node(
        "checks/subscriptions.mjs",
        check,
        TRUNKLINE_URL=live_server.url,
        TRUNKLINE_ADMIN_TOKEN=live_server.admin_token,
    )
