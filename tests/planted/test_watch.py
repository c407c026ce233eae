"""The search for secrets finds one that comes out, wherever that is."""

import asyncio
import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.compressing import compressed
from server.logs import configure_logs
from server.requests import RequestLog
from tests.planted.plugin import install, pytest_runtest_makereport
from tests.planted.watch import LeakWatch
from tests.planted.watch import watch as of_the_suite
from trunkline.errors import BadRequest
from trunkline.secrets import Secrets, generate_secret_key

SECRET = "known-to-the-private-watch-alone-0123456789"
MASK = f"…{SECRET[-4:]}"


@pytest.fixture
def private() -> Iterator[LeakWatch]:
    """A watch of its own, which stands where that of the suite does."""
    watch = LeakWatch()
    watch.learn(SECRET)
    take_away = install(watch)
    yield watch
    take_away()


async def answer(body: bytes | str, **headers: str) -> None:
    """Send this to nobody, as the server would."""
    sent = Response(body, headers=headers)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (await compressed(sent, "gzip"))(scope, receive, send)

    await _serve(app, {"type": "http", "method": "GET", "path": "/", "headers": []})


async def over_socket(text: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})

    await _serve(app, {"type": "websocket", "path": "/", "headers": []})


async def _serve(app: Any, scope: Scope) -> None:
    async def nothing(*_: object) -> Any:
        return {"type": "http.disconnect"}

    await RequestLog(app, closing=asyncio.Event())(scope, nothing, nothing)


def logged(work: Callable[[Any], object]) -> None:
    """By the program's own logger, to a place that nobody reads."""
    root = logging.getLogger()
    handlers, level, config = root.handlers, root.level, structlog.get_config()
    configure_logs("json", io.StringIO())
    try:
        work(structlog.get_logger("trunkline.test"))
    finally:
        root.handlers, root.level = handlers, level
        structlog.configure(**config)


def raising(log: Any) -> None:
    try:
        int(SECRET)
    except ValueError:
        log.exception("it broke")


def process() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stderr.write('{SECRET}')"], stderr=subprocess.PIPE
    ) as started:
        started.communicate()


def span() -> None:
    tracer = TracerProvider(sampler=ALWAYS_ON).get_tracer("test")
    with tracer.start_as_current_span("asked", attributes={"key": SECRET}):
        pass


LEAKS: dict[str, Callable[[], Any]] = {
    "a log line's value": lambda: logged(lambda log: log.info("tested", key=SECRET)),
    "a log line's text": lambda: logged(lambda log: logging.getLogger("x").warning("%s", SECRET)),
    "a traceback": lambda: logged(raising),
    "an error's text": lambda: BadRequest(f"{SECRET} is no key"),
    "an answer": lambda: answer(f"hello {SECRET}"),
    "a large answer": lambda: answer("x" * 10_000 + SECRET),
    "a header": lambda: answer("", **{"X-Key": SECRET}),
    "a socket's message": lambda: over_socket(f'{{"key": "{SECRET}"}}'),
    "stderr of a process": process,
    "a span": span,
}


@pytest.mark.parametrize("place", LEAKS)
async def test_a_leak_is_found(private: LeakWatch, place: str) -> None:
    leaking = LEAKS[place]()
    if asyncio.iscoroutine(leaking):
        await leaking
    assert any(SECRET in leak for leak in private.taken())
    assert private.taken() == []


async def test_a_mask_and_what_nobody_knows_are_none(private: LeakWatch) -> None:
    await answer(f"stored as {MASK}, {SECRET[:-1]}")
    logged(lambda log: log.info("tested", key=MASK))
    assert private.taken() == []


# To the watch of the suite too, which learns them as the private one does.
@pytest.mark.shows_secrets
async def test_secrets_are_learned_where_they_enter(private: LeakWatch) -> None:
    key = generate_secret_key()
    Secrets([key]).seal("a-provider-key-0123456789", provider_id=1, origin="o")
    Secrets([key]).seal('{"X-Team": "a-header-value-0123456789"}', provider_id=1, origin="o")
    await answer(f"{key} a-provider-key-0123456789 a-header-value-0123456789")
    assert len(private.taken()) == 3


async def test_what_a_change_has_made_is_shown_once(private: LeakWatch) -> None:
    private.learn("a-token-that-was-just-made", shown=1)
    await answer("a-token-that-was-just-made")
    assert private.taken() == []
    await answer("a-token-that-was-just-made")
    assert len(private.taken()) == 1


async def test_a_secret_cut_in_two_is_found(private: LeakWatch) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (SECRET[:10], SECRET[10:]):
            await send({"type": "http.response.body", "body": part.encode(), "more_body": True})

    await _serve(app, {"type": "http", "method": "GET", "path": "/", "headers": []})
    assert len(private.taken()) == 1


@pytest.mark.parametrize("marked", [False, True])
def test_a_test_that_leaks_fails(marked: bool) -> None:
    """Whatever it asserts, unless it is marked."""
    item: Any = SimpleNamespace(
        funcargs={}, get_closest_marker=lambda name: "a reason" if marked else None
    )
    report: Any = SimpleNamespace(
        when="call", outcome="passed", longrepr=None, sections=[("Captured stderr call", SECRET)]
    )
    of_the_suite.learn(SECRET)
    hook = pytest_runtest_makereport(item, SimpleNamespace())  # type: ignore[arg-type]
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    assert report.outcome == ("passed" if marked else "failed")
    assert marked or "Captured stderr call" in report.longrepr
