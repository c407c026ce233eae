"""Answers that are read while they come, over real connections."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from db.vocabulary import ProviderKind
from tests.trunkline.providers.scripted import Everywhere
from trunkline.providers.answer_stream import AnswerStream
from trunkline.providers.outgoing import Outgoing
from trunkline.providers.outgoing_errors import (
    AddressRefused,
    BrokenAnswer,
    HeaderRefused,
    OutgoingError,
    TimedOut,
    Unreachable,
)

KIND = ProviderKind.OPENAI
KEY = "sk-planted-0123456789-4f2A"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"

Answering = Callable[["Provider", asyncio.StreamWriter], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass
class Provider:
    """A server that answers each request as it is told; connections stay open."""

    answer: Answering
    url: str = ""
    connections: int = 0
    asked: list[bytes] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.partition(b":")[2])
                    for line in head.lower().splitlines()
                    if line.startswith(b"content-length")
                )
                self.asked.append(head + await reader.readexactly(length))
                answering = asyncio.ensure_future(self.answer(self, writer))
                leaving = asyncio.ensure_future(reader.read(1))
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done() or answering.exception() is not None:
                    answering.cancel()
                    self.left.set()
                    break
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
                if writer.is_closing():
                    break
        writer.close()


@asynccontextmanager
async def serving(answer: Answering) -> AsyncIterator[Provider]:
    provider = Provider(answer)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat"
    async with server:
        yield provider


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    async with Everywhere() as made:
        yield made


@asynccontextmanager
async def asking(
    outgoing: Outgoing, provider: Provider, seconds: float = 30.0
) -> AsyncIterator[AnswerStream]:
    async with outgoing.stream(
        KIND,
        provider.url,
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        body=b'{"stream": true}',
        timeout_seconds=seconds,
    ) as stream:
        yield stream


async def waits_between(provider: Provider, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk(b"data: 1\n\n"))
    await provider.go_on.wait()
    writer.write(chunk(b"data: 2\n\n") + END)


async def never_ends(_provider: Provider, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk(b"data: 1\n\n"))
    await asyncio.Event().wait()


async def says_nothing(_provider: Provider, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def cuts(_provider: Provider, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk(b"data: 1\n\n"))
    await writer.drain()
    writer.close()


async def chunks_of(stream: AnswerStream) -> AsyncGenerator[bytes]:
    """All that comes, as it comes."""
    while chunk := await stream.read():
        yield chunk


async def hangs_up(_provider: Provider, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def fails_at_length(_provider: Provider, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 1000000000000\r\nRetry-After: 3\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def test_what_has_come_is_there_before_the_rest(outgoing: Outgoing) -> None:
    async with serving(waits_between) as provider, asking(outgoing, provider) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        chunks = chunks_of(stream)
        assert await anext(chunks) == b"data: 1\n\n"
        provider.go_on.set()
        assert b"".join([one async for one in chunks]) == b"data: 2\n\n"
    assert provider.asked[0].endswith(b'{"stream": true}')
    assert f"Bearer {KEY}".encode() in provider.asked[0]


async def test_a_connection_that_was_read_to_its_end_serves_the_next(outgoing: Outgoing) -> None:
    async with serving(waits_between) as provider:
        provider.go_on.set()
        for _ in range(3):
            async with asking(outgoing, provider) as stream:
                assert len([one async for one in chunks_of(stream)]) >= 1
        assert (len(provider.asked), provider.connections) == (3, 1)


async def test_who_leaves_is_seen_to_have_left(outgoing: Outgoing) -> None:
    async with serving(never_ends) as provider:
        async with asking(outgoing, provider) as stream:
            await anext(chunks_of(stream))
        async with asyncio.timeout(10):
            await provider.left.wait()


@pytest.mark.parametrize("answer", [never_ends, says_nothing])
async def test_who_is_cancelled_is_seen_to_have_left(outgoing: Outgoing, answer: Answering) -> None:
    async with serving(answer) as provider:

        async def read() -> None:
            async with asking(outgoing, provider) as stream:
                async for _ in chunks_of(stream):
                    pass

        task = asyncio.create_task(read())
        async with asyncio.timeout(10):
            while not provider.asked:  # noqa: ASYNC110  # another task's connection
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            await provider.left.wait()


async def test_an_answer_that_breaks_off_is_never_taken_for_whole(outgoing: Outgoing) -> None:
    async with serving(cuts) as provider, asking(outgoing, provider) as stream:
        chunks = chunks_of(stream)
        assert await anext(chunks) == b"data: 1\n\n"
        with pytest.raises(OutgoingError) as caught:
            await anext(chunks)
    assert isinstance(caught.value, BrokenAnswer | Unreachable)
    assert caught.value.http_status == 200
    assert KEY not in repr((caught.value, caught.value.__cause__, caught.value.__context__))


async def test_a_connection_that_ends_without_a_word_is_unreachable(outgoing: Outgoing) -> None:
    async with serving(hangs_up) as provider:
        with pytest.raises(Unreachable) as caught:
            async with asking(outgoing, provider):
                raise AssertionError("it has no answer")
    assert KEY not in repr((caught.value, caught.value.__cause__, caught.value.__context__))


async def test_silence_ends_with_the_time(outgoing: Outgoing) -> None:
    async with serving(says_nothing) as provider:
        with pytest.raises(TimedOut):
            async with asking(outgoing, provider, seconds=0.05):
                raise AssertionError("it has no answer")


async def test_of_a_failure_only_the_beginning_is_read(outgoing: Outgoing) -> None:
    async with serving(fails_at_length) as provider:
        async with asking(outgoing, provider) as stream:
            assert (stream.status, stream.headers["retry-after"]) == (500, "3")
            assert await stream.beginning(1_000) == b"x" * 1_000
        async with asyncio.timeout(10):
            await provider.left.wait()


async def test_a_reader_that_stops_keeps_the_provider_waiting(outgoing: Outgoing) -> None:
    sent = 0
    waiting = asyncio.Event()

    async def floods(_provider: Provider, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        for _ in range(2_000):
            writer.write(chunk(b"x" * 32_768))
            sent += 32_768
            draining = asyncio.ensure_future(writer.drain())
            await asyncio.sleep(0)
            if not draining.done():
                # The other side is in this loop too: were it reading, this would not last.
                for _ in range(1_000):
                    await asyncio.sleep(0)
                if not draining.done():
                    waiting.set()
            await draining
        writer.write(END)

    async with serving(floods) as provider, asking(outgoing, provider) as stream:
        chunks = chunks_of(stream)
        received = len(await anext(chunks))
        async with asyncio.timeout(20):
            await waiting.wait()
        assert sent < 30_000_000, "the rest waits with the provider"
        async for one in chunks:
            received += len(one)
    assert received == 2_000 * 32_768


async def test_the_rules_of_where_requests_may_go_hold() -> None:
    async with serving(waits_between) as provider, Outgoing() as outgoing:
        with pytest.raises(AddressRefused):
            async with asking(outgoing, provider):
                raise AssertionError("it went there")
        assert provider.connections == 0


async def test_a_key_that_no_header_can_carry_is_refused_unsent(outgoing: Outgoing) -> None:
    with pytest.raises(HeaderRefused):
        async with outgoing.stream(
            KIND, "http://127.0.0.1:9/", headers={"a": "b\r\nc"}, body=b"", timeout_seconds=1
        ):
            raise AssertionError("it was sent")
