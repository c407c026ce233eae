"""Addresses where requests may not go, written in every notation, by every way out."""

import re

import pytest

from db.vocabulary import ProviderKind
from tests.server.outgoing.conftest import Servers
from tests.server.outgoing.listening import BODY, Connections, Listener
from tests.server.outgoing.ways import ALL, KEY, OF_PROVIDERS, Server, Way, draft_test, webhook
from tests.trunkline.budgets.spending import new_budget
from trunkline.budgets.changes import create_budget
from trunkline.errors import Refused
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.providers.outgoing import PrivateNetworks

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENAI, COMPATIBLE = ProviderKind.OPENAI, ProviderKind.OPENAI_COMPATIBLE
SPELLED = "an address is written as 127.0.0.1 or \\[::1\\]"
"""What is told of another spelling, where an earlier version stored it."""
NEVER = re.compile(f"requests never go|{SPELLED}")
BY_SETTING = re.compile(
    "(use kind OPENAI_COMPATIBLE or OLLAMA, and see|go only with) TRUNKLINE_PRIVATE_NETWORKS|"
    + SPELLED
)

LOOPBACK = [
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.1",
    "0x7f.0x0.0x0.0x1", "0177.0.0.1", "017700000001", "00000177.1", "127.255.255.254",
    "１２７．０．０．１", "①②⑦。⓪。⓪。①", "[::1]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::1]", "[2001:0:808:808::80ff:fffe]",
]  # fmt: skip
"""Spellings of loopback; the last is Teredo's, of a client behind a public relay."""

PRIVATE = [
    "10.0.0.1", "10.1", "167772161", "0xa000001", "012.0.0.1", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "100.64.0.1", "100.127.255.255", "[fd12:3456::1]", "[fc00::1]",
    "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[2002:c0a8:101::]", "[2001:0:a00:1::f7f7:f7f7]",
]  # fmt: skip
"""Of networks of one's own; the last is Teredo's, with a private relay."""

FORBIDDEN = [
    # Metadata, in every notation.
    "169.254.169.254", "169.254.169.254.", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376", "025177524776", "169.254.43518", "169.16689662",
    "１６９．２５４．１６９．２５４", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::]",
    "[2001:0:a9fe:a9fe::f7f7:f7f7]", "[2001:0:808:808::5601:5601]", "[::ffff:0:169.254.169.254]",
    "[fd00:ec2::254]", "[fd00:ec2::23]", "[fd20:ce::254]", "[fd00:c1::a9fe:a9fe]", "[fd00:42::42]",
    "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    # Link-local, with zones.
    "169.254.0.1", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[febf::1]",
    # Unspecified, which is this machine too, "this network", and what was site-local.
    "0.0.0.0", "0", "0x0", "00", "0.1.2.3", "[::]", "[::ffff:0.0.0.0]", "[fec0::1]",
    # Broadcast, multicast, reserved.
    "255.255.255.255", "4294967295", "224.0.0.1", "239.255.255.250", "[ff02::1]", "[ff0e::1]",
    "240.0.0.1", "192.0.0.8", "192.0.0.170", "192.88.99.1", "[100::1]", "[4000::1]", "[5f00::1]",
    # Documentation and benchmarks.
    "192.0.2.1", "198.51.100.7", "203.0.113.9", "[2001:db8::1]", "[3fff::1]", "198.18.0.1",
    "[2001:2::1]",
]  # fmt: skip

NO_URLS = [
    "http://user:{key}@127.0.0.1:{port}/v1", "http://{key}@127.0.0.1:{port}/v1",
    "http://1.1.1.1@127.0.0.1:{port}/", "http://127.0.0.1:{port}@1.1.1.1/{key}?",
    "http://1.1.1.1\\@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\v1",
    "http:\\\\127.0.0.1:{port}/v1", "http://127.0.0\t.1:{port}/v1", "http://127.0.0.1\n:{port}/v1",
    "http://127.0.0.1:{port}/v1\r\nX-Planted: 1", "http://127.0.0.1 :{port}/v1",
    "http://127.0.0.1\0:{port}/v1", "http://%31%32%37.0.0.1:{port}/v1", "http://127.0.0.1%2f:80",
    "http://127%2e0%2e0%2e1:{port}/v1", "http://127.0.0.1%00.example.com:{port}/v1",
    "http://127.0.0.1:0/v1", "http://127.0.0.1:65536/v1", "http://127.0.0.1:4294967376/v1",
    "http://127.0.0.1:-1/v1", "http://127.0.0.1:+80/v1", "http://127.0.0.1:８０８０/v1",
    "http://127.0.0.1:/v1", "http://:{port}/v1", "http:///127.0.0.1:{port}", "//127.0.0.1:{port}",
    "http:127.0.0.1:{port}", "127.0.0.1:{port}", "file:///etc/passwd", "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_", "unix:///var/run/docker.sock", "ws://127.0.0.1:{port}/",
    "javascript:{key}", "data:text/plain,{key}", "http://[::1/v1", "http://::1:{port}/v1",
    "http://[::1]x:{port}/v1", "http://x[::1]:{port}/v1", "http://[::1]:{port}:1/v1",
    "http://[v1.fe80::1]:{port}/", "http://[v1.1]:{port}/", "http://[127.0.0.1]:{port}/v1",
    "http://127.0.0.256:{port}/", "http://127.0.0.1.1:{port}/", "http://4294967296:{port}/",
    "http://0x100000000:{port}/", "http://127.0.08.1:{port}/", "http://127..1:{port}/",
    "http://127.0.0.1:{port}/v1#{key}",
]  # fmt: skip
"""What is no URL of a provider, nor of a webhook."""


