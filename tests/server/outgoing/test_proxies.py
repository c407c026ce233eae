"""Proxies by the environment: who is asked for what, by every way out."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from db.vocabulary import ProviderKind
from server import wiring
from tests.server.outgoing.conftest import Servers
from tests.server.outgoing.listening import BODY, Connections, Listener
from tests.server.outgoing.ways import ALL, KEY, OF_PROVIDERS, Server, Way, open_server, webhook
from trunkline.providers.outgoing import PrivateNetworks

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENAI, COMPATIBLE = ProviderKind.OPENAI, ProviderKind.OPENAI_COMPATIBLE
HOST = "provider.example"
PASSWORD = "planted-password"
VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]


@asynccontextmanager
async def server_behind(
    servers: Servers,
    connections: Connections,
    name: str,
    private_networks: PrivateNetworks,
    **environment: str,
) -> AsyncIterator[Server]:
    """A server that was started with these variables, and no others of the kind."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
            patch.delenv(variable.lower(), raising=False)
        for variable, value in environment.items():
            patch.setenv(variable, value)
        proxies, _ = wiring.ways_out()
        database = await servers.database(name)
        async with open_server(database, private_networks, proxies=proxies) as server:
            connections.own_port = server.port
            yield server


def proxy_url(listener: Listener) -> str:
    """The listener as a proxy, with a password."""
    return f"http://operator:{PASSWORD}@127.0.0.1:{listener.port}"


def secrets_in(told: str) -> list[str]:
    """What nobody must be told."""
    encoded = base64.b64encode(f"operator:{PASSWORD}".encode()).decode()
    return [secret for secret in (KEY, BODY, PASSWORD, encoded) if secret in told]


@pytest.mark.parametrize(
    ("variables", "by_proxy"),
    [
        (("HTTP_PROXY",), "http"),
        (("http_proxy",), "http"),
        (("HTTPS_PROXY",), "https"),
        (("https_proxy",), "https"),
        (("ALL_PROXY",), "http https"),
        (("all_proxy",), "http https"),
    ],
)
async def test_the_proxy_is_asked_for_what_its_variable_is_for(
    servers: Servers,
    listener: Listener,
    connections: Connections,
    capsys: pytest.CaptureFixture[str],
    variables: tuple[str, ...],
    by_proxy: str,
) -> None:
    """It resolves the name: Trunkline asks no DNS of its own. In a tunnel it sees no key."""
    environment = dict.fromkeys(variables, proxy_url(listener))
    name = f"{variables[0]}-asked"
    async with server_behind(servers, connections, name, "allow-webhooks", **environment) as server:
        server.names.answers[HOST] = [("169.254.169.254",)]
        for way in ALL:
            for scheme in ("http", "https"):
                listener.reset()
                server.names.asked.clear()
                told = await way(server, f"{scheme}://{HOST}", COMPATIBLE)
                assert not secrets_in(told)
                asked = bytes(listener.received).split(b"\r\n")[0]
                if scheme not in by_proxy.split():
                    # Without it the name leads to metadata.
                    assert "never" in told
                    assert (asked, server.names.asked[:1]) == (b"", [HOST])
                    continue
                assert server.names.asked == []
                assert b"proxy-authorization: basic" in listener.received.lower()
                if scheme == "https":
                    assert asked == f"CONNECT {HOST}:443 HTTP/1.1".encode()
                    assert listener.keys == 0
                    assert "proxy" in told or way is webhook
                else:
                    assert asked.split(b" ")[1].startswith(f"http://{HOST}/".encode())
    assert not secrets_in("".join(capsys.readouterr()))


FORBIDDEN = [
    "169.254.169.254", "169.254.169.254.", "2852039166", "0xa9fea9fe", "[fe80::1]", "0",
    "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "METADATA.google.internal",
    "metadata.google.internal.", "instance-data.ec2.internal", "metadata",
]  # fmt: skip
PRIVATE = ["10.0.0.1", "0xa000001", "192.168.1.1", "[fd12::1]", "[::ffff:10.0.0.1]"]


async def test_no_proxy_is_asked_for_what_is_refused_by_how_it_is_written(
    servers: Servers, listener: Listener, connections: Connections
) -> None:
    async with server_behind(
        servers, connections, "written", "default", ALL_PROXY=proxy_url(listener)
    ) as server:
        for way in OF_PROVIDERS:
            for host, kind in [
                *((host, COMPATIBLE) for host in FORBIDDEN),
                *((host, OPENAI) for host in FORBIDDEN + PRIVATE),
            ]:
                told = await way(server, f"https://{host}", kind)
                assert "never" in told or "TRUNKLINE_PRIVATE_NETWORKS" in told, (way, host, told)
                assert not secrets_in(told)
        for host in FORBIDDEN + PRIVATE:
            told = await webhook(server, f"https://{host}", COMPATIBLE)
            assert "never" in told or "TRUNKLINE_PRIVATE_NETWORKS" in told, (host, told)
    assert connections.made == []
    assert listener.connections == 0


@pytest.mark.parametrize("way", ALL)
async def test_what_goes_past_the_proxy_is_checked_after_dns(
    servers: Servers, listener: Listener, connections: Connections, way: Way
) -> None:
    """By NO_PROXY, and loopback always: a proxy's would be another machine's."""
    async with server_behind(
        servers,
        connections,
        f"past-{way.__name__}",
        "default",
        ALL_PROXY=proxy_url(listener),
        no_proxy=f"{HOST}, 10.0.0.0/8",
    ) as server:
        for hidden in ("127.0.0.1", "10.0.0.1", "169.254.169.254"):
            server.names.answers[HOST] = [(hidden,)]
            server.time.advance(1_000)
            told = await way(server, f"https://{HOST}:{listener.port}", OPENAI)
            assert "never" in told or "TRUNKLINE_PRIVATE_NETWORKS" in told
        for host in ("127.0.0.1", "localhost", "api.localhost", "[::1]", "10.1.2.3"):
            server.names.answers[host] = [("127.0.0.1",)]
            told = await way(server, f"https://{host}:{listener.port}", OPENAI)
            assert "never" in told or "TRUNKLINE_PRIVATE_NETWORKS" in told, host
    assert connections.made == []
    assert listener.connections == 0
