"""What a name resolves to decides, at the connection that it is resolved for; and what is kept."""

from ipaddress import ip_address

import pytest

from db import providers as stored
from db.engine import Connection
from db.vocabulary import ProviderKind
from tests.server.outgoing.conftest import Servers
from tests.server.outgoing.listening import BODY, Connections, Listener, http_answer
from tests.server.outgoing.ways import ALL, KEY, OF_PROVIDERS, Way, plain
from trunkline.errors import Refused
from trunkline.providers import connection_pools
from trunkline.providers.addresses import Reach, reach_of
from trunkline.providers.changes import update_provider
from trunkline.providers.inputs import ProviderUpdate

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENAI, COMPATIBLE = ProviderKind.OPENAI, ProviderKind.OPENAI_COMPATIBLE
NAME = "provider.example"
PUBLIC = "1.1.1.1"
MET = "metadata.google.internal"


@pytest.mark.parametrize("way", ALL)
@pytest.mark.parametrize(
    "addresses",
    [
        ("169.254.169.254",),
        ("fd00:ec2::254", "100.100.100.200"),
        ("::ffff:169.254.169.254",),
        ("fe80::1%1", "169.254.169.254", "0.0.0.0"),
        ("64:ff9b::a9fe:a9fe", "::"),
    ],
)
async def test_a_name_of_metadata_gets_nothing(
    servers: Servers,
    listener: Listener,
    connections: Connections,
    way: Way,
    addresses: tuple[str, ...],
) -> None:
    """By whatever name, where all that a setting decides is allowed."""
    server = await servers.at("allow-webhooks")
    connections.own_port = server.port
    server.names.answers[MET] = [addresses]
    told = await way(server, f"http://{MET}:{listener.port}", COMPATIBLE)
    assert "never" in told
    assert KEY not in told
    assert connections.made == []
    assert listener.connections == 0


