"""A redirect is told of and never followed, whatever it is called and wherever it leads."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from db.vocabulary import ProviderKind
from tests.server.outgoing.conftest import Servers
from tests.server.outgoing.listening import (
    BODY,
    Connections,
    Listener,
    http_answer,
    listening,
)
from tests.server.outgoing.ways import ALL, KEY, Way, webhook

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "planted-in-a-location"
LOCATIONS = [
    "http://127.0.0.1:{port}/" + SECRET,
    "http://user:" + SECRET + "@127.0.0.1:{port}/",
    "http://localhost:{port}/" + SECRET,
    "//[::1]:{port}/" + SECRET,
    "http://169.254.169.254/latest/meta-data/" + SECRET,
    "http://metadata.google.internal/" + SECRET,
    "https://elsewhere.example/?key=" + SECRET,
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_" + SECRET,
    "/" + SECRET,
    "http://[" + SECRET,
    "",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def elsewhere() -> AsyncIterator[Listener]:
    async with listening() as opened:
        yield opened


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize("way", ALL)
async def test_no_redirect_is_followed(
    servers: Servers,
    listener: Listener,
    elsewhere: Listener,
    connections: Connections,
    way: Way,
    status: int,
) -> None:
    server = await servers.at("allow-webhooks")
    connections.own_port = server.port
    for asked, location in enumerate(LOCATIONS, 1):
        where = location.format(port=elsewhere.port)
        listener.answer = http_answer(f"{status} Moved", f"Location: {where}")
        told = await way(
            server, f"http://127.0.0.1:{listener.port}", ProviderKind.OPENAI_COMPATIBLE
        )
        assert "redirect" in told
        assert "not followed" in told
        for secret in (KEY, BODY, SECRET):
            assert secret not in told
        # Asked once: a redirect is nothing that another try would mend.
        assert len(connections.made) == listener.connections == asked
        assert listener.keys == (0 if way is webhook else asked)
    assert elsewhere.connections == 0
    assert set(connections.made) == {"127.0.0.1"}
