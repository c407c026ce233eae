"""Where requests may go, how much of an answer is read, and what errors never hold."""

import asyncio
import gzip
import logging
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from db.vocabulary import ProviderKind
from tests.trunkline.providers.scripted import Everywhere, Scripted, http_answer, scripted_server
from trunkline.providers import connection_pools
from trunkline.providers.outgoing import LARGEST_ANSWER, Answer, Outgoing
from trunkline.providers.outgoing_errors import (
    AddressRefused,
    AnswerTooLarge,
    BrokenAnswer,
    HeaderRefused,
    OutgoingError,
    TimedOut,
    TlsFailed,
    Unreachable,
)

KEY = "sk-planted-0123456789-4f2A"


class Resolves(AbstractResolver):
    """Answers every name with the same addresses, as a hostile DNS server would."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


async def ask(
    outgoing: Outgoing,
    url: str,
    kind: ProviderKind = ProviderKind.OPENAI_COMPATIBLE,
    *,
    key: str = KEY,
    timeout_seconds: float = 5,
) -> Answer:
    return await outgoing.request(
        kind,
        "GET",
        f"{url}/v1/models",
        headers={"Authorization": f"Bearer {key}"},
        timeout_seconds=timeout_seconds,
    )


async def test_an_answer_comes_whole(scripted: Scripted) -> None:
    scripted.answers = [http_answer(b"{}", "418 I'm a teapot", "X-Word: Some")]
    async with Everywhere() as outgoing:
        answer = await ask(outgoing, scripted.url)
    assert (answer.status, answer.headers["x-word"], answer.body) == (418, "Some", b"{}")


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("::1",),
        ("10.0.0.1", "192.168.0.1"),
        ("127.0.0.1", "::1"),
        ("169.254.169.254",),
        ("169.254.169.254", "fe80::1", "10.0.0.1"),
        ("::ffff:10.0.0.1",),
    ],
)
async def test_a_name_that_resolves_to_a_private_address_is_refused(
    scripted: Scripted, addresses: tuple[str, ...]
) -> None:
    url = scripted.url.replace("127.0.0.1", "rebound.example")
    async with Outgoing(resolver=Resolves(*addresses)) as outgoing:
        with pytest.raises(AddressRefused):
            await ask(outgoing, url, ProviderKind.OPENAI)
    assert scripted.asked == []


@pytest.mark.parametrize("addresses", [("169.254.169.254",), ("fd00:ec2::254", "100.100.100.200")])
async def test_a_kind_that_may_be_private_never_reaches_metadata(addresses: tuple[str]) -> None:
    async with Outgoing(resolver=Resolves(*addresses)) as outgoing:
        with pytest.raises(AddressRefused, match="never"):
            await ask(outgoing, "http://rebound.example", ProviderKind.OLLAMA)


async def test_a_refused_address_beside_a_permitted_one_is_passed_over(scripted: Scripted) -> None:
    scripted.answers = [http_answer(b"{}")]
    url = scripted.url.replace("127.0.0.1", "mixed.example")
    async with Outgoing(resolver=Resolves("169.254.169.254", "127.0.0.1")) as outgoing:
        assert (await ask(outgoing, url)).status == 200


async def test_a_connection_made_for_one_kind_serves_no_other() -> None:
    """A kept connection to loopback must not carry a request that may only go out to the public."""
    kept = http_answer(b"{}").replace(b"Connection: close\r\n", b"")
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(kept)
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Outgoing() as outgoing:
            await ask(outgoing, url, ProviderKind.OLLAMA)
            await ask(outgoing, url, ProviderKind.OPENAI_COMPATIBLE)
            with pytest.raises(AddressRefused, match="TRUNKLINE_PRIVATE_NETWORKS"):
                await ask(outgoing, url, ProviderKind.OPENAI)
    assert connections == 1


async def test_one_host_takes_no_more_connections_than_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A provider that hangs leaves connections for the others."""
    monkeypatch.setattr(connection_pools, "MOST_TO_ONE_HOST", 2)
    monkeypatch.setattr(connection_pools, "MOST_CONNECTIONS", 3)
    asked = 0
    both, release = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        if asked == 2:
            both.set()
        await release.wait()
        writer.write(http_answer(b"{}"))
        writer.close()

    async with (
        await asyncio.start_server(hang, "127.0.0.1", 0) as server,
        scripted_server() as other,
        Outgoing() as outgoing,
    ):
        other.answers = [http_answer(b"{}")]
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        hanging = [asyncio.create_task(ask(outgoing, url)) for _ in range(4)]
        await both.wait()
        assert (await ask(outgoing, other.url)).status == 200
        assert asked == 2
        release.set()
        assert [answer.status for answer in await asyncio.gather(*hanging)] == [200] * 4
    assert asked == 4