@pytest.mark.parametrize("way", ALL)
@pytest.mark.parametrize("hidden", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::"])
async def test_an_answer_that_changes_is_refused_at_the_connection_that_it_is_for(
    servers: Servers, listener: Listener, connections: Connections, way: Way, hidden: str
) -> None:
    """First something public, as whoever checks before connecting would see it."""
    server = await servers.at("default")
    connections.own_port = server.port
    name = f"{way.__name__.replace('_', '-')}.{NAME}"
    url = f"https://{name}:{listener.port}"
    server.names.answers[name] = [(PUBLIC,)]
    await way(server, url, OPENAI)
    assert set(connections.made) == {PUBLIC}
    connections.made.clear()
    # One for each retry.
    server.names.answers[name] = [(PUBLIC,), (hidden,), (PUBLIC,), (hidden,)]
    server.names.asked.clear()
    for _ in range(4):
        told = await way(server, url, OPENAI)
        assert KEY not in told
    assert set(connections.made) <= {PUBLIC}
    assert "TRUNKLINE_PRIVATE_NETWORKS" in told or "never" in told
    assert listener.connections == 0


@pytest.mark.parametrize("way", ALL)
async def test_of_several_addresses_only_those_are_tried_that_are_permitted(
    servers: Servers, listener: Listener, connections: Connections, way: Way
) -> None:
    """In whichever order they come, and however soon the next is tried."""
    server = await servers.at("default")
    connections.own_port = server.port
    public = {PUBLIC, "2606:4700::1111", "8.8.8.8"}
    for mixed in (
        (PUBLIC, "127.0.0.1"),
        ("127.0.0.1", PUBLIC),
        ("::1", "2606:4700::1111", "127.0.0.1", PUBLIC, "169.254.169.254", "8.8.8.8"),
        ("fe80::1%1", "8.8.8.8", "fd00:ec2::254", "::ffff:127.0.0.1"),
    ):
        connections.made.clear()
        server.names.answers[NAME] = [mixed]
        server.time.advance(1_000)
        told = await way(server, f"https://{NAME}:{listener.port}", OPENAI)
        assert set(connections.made) == public & set(mixed)
        assert KEY not in told
    assert listener.connections == 0


@pytest.mark.parametrize("way", OF_PROVIDERS)
async def test_each_connection_asks_for_the_name_anew_and_a_kept_one_leads_where_it_was_checked(
    servers: Servers,
    listener: Listener,
    connections: Connections,
    monkeypatch: pytest.MonkeyPatch,
    way: Way,
) -> None:
    """Here ::1 is public, as a provider would be."""
    monkeypatch.setattr(
        connection_pools,
        "reach_of",
        lambda text: Reach.PUBLIC if ip_address(text) == ip_address("::1") else reach_of(text),
    )
    server = await servers.at("default")
    connections.own_port = server.port
    listener.answer = http_answer("401 Unauthorized", kept=True)
    name = f"kept-{way.__name__.replace('_', '-')}.{NAME}"
    url = f"http://{name}:{listener.port}"
    server.names.answers[name] = [("::1",), ("127.0.0.1",)]
    told = [await way(server, url, OPENAI), await way(server, url, OPENAI)]
    # The name leads elsewhere by now; what is kept leads where it led.
    assert (listener.connections, listener.keys) == (1, 2)
    listener.answer = http_answer("401 Unauthorized")
    told += [await way(server, url, OPENAI), await way(server, url, OPENAI)]
    assert "TRUNKLINE_PRIVATE_NETWORKS" in told[-1]
    assert connections.made == ["::1"]
    for one in told:
        assert KEY not in one
        assert BODY not in one


async def test_a_kept_connection_serves_no_kind_that_may_not_go_there_and_carries_one_key_at_a_time(
    servers: Servers, listener: Listener, connections: Connections
) -> None:
    server = await servers.at("default")
    connections.own_port = server.port
    listener.answer = http_answer("401 Unauthorized", kept=True)
    url = f"http://127.0.0.1:{listener.port}"
    await server.saved(f"{url}/one", COMPATIBLE, key="key-of-the-first")
    await server.saved(f"{url}/two", COMPATIBLE, key="key-of-the-second")
    for path in ("/one", "/two", "/one"):
        await plain(server, url + path, COMPATIBLE)
    assert listener.connections == 1
    sent = [
        (head.split(b" ", 2)[1].split(b"/")[1], b"first" in head, b"second" in head)
        for head in bytes(listener.received).split(b"POST ")[1:]
        for head in [b"POST " + head]
    ]
    assert sent == [(b"one", True, False), (b"two", False, True), (b"one", True, False)]
    for way in OF_PROVIDERS:
        assert "TRUNKLINE_PRIVATE_NETWORKS" in await way(server, f"{url}/one", OPENAI)
    assert (listener.connections, listener.keys) == (1, 3)


async def test_a_stored_key_goes_to_no_other_origin(
    servers: Servers, listener: Listener, connections: Connections
) -> None:
    """Neither by a change of the URL, nor where somebody changed it in the database."""
    server = await servers.at("default")
    connections.own_port = server.port
    provider, model = await server.saved("http://127.0.0.1:1", COMPATIBLE)
    elsewhere = f"http://127.0.0.1:{listener.port}"
    with pytest.raises(Refused, match="another host"):
        await update_provider(server.services, ProviderUpdate(id=provider, base_url=elsewhere))

    async def move(connection: Connection) -> None:
        moved = {"base_url": elsewhere}
        await stored.update_provider(connection, provider, moved, now=server.time.clock())

    await server.services.database.transact(move)
    server.take_for(elsewhere, COMPATIBLE, (provider, model))
    for way in OF_PROVIDERS[1:]:
        told = await way(server, elsewhere, COMPATIBLE)
        assert "given for another provider or host" in told or "NO_API_KEY" in told
        assert KEY not in told
    assert connections.made == []
