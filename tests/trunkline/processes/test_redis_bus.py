"""The bus through a real Redis: nobody waits for it, and it comes back by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog

from tests.redis_server import RedisServer, own_redis
from trunkline.processes.redis_bus import MOST_QUEUED, BadBusUrl, RedisBus, redis_bus

PASSWORD = "hunter2-hunter2"


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with own_redis(PASSWORD) as server:
        yield server


@asynccontextmanager
async def listening(bus: RedisBus) -> AsyncIterator["asyncio.Queue[bytes]"]:
    """What a listener hears, once it does."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    task = asyncio.create_task(bus.listen(heard.put_nowait))
    try:
        await hears(bus, heard)
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def hears(bus: RedisBus, heard: "asyncio.Queue[bytes]") -> None:
    """Wait until what is sent arrives, and drop what was sent to find out."""
    async with asyncio.timeout(30):
        while heard.empty():
            bus.send(b"probe")
            await asyncio.sleep(0.02)
    bus.send(b"last probe")
    while await arrives(heard) != b"last probe":
        pass


async def arrives(heard: "asyncio.Queue[bytes]") -> bytes:
    return await asyncio.wait_for(heard.get(), 30)


async def test_messages_arrive_in_order_at_every_listener_of_the_installation(
    shared: RedisServer,
) -> None:
    async with (
        redis_bus(shared.url, "one") as a,
        redis_bus(shared.url, "one") as b,
        redis_bus(shared.url, "two") as stranger,
        listening(a) as at_a,
        listening(b) as at_b,
        listening(stranger) as elsewhere,
    ):
        while not at_a.empty() or not at_b.empty():  # Each other's probes.
            for heard in (at_a, at_b):
                while not heard.empty():
                    heard.get_nowait()
            await asyncio.sleep(0.05)
        messages = [str(number).encode() for number in range(200)]
        for message in messages:
            a.send(message)
        assert [await arrives(at_b) for _ in messages] == messages
        assert [await arrives(at_a) for _ in messages] == messages
        assert elsewhere.empty()


async def test_what_was_sent_last_is_out_before_the_block_ends(shared: RedisServer) -> None:
    async with redis_bus(shared.url, "three") as listener, listening(listener) as heard:
        async with redis_bus(shared.url, "three") as command:
            for number in range(50):
                command.send(str(number).encode())
        assert [await arrives(heard) for _ in range(50)] == [
            str(number).encode() for number in range(50)
        ]


async def test_redis_may_go_and_come_back() -> None:
    with own_redis() as server, structlog.testing.capture_logs() as logs:
        async with redis_bus(server.url, "one") as bus, listening(bus) as heard:
            server.kill()
            async with asyncio.timeout(30):
                while not logs:
                    bus.send(b"while it is away")
                    await asyncio.sleep(0.02)
            server.start()
            await hears(bus, heard)
            bus.send(b"after")
            assert await arrives(heard) == b"after"
    assert [log["event"].partition(":")[0] for log in logs] == ["Redis is away", "Redis is back"]


async def test_a_redis_that_was_never_there_holds_up_nobody_and_fills_no_memory() -> None:
    with own_redis(started=False) as server, structlog.testing.capture_logs() as logs:
        async with redis_bus(server.url, "one") as bus:
            for number in range(MOST_QUEUED + 500):
                bus.send(str(number).encode())
            assert len(bus._queue) == MOST_QUEUED
            server.start()
            async with listening(bus):
                pass
    assert len(logs) <= 2


async def test_a_wrong_password_is_told_and_not_shown(shared: RedisServer) -> None:
    url = shared.url.replace(PASSWORD, "hunter3-hunter3")
    with structlog.testing.capture_logs() as logs:
        async with redis_bus(url, "one") as bus:
            bus.send(b"never arrives")
            # Long enough for several attempts; one line is all that is said of them.
            await asyncio.sleep(0.5)
    (log,) = logs
    assert (log["address"], log["error"]) == (f"127.0.0.1:{shared.port}", "AuthenticationError")
    assert "hunter" not in repr(log)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@host:port",
        "redis://user:hunter2@host:99999",
        "redis://:hunter2@host?socket_timeout=1",
        "redis://:hunter2@host?decode_responses=True",
        "redis://:hunter2@host?db=hunter2",
        "rediss://:hunter2@host?ssl_cert_reqs=hunter2",
        "http://:hunter2@host",
        "hunter2",
    ],
)
async def test_a_url_that_names_no_redis_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(BadBusUrl) as caught:
        async with redis_bus(url, "one"):
            pass
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
