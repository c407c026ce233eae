"""Who can't prove to be the host that was asked for gets no byte of a request, by any way out."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from db.vocabulary import ProviderKind
from tests.server.outgoing.conftest import Servers
from tests.server.outgoing.listening import Connections, listening
from tests.server.outgoing.ways import ALL, KEY, open_server
from tests.trunkline.providers.certificates import Authority
from trunkline.providers.trust import trusted_certificates

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "models.corp.example"


async def test_nothing_is_sent_without_a_certificate_that_is_trusted_and_fits(
    servers: Servers, connections: Connections, tmp_path: Path
) -> None:
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    trust = trusted_certificates({"SSL_CERT_FILE": str(ours.bundle)})
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            open_server(await servers.database("trust"), "allow-webhooks", trust=trust)
        )
        connections.own_port = server.port
        known = await stack.enter_async_context(listening(ours.server(HOST)))
        wrong_name = await stack.enter_async_context(listening(ours.server("other.example")))
        unknown = await stack.enter_async_context(listening(theirs.server(HOST)))
        server.names.answers[HOST] = [("127.0.0.1",)]
        for way in ALL:
            for listener in (wrong_name, unknown):
                url = f"https://{HOST}:{listener.port}"
                told = await way(server, url, ProviderKind.OPENAI_COMPATIBLE)
                assert "no trusted encrypted connection" in told, way.__name__
                assert "certificate" in told
                assert KEY not in told
            # By its address the right one is not the one that was asked for either.
            by_address = f"https://127.0.0.1:{known.port}"
            assert "certificate" in await way(server, by_address, ProviderKind.OPENAI_COMPATIBLE)
            assert not wrong_name.received + unknown.received
            before = known.connections
            await way(server, f"https://{HOST}:{known.port}", ProviderKind.OPENAI_COMPATIBLE)
            assert known.connections > before
