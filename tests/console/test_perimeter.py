"""Other pages against the server, in a real browser that is signed in to it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.console.live_server import LiveServer


@pytest.mark.browser
@pytest.mark.node
@pytest.mark.slow
def test_other_pages_get_nothing_and_change_nothing(
    page: Path,
    chromium: str,
    live_server: LiveServer,
    run_node: Callable[..., str],
    tmp_path: Path,
) -> None:
    """Another port of the same host, a name that was pointed here, frames, windows and forms: what
    is tried and asserted is in `console/checks/perimeter.mjs`.
    """
    run_node(
        "checks/perimeter.mjs",
        TRUNKLINE_URL=live_server.url,
        TRUNKLINE_ADMIN_TOKEN=live_server.admin_token,
        TRUNKLINE_SIGN_IN_LINK=live_server.sign_in_link,
        TRUNKLINE_CHROMIUM=chromium,
    )
    log = (tmp_path / "server.log").read_text()
    assert "path=/session" in log
    assert live_server.sign_in_link.partition("#code=")[2] not in log
    assert live_server.admin_token not in log
    assert "trunkline_session" not in log