async def test_deny_holds_for_every_kind(scripted: Scripted) -> None:
    async with Outgoing("deny") as outgoing:
        for kind in ProviderKind:
            with pytest.raises(AddressRefused):
                await ask(outgoing, scripted.url, kind)
    assert scripted.asked == []


async def test_a_redirect_is_an_answer_and_not_followed(scripted: Scripted) -> None:
    there = f"Location: {scripted.url}/elsewhere"
    scripted.answers = [http_answer(b"", "307 Temporary Redirect", there)]
    async with Everywhere() as outgoing:
        assert (await ask(outgoing, scripted.url)).status == 307
    assert len(scripted.asked) == 1


async def test_cookies_are_not_kept_and_the_sender_says_who_it_is(scripted: Scripted) -> None:
    scripted.answers = [http_answer(b"{}", "200 OK", "Set-Cookie: tracked=1; Path=/")]
    async with Everywhere() as outgoing:
        await ask(outgoing, scripted.url)
        await ask(outgoing, scripted.url)
    assert "tracked" not in scripted.asked[1]
    assert "User-Agent: trunkline/" in scripted.asked[1]


async def test_the_environments_proxies_are_not_used(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    scripted.answers = [http_answer(b"{}")]
    async with Everywhere() as outgoing:
        assert (await ask(outgoing, scripted.url)).status == 200


async def test_a_small_answer_that_unpacks_to_a_large_one_is_cut_off(scripted: Scripted) -> None:
    bomb = gzip.compress(bytes(8 * LARGEST_ANSWER))
    scripted.answers = [http_answer(bomb, "200 OK", "Content-Encoding: gzip")]
    async with Everywhere() as outgoing:
        with pytest.raises(AnswerTooLarge, match="8 MiB") as refused:
            await ask(outgoing, scripted.url)
    assert refused.value.http_status == 200


async def test_an_answer_may_be_as_large_as_the_bound(scripted: Scripted) -> None:
    scripted.answers = [http_answer(bytes(LARGEST_ANSWER)), http_answer(bytes(LARGEST_ANSWER + 1))]
    async with Everywhere() as outgoing:
        assert len((await ask(outgoing, scripted.url)).body) == LARGEST_ANSWER
        with pytest.raises(AnswerTooLarge):
            await ask(outgoing, scripted.url)


BROKEN = [
    (b"", Unreachable),
    (b"\x15\x03\x01\x00\x02\x02\x46", BrokenAnswer),
    (b"SSH-2.0-OpenSSH_9.6\r\n", BrokenAnswer),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", BrokenAnswer),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", BrokenAnswer),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", BrokenAnswer),
    (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", BrokenAnswer),
    (http_answer(b"no gzip", "200 OK", "Content-Encoding: gzip"), BrokenAnswer),
    (b"HTTP/1.1 999999 OK\r\n\r\n", BrokenAnswer),
]


@pytest.mark.parametrize(("answer", "error"), BROKEN)
async def test_a_broken_answer_is_named_and_holds_no_key(
    scripted: Scripted,
    answer: bytes,
    error: type[OutgoingError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    scripted.answers = [answer]
    with caplog.at_level(logging.DEBUG):
        async with Everywhere() as outgoing:
            with pytest.raises(error) as raised:
                await ask(outgoing, scripted.url)
    shown: BaseException | None = raised.value
    while shown is not None:
        assert KEY not in f"{shown} {shown!r} {vars(shown)}"
        shown = shown.__cause__ or shown.__context__
    assert KEY not in caplog.text


@pytest.mark.parametrize("key", ["sk-one\r\nX-Other: two", "sk-one\x00", "sk-öne", "sk-😀"])
async def test_a_key_that_no_header_can_carry_is_refused_unsent(
    scripted: Scripted, key: str
) -> None:
    async with Everywhere() as outgoing:
        with pytest.raises(HeaderRefused) as refused:
            await ask(outgoing, scripted.url, key=key)
    assert "sk-" not in f"{refused.value!r}"
    assert scripted.asked == []


async def test_an_unknown_name_is_unreachable() -> None:
    class Unknown(Resolves):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            raise OSError(None, "Name or service not known")

    async with Outgoing(resolver=Unknown()) as outgoing:
        with pytest.raises(Unreachable, match="host name is unknown"):
            await ask(outgoing, "http://nowhere.example")


async def test_an_answer_that_trickles_in_ends_with_the_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.01)
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Outgoing() as outgoing:
            with pytest.raises(TimedOut) as timed_out:
                await ask(outgoing, url, timeout_seconds=0.2)
    assert timed_out.value.http_status == 200


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with scripted_server(_self_signed(tmp_path)) as server:
        server.answers = [http_answer(b"{}")]
        async with Everywhere() as outgoing:
            with pytest.raises(TlsFailed, match="certificate"):
                await ask(outgoing, server.url)
        assert server.asked == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