def url_of(host: str, listener: Listener) -> str:
    """Where the listener would be, if this were its host."""
    return f"http://{host}:{listener.port}"


async def refuses(
    server: Server,
    way: Way,
    url: str,
    kind: ProviderKind,
    reason: re.Pattern[str],
    connections: Connections,
) -> None:
    """See that the request is refused with what to do, and that nothing was connected to."""
    connections.own_port = server.port
    told = await way(server, url, kind)
    assert connections.made == [], way.__name__
    assert reason.search(told), f"{way.__name__}: {told}"
    assert KEY not in told


@pytest.mark.parametrize("host", FORBIDDEN)
async def test_nobody_goes_to_forbidden_addresses(
    servers: Servers, listener: Listener, connections: Connections, host: str
) -> None:
    """Not even where all that a setting decides is allowed."""
    server = await servers.at("allow-webhooks")
    for way in ALL:
        await refuses(server, way, url_of(host, listener), COMPATIBLE, NEVER, connections)
    assert listener.connections == 0


@pytest.mark.parametrize("host", LOOPBACK + PRIVATE)
async def test_kinds_of_the_public_and_webhooks_stay_out_of_private_networks(
    servers: Servers, listener: Listener, connections: Connections, host: str
) -> None:
    server = await servers.at("default")
    url = url_of(host, listener)
    for way in OF_PROVIDERS:
        await refuses(server, way, url, OPENAI, BY_SETTING, connections)
    url = url.replace("http:", "https:")  # Plain http is for private networks, and refused as such.
    await refuses(server, webhook, url, OPENAI, BY_SETTING, connections)
    assert listener.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::1]", "[::ffff:10.0.0.1]"])
async def test_no_kind_goes_to_private_networks_where_they_are_denied(
    servers: Servers, listener: Listener, connections: Connections, host: str
) -> None:
    server = await servers.at("deny")
    for kind in ProviderKind:
        for way in OF_PROVIDERS if kind is not ProviderKind.ANTHROPIC else OF_PROVIDERS[:-1]:
            await refuses(server, way, url_of(host, listener), kind, BY_SETTING, connections)
    assert listener.connections == 0


@pytest.mark.parametrize("setting", ["default", "allow-webhooks", "deny"])
@pytest.mark.parametrize("way", ALL)
async def test_who_may_go_to_private_networks_by_each_setting(
    servers: Servers, listener: Listener, way: Way, setting: PrivateNetworks
) -> None:
    """And where it may, it gets there: what the other tests see would otherwise prove nothing."""
    server = await servers.at(setting)
    allowed = {
        "default": way is not webhook,
        "allow-webhooks": True,
        "deny": False,
    }[setting]
    for kind in (COMPATIBLE, ProviderKind.OLLAMA):
        listener.reset()
        told = await way(server, url_of("127.0.0.1", listener), kind)
        assert (listener.connections > 0) is allowed, told
        assert listener.keys == (listener.connections if way is not webhook else 0)
        assert KEY not in told
        assert BODY not in told


@pytest.mark.parametrize("host", LOOPBACK)
async def test_a_spelling_of_loopback_is_loopback(
    servers: Servers, listener: Listener, connections: Connections, host: str
) -> None:
    """A kind that may go there gets there, or nowhere else."""
    server = await servers.at("default")
    connections.own_port = server.port
    await draft_test(server, url_of(host, listener), COMPATIBLE)
    [made] = connections.made
    # Some are loopback's only where a tunnel or a translator stands.
    assert (listener.connections == 1) is (made in {"127.0.0.1", "::1", "::ffff:7f00:1"})


@pytest.mark.parametrize("text", NO_URLS)
async def test_what_is_no_url_is_refused_when_it_is_given(
    servers: Servers, listener: Listener, connections: Connections, text: str
) -> None:
    server = await servers.at("allow-webhooks")
    connections.own_port = server.port
    url = text.format(key=KEY, port=listener.port)
    told = [await draft_test(server, url, COMPATIBLE)]
    with pytest.raises(Refused) as provider:
        await create_provider(
            server.services, NewProvider(slug="new", name="New", kind=COMPATIBLE, base_url=url)
        )
    with pytest.raises(Refused) as budget:
        await create_budget(server.services, new_budget(webhook_url=url))
    told += [str(provider.value), str(budget.value)]
    for one in told:
        assert re.search(r"(baseUrl|webhookUrl) (is|has|holds|names|must|can't)", one), one
        assert KEY not in one
    assert connections.made == []
    assert listener.connections == 0
